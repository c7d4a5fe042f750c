//! Small values that everything else is made of.

/// The type of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
    /// Named pipe.
    Fifo,
    /// Socket.
    Socket,
}

impl Kind {
    /// The type bits of `st_mode`.
    pub const fn mode(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::CharDevice => 0o020_000,
            Self::BlockDevice => 0o060_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
        }
    }

    /// From the type bits of `st_mode`.
    pub const fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o100_000 => Self::File,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            0o020_000 => Self::CharDevice,
            0o060_000 => Self::BlockDevice,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            _ => return None,
        })
    }

    /// The `d_type` of a directory entry (`DT_REG` and so on).
    pub const fn entry_type(self) -> u8 {
        (self.mode() >> 12) as u8
    }

    /// Whether inodes of this type stand for a device.
    pub const fn is_device(self) -> bool {
        matches!(self, Self::CharDevice | Self::BlockDevice)
    }
}

/// Permission bits of `st_mode` by name.
pub mod mode {
    /// Set user ID on execution.
    pub const SET_UID: u16 = 0o4000;
    /// Set group ID on execution; on directories: inherit the group.
    pub const SET_GID: u16 = 0o2000;
    /// Restricted deletion.
    pub const STICKY: u16 = 0o1000;
    /// Execution by the group.
    pub const GROUP_EXECUTE: u16 = 0o0010;
    /// All bits that `chmod` can set.
    pub const ALL: u16 = 0o7777;
}

/// The number of a device; in the width of Linux (12 and 20 bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeviceNumber {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl DeviceNumber {
    /// As `stat` shows it (`makedev` of the C library).
    pub const fn encode(self) -> u64 {
        let (major, minor) = (self.major as u64, self.minor as u64);
        (minor & 0xff) | (major & 0xfff) << 8 | (minor & !0xff) << 12 | (major & !0xfff) << 32
    }

    /// From the form that `stat` and `mknod` use.
    pub const fn decode(value: u64) -> Self {
        Self {
            major: ((value >> 8 & 0xfff) | (value >> 32 & !0xfff)) as u32,
            minor: ((value & 0xff) | (value >> 12 & 0xffff_ff00)) as u32,
        }
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01 UTC.
    pub seconds: i64,
    /// Nanoseconds within the second, below 10⁹.
    pub nanoseconds: u32,
}

/// What `stat` tells about an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// Number of the inode, unique within its file system.
    pub number: u64,
    /// Type.
    pub kind: Kind,
    /// Permission, set-id and sticky bits.
    pub permissions: u16,
    /// How many names it has.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// The device that a device special file stands for.
    pub device: DeviceNumber,
    /// Bytes of data.
    pub size: u64,
    /// Storage in units of 512 bytes.
    pub blocks: u64,
    /// The size of input and output that works well, in bytes.
    pub block_size: u32,
    /// Last access.
    pub accessed: Timestamp,
    /// Last change of the data.
    pub modified: Timestamp,
    /// Last change of the inode.
    pub changed: Timestamp,
    /// Creation.
    pub born: Timestamp,
}

impl Metadata {
    /// `st_mode`: type and permissions.
    pub const fn mode(&self) -> u32 {
        self.kind.mode() | self.permissions as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_survive() {
        for (major, minor) in [(1, 3), (259, 0x4_5678), (0xfff, 0xf_ffff), (0, 0)] {
            let device = DeviceNumber { major, minor };
            assert_eq!(DeviceNumber::decode(device.encode()), device);
        }
        assert_eq!(DeviceNumber { major: 8, minor: 1 }.encode(), 0x801);
    }
}

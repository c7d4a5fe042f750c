//! Inodes: attributes, and where the rest of the inode lies.

use crate::layout::{self, Device, u16_at, u32_at, u64_at};
use crate::{Error, Image, layout::slice};

/// The place of an inode in the image: what other file systems call the inode number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nid(pub u64);

/// The type of an inode or directory entry.
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
    /// From the type bits of `st_mode`.
    pub(crate) fn from_mode(mode: u16) -> Option<Self> {
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

    /// The type bits of `st_mode`.
    #[cfg(feature = "write")]
    pub(crate) fn mode(self) -> u16 {
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

    /// From the type byte of a directory entry.
    pub(crate) fn from_entry(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::File,
            2 => Self::Directory,
            3 => Self::CharDevice,
            4 => Self::BlockDevice,
            5 => Self::Fifo,
            6 => Self::Socket,
            7 => Self::Symlink,
            _ => return None,
        })
    }

    /// The type byte of a directory entry.
    #[cfg(feature = "write")]
    pub(crate) fn entry(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Directory => 2,
            Self::CharDevice => 3,
            Self::BlockDevice => 4,
            Self::Fifo => 5,
            Self::Socket => 6,
            Self::Symlink => 7,
        }
    }
}

/// What an inode says.
#[derive(Debug, Clone, Copy)]
pub struct Inode {
    /// Where it is.
    pub nid: Nid,
    /// The number to show to programs (`st_ino`).
    pub number: u32,
    /// Its type.
    pub kind: Kind,
    /// Permission bits, set-id and sticky bits: the low 12 bits of `st_mode`.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// How many names it has.
    pub links: u32,
    /// Bytes of data.
    pub size: u64,
    /// Modification time: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// The device, of device special files.
    pub device: Option<Device>,
    pub(crate) data: Data,
    /// Where the extended attributes begin, and how long they are.
    pub(crate) xattr_offset: u64,
    pub(crate) xattr_length: u64,
}

/// How the data of an inode is stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Data {
    Plain { block: u32 },
    Inline { block: u32, tail: u64 },
    Chunks { table: u64, bits: u32, indexes: bool },
}

impl Inode {
    pub(crate) fn read(image: &Image<'_>, nid: Nid) -> Result<Self, Error> {
        const BAD: Error = Error::Corrupt("inode");
        let start = nid
            .0
            .checked_mul(layout::SLOT)
            .and_then(|bytes| bytes.checked_add(image.meta_offset))
            .ok_or(BAD)?;
        let compact = slice(image.bytes, start, layout::COMPACT_SIZE, "inode")?;
        let format = u16_at(compact, 0);
        let extended = format & 1 == 1;
        let length = if extended { layout::EXTENDED_SIZE } else { layout::COMPACT_SIZE };
        let record = slice(image.bytes, start, length, "inode")?;
        let mode = u16_at(record, 4);
        let kind = Kind::from_mode(mode).ok_or(Error::Corrupt("inode type"))?;
        let xattr_length = match u16_at(record, 2) {
            0 => 0,
            count => layout::XATTR_HEADER + (u64::from(count) - 1) * 4,
        };
        let union = u32_at(record, 16);
        let number = u32_at(record, 20);
        let (links, size, uid, gid, mtime) = if extended {
            let seconds = u64_at(record, 32).cast_signed();
            let nanoseconds = u32_at(record, 40).min(999_999_999);
            let owner = (u32_at(record, 24), u32_at(record, 28));
            (u32_at(record, 44), u64_at(record, 8), owner.0, owner.1, (seconds, nanoseconds))
        } else {
            let owner = (u32::from(u16_at(record, 24)), u32::from(u16_at(record, 26)));
            let epoch = (image.epoch.0.cast_signed(), image.epoch.1.min(999_999_999));
            let links = u32::from(u16_at(record, 6));
            (links, u64::from(u32_at(record, 8)), owner.0, owner.1, epoch)
        };
        let xattr_offset = start.checked_add(length).ok_or(BAD)?;
        let behind = xattr_offset.checked_add(xattr_length).ok_or(BAD)?;
        let data = match (format >> 1) & 7 {
            layout::FLAT_PLAIN => Data::Plain { block: union },
            layout::FLAT_INLINE => Data::Inline { block: union, tail: behind },
            layout::CHUNK_BASED => {
                if union & !(layout::CHUNK_BITS | layout::CHUNK_INDEXES) & 0xffff != 0 {
                    return Err(Error::Unsupported("chunk format"));
                }
                let indexes = union & layout::CHUNK_INDEXES != 0;
                let unit: u64 = if indexes { 8 } else { 4 };
                let table = behind.checked_next_multiple_of(unit).ok_or(BAD)?;
                let bits = image.block_bits + (union & layout::CHUNK_BITS);
                Data::Chunks { table, bits, indexes }
            }
            _ => return Err(Error::Unsupported("compressed file")),
        };
        if i64::try_from(size).is_err() {
            return Err(Error::Corrupt("file size"));
        }
        let has_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        Ok(Self {
            nid,
            number,
            kind,
            permissions: mode & 0o7777,
            uid,
            gid,
            links,
            size,
            mtime,
            device: has_device.then(|| Device::decode(union)),
            data,
            xattr_offset,
            xattr_length,
        })
    }
}

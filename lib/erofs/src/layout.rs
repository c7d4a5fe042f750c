//! The numbers of the disk format, and checked access to its little-endian fields.

use crate::Error;

pub(crate) const SUPER_OFFSET: usize = 1024;
pub(crate) const SUPER_SIZE: usize = 128;
pub(crate) const MAGIC: u32 = 0xe0f5_e1e2;

pub(crate) const COMPAT_CHECKSUM: u32 = 1;
#[cfg(feature = "write")]
pub(crate) const COMPAT_MTIME: u32 = 2;
pub(crate) const INCOMPAT_48BIT: u32 = 0x80;
pub(crate) const INCOMPAT_KNOWN: u32 = 0x7f;

/// Inodes are numbered by their place, in units of this many bytes.
pub(crate) const SLOT: u64 = 32;
pub(crate) const COMPACT_SIZE: u64 = 32;
pub(crate) const EXTENDED_SIZE: u64 = 64;

pub(crate) const FLAT_PLAIN: u16 = 0;
pub(crate) const FLAT_INLINE: u16 = 2;
pub(crate) const CHUNK_BASED: u16 = 4;

pub(crate) const CHUNK_BITS: u32 = 0x1f;
pub(crate) const CHUNK_INDEXES: u32 = 0x20;
/// The block address of a hole.
pub(crate) const NO_BLOCK: u32 = !0;

pub(crate) const DIRENT_SIZE: usize = 12;
pub(crate) const XATTR_HEADER: u64 = 12;
pub(crate) const XATTR_ENTRY: usize = 4;

/// Name prefixes of extended attributes by index; an empty one is not used.
pub(crate) const XATTR_PREFIXES: [&[u8]; 7] = [
    b"",
    b"user.",
    b"system.posix_acl_access",
    b"system.posix_acl_default",
    b"trusted.",
    b"lustre.",
    b"security.",
];

/// The longest name of a directory entry, in bytes.
pub const NAME_MAX: usize = 255;

/// The number of a device special file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Major number, 12 bits.
    pub major: u32,
    /// Minor number, 20 bits.
    pub minor: u32,
}

impl Device {
    /// From the encoding that the disk holds (`new_encode_dev` of Linux).
    pub(crate) fn decode(value: u32) -> Self {
        Self { major: (value >> 8) & 0xfff, minor: (value & 0xff) | ((value >> 12) & 0xf_ff00) }
    }

    #[cfg(feature = "write")]
    pub(crate) fn encode(self) -> u32 {
        (self.minor & 0xff) | (self.major << 8) | ((self.minor & !0xff) << 12)
    }
}

/// `length` bytes at `offset` of `bytes`.
pub(crate) fn slice<'a>(
    bytes: &'a [u8],
    offset: u64,
    length: u64,
    what: &'static str,
) -> Result<&'a [u8], Error> {
    let start = usize::try_from(offset).map_err(|_| Error::Corrupt(what))?;
    let length = usize::try_from(length).map_err(|_| Error::Corrupt(what))?;
    let end = start.checked_add(length).ok_or(Error::Corrupt(what))?;
    bytes.get(start..end).ok_or(Error::Corrupt(what))
}

/// The field at `offset`; 0 where the record ends early (records are cut to size before).
pub(crate) fn u16_at(record: &[u8], offset: usize) -> u16 {
    array(record, offset).map_or(0, u16::from_le_bytes)
}

/// See [`u16_at`].
pub(crate) fn u32_at(record: &[u8], offset: usize) -> u32 {
    array(record, offset).map_or(0, u32::from_le_bytes)
}

/// See [`u16_at`].
pub(crate) fn u64_at(record: &[u8], offset: usize) -> u64 {
    array(record, offset).map_or(0, u64::from_le_bytes)
}

fn array<const N: usize>(record: &[u8], offset: usize) -> Option<[u8; N]> {
    record.get(offset..)?.first_chunk().copied()
}

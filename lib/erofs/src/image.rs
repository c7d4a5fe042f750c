//! The superblock: what it says about the whole image.

use crate::checksum::crc32c;
use crate::inode::{Inode, Nid};
use crate::layout::{self, slice, u16_at, u32_at, u64_at};
use crate::{Error, Extent};

/// An EROFS image in memory.
///
/// Cheap to copy: it holds the slice and a few numbers. Everything it hands out borrows from
/// the slice, not from the `Image`.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) block_bits: u32,
    pub(crate) meta_offset: u64,
    pub(crate) xattr_offset: u64,
    pub(crate) epoch: (u64, u32),
    root: Nid,
    inodes: u64,
    uuid: [u8; 16],
}

impl<'a> Image<'a> {
    /// Reads the superblock of `bytes`, which start with the image (they may go on behind it).
    ///
    /// # Errors
    /// Any [`Error`] that concerns the superblock; the checksum is verified where there is one.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let record = slice(bytes, layout::SUPER_OFFSET as u64, layout::SUPER_SIZE as u64, "")
            .map_err(|_| Error::NotErofs)?;
        if u32_at(record, 0) != layout::MAGIC {
            return Err(Error::NotErofs);
        }
        let block_bits = u32::from(record[12]);
        if !(9..=16).contains(&block_bits) {
            return Err(Error::Unsupported("block size"));
        }
        let incompat = u32_at(record, 80);
        if incompat & layout::INCOMPAT_48BIT != 0 {
            return Err(Error::Unsupported("48-bit layout"));
        }
        if incompat & !layout::INCOMPAT_KNOWN != 0 {
            return Err(Error::Unsupported("unknown incompatible feature"));
        }
        if record[90] != 0 {
            return Err(Error::Unsupported("directory block size"));
        }
        if u32_at(record, 8) & layout::COMPAT_CHECKSUM != 0 {
            verify(bytes, u32_at(record, 4), 1 << block_bits)?;
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&record[48..64]);
        let image = Self {
            bytes,
            block_bits,
            meta_offset: u64::from(u32_at(record, 40)) << block_bits,
            xattr_offset: u64::from(u32_at(record, 44)) << block_bits,
            epoch: (u64_at(record, 24), u32_at(record, 32)),
            root: Nid(u64::from(u16_at(record, 14))),
            inodes: u64_at(record, 16),
            uuid,
        };
        Ok(image)
    }

    /// The root directory.
    pub fn root(&self) -> Nid {
        self.root
    }

    /// How many inodes the image claims to have.
    pub fn inode_count(&self) -> u64 {
        self.inodes
    }

    /// The identifier of the file system.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// Bytes in a block: a power of two from 512 to 65536.
    pub fn block_size(&self) -> u64 {
        1 << self.block_bits
    }

    /// All bytes that the image was opened with.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The inode at `nid`.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if there is none, [`Error::Unsupported`] if its data is compressed.
    pub fn inode(&self, nid: Nid) -> Result<Inode, Error> {
        Inode::read(self, nid)
    }

    /// The bytes of an extent; `None` for a hole.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the extent leaves the image, which those that [`Image::extent`]
    /// returned never do.
    pub fn data(&self, extent: Extent) -> Result<Option<&'a [u8]>, Error> {
        match extent.offset {
            None => Ok(None),
            Some(offset) => slice(self.bytes, offset, extent.length, "extent").map(Some),
        }
    }
}

/// The checksum covers the superblock to the end of its block, without the checksum itself.
fn verify(bytes: &[u8], stored: u32, block_size: usize) -> Result<(), Error> {
    let length = if block_size > layout::SUPER_OFFSET {
        block_size - layout::SUPER_OFFSET
    } else {
        block_size
    };
    let record = slice(bytes, layout::SUPER_OFFSET as u64, length as u64, "superblock")?;
    let crc = crc32c(crc32c(crc32c(!0, &record[..4]), &[0; 4]), &record[8..]);
    if crc == stored { Ok(()) } else { Err(Error::Checksum) }
}

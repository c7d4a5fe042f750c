//! Where the data of a file lies.

use crate::inode::{Data, Inode, Kind};
use crate::layout::{self, slice, u16_at, u32_at};
use crate::{Error, Image};

/// A run of file data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where the run lies in the image, in bytes; `None` for a hole, which reads as zeros.
    pub offset: Option<u64>,
    /// Its length in bytes, never 0.
    pub length: u64,
}

/// The longest symbolic link: no path is longer.
const LINK_MAX: u64 = 4096;

impl<'a> Image<'a> {
    /// The run that holds byte `position` of the file and goes as far behind it as the data is
    /// contiguous (never behind the end of the file). `None` at or behind the end.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the run leaves the image.
    pub fn extent(&self, inode: &Inode, position: u64) -> Result<Option<Extent>, Error> {
        if position >= inode.size {
            return Ok(None);
        }
        let extent = match inode.data {
            Data::Plain { block } => {
                let start = u64::from(block) << self.block_bits;
                Extent { offset: Some(start + position), length: inode.size - position }
            }
            Data::Inline { block, tail } => {
                let blocks = inode.size.div_ceil(self.block_size());
                let tail_at = (blocks - 1) << self.block_bits;
                if position < tail_at {
                    let start = u64::from(block) << self.block_bits;
                    Extent { offset: Some(start + position), length: tail_at - position }
                } else {
                    let offset = tail.checked_add(position - tail_at);
                    let offset = Some(offset.ok_or(Error::Corrupt("inline data"))?);
                    Extent { offset, length: inode.size - position }
                }
            }
            Data::Chunks { table, bits, indexes } => {
                self.chunk_extent(inode.size, position, table, bits, indexes)?
            }
        };
        self.data(extent)?;
        Ok(Some(extent))
    }

    /// Joins as many chunks as follow each other in the image, up to a bound that keeps a
    /// single call short.
    fn chunk_extent(
        &self,
        size: u64,
        position: u64,
        table: u64,
        bits: u32,
        indexes: bool,
    ) -> Result<Extent, Error> {
        const LONGEST: u64 = 1024;
        let chunk = position >> bits;
        let last = (size - 1) >> bits;
        let first = self.chunk(table, chunk, indexes)?;
        let per_chunk = 1u64 << (bits - self.block_bits);
        let mut behind = chunk + 1;
        while behind <= last && behind - chunk < LONGEST {
            let expected = first.map(|block| block + (behind - chunk) * per_chunk);
            if self.chunk(table, behind, indexes)? != expected {
                break;
            }
            behind += 1;
        }
        let end = if behind > last { size } else { behind << bits };
        let within = position - (chunk << bits);
        let offset = first.map(|block| (block << self.block_bits) + within);
        Ok(Extent { offset, length: end - position })
    }

    fn chunk(&self, table: u64, index: u64, indexes: bool) -> Result<Option<u64>, Error> {
        const BAD: &str = "chunk table";
        let unit = if indexes { 8 } else { 4 };
        let offset = index.checked_mul(unit).and_then(|bytes| bytes.checked_add(table));
        let record = slice(self.bytes, offset.ok_or(Error::Corrupt(BAD))?, unit, BAD)?;
        let block = if indexes {
            if u16_at(record, 2) != 0 {
                return Err(Error::Unsupported("data on a further device"));
            }
            u32_at(record, 4)
        } else {
            u32_at(record, 0)
        };
        Ok((block != layout::NO_BLOCK).then_some(u64::from(block)))
    }

    /// Copies file data from `position` on into `buffer`; returns how many bytes there were.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if data leaves the image.
    pub fn read(
        &self,
        inode: &Inode,
        mut position: u64,
        buffer: &mut [u8],
    ) -> Result<usize, Error> {
        let mut done = 0;
        while done < buffer.len() {
            let Some(extent) = self.extent(inode, position)? else { break };
            let room = &mut buffer[done..];
            let length = usize::try_from(extent.length).map_or(room.len(), |n| n.min(room.len()));
            match self.data(extent)? {
                Some(bytes) => room[..length].copy_from_slice(&bytes[..length]),
                None => room[..length].fill(0),
            }
            done += length;
            position += length as u64;
        }
        Ok(done)
    }

    /// The `length` bytes at `position`, in place.
    pub(crate) fn contiguous(
        &self,
        inode: &Inode,
        position: u64,
        length: u64,
        what: &'static str,
    ) -> Result<&'a [u8], Error> {
        let extent = self.extent(inode, position)?.ok_or(Error::Corrupt(what))?;
        if extent.length < length {
            return Err(Error::Corrupt(what));
        }
        self.data(Extent { length, ..extent })?.ok_or(Error::Corrupt(what))
    }

    /// Where a symbolic link points; 1 to 4096 bytes.
    ///
    /// # Errors
    /// [`Error::NotSymlink`] for other inodes; [`Error::Corrupt`].
    pub fn readlink(&self, inode: &Inode) -> Result<&'a [u8], Error> {
        if inode.kind != Kind::Symlink {
            return Err(Error::NotSymlink);
        }
        if inode.size == 0 || inode.size > LINK_MAX {
            return Err(Error::Corrupt("symbolic link"));
        }
        self.contiguous(inode, 0, inode.size, "symbolic link")
    }
}

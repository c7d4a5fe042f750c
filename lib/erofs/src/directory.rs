//! Directories: blocks of sorted entries, searched by bisection.

use core::cmp::Ordering;

use crate::inode::{Inode, Kind, Nid};
use crate::layout::{DIRENT_SIZE, NAME_MAX, u16_at, u64_at};
use crate::{Error, Image};

const BAD: Error = Error::Corrupt("directory");

/// An entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name, without a NUL; `.` and `..` are entries too.
    pub name: &'a [u8],
    /// The inode.
    pub nid: Nid,
    /// Its type; `None` if the directory does not say.
    pub kind: Option<Kind>,
    /// The place behind this entry, for [`Image::entries`].
    pub next: u64,
}

/// One block of a directory.
struct Block<'a> {
    bytes: &'a [u8],
    count: usize,
}

impl<'a> Block<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        // Names start right behind the entries, so that the first name tells their number.
        let names = usize::from(u16_at(bytes, 8));
        if names < DIRENT_SIZE || names >= bytes.len() || !names.is_multiple_of(DIRENT_SIZE) {
            return Err(BAD);
        }
        Ok(Self { bytes, count: names / DIRENT_SIZE })
    }

    fn name(&self, index: usize) -> Result<&'a [u8], Error> {
        let start = usize::from(u16_at(self.bytes, index * DIRENT_SIZE + 8));
        let last = index + 1 == self.count;
        let end = if last {
            self.bytes.len()
        } else {
            usize::from(u16_at(self.bytes, (index + 1) * DIRENT_SIZE + 8))
        };
        let mut name = self.bytes.get(start..end).ok_or(BAD)?;
        if last {
            // Padded with zeros to the end of the block.
            let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
            name = &name[..length];
        }
        if name.is_empty() || name.len() > NAME_MAX || name.contains(&b'/') || name.contains(&0) {
            return Err(BAD);
        }
        Ok(name)
    }

    fn entry(&self, index: usize, block_start: u64) -> Result<Entry<'a>, Error> {
        let record = self.bytes.get(index * DIRENT_SIZE..(index + 1) * DIRENT_SIZE).ok_or(BAD)?;
        Ok(Entry {
            name: self.name(index)?,
            nid: Nid(u64_at(record, 0)),
            kind: Kind::from_entry(record[10]),
            next: block_start + ((index + 1) * DIRENT_SIZE) as u64,
        })
    }
}

impl<'a> Image<'a> {
    fn block(&self, directory: &Inode, index: u64) -> Result<Block<'a>, Error> {
        let start = index << self.block_bits;
        let length = directory.size.checked_sub(start).ok_or(BAD)?.min(self.block_size());
        Block::new(self.contiguous(directory, start, length, "directory")?)
    }

    /// The entry of `directory` that has this name.
    ///
    /// # Errors
    /// [`Error::NotDirectory`]; [`Error::Corrupt`].
    pub fn lookup(&self, directory: &Inode, name: &[u8]) -> Result<Option<Entry<'a>>, Error> {
        if directory.kind != Kind::Directory {
            return Err(Error::NotDirectory);
        }
        // The last block whose first name is not behind the one that is sought.
        let (mut low, mut high) = (0, directory.size.div_ceil(self.block_size()));
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let block = self.block(directory, middle)?;
            if block.name(0)? <= name {
                found = Some((middle, block));
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some((index, block)) = found else { return Ok(None) };
        let (mut low, mut high) = (0, block.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match block.name(middle)?.cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => {
                    return block.entry(middle, index << self.block_bits).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// The entries of `directory` from `cookie` on: 0, or the `next` of an entry.
    ///
    /// # Errors
    /// [`Error::NotDirectory`].
    pub fn entries(&self, directory: &Inode, cookie: u64) -> Result<Entries<'a>, Error> {
        if directory.kind != Kind::Directory {
            return Err(Error::NotDirectory);
        }
        Ok(Entries { image: *self, directory: *directory, position: cookie })
    }
}

/// The entries of a directory, in the order of their names.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    image: Image<'a>,
    directory: Inode,
    position: u64,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.position < self.directory.size {
            let block_index = self.position >> self.image.block_bits;
            let start = block_index << self.image.block_bits;
            // Below the block size, so it fits in any usize.
            let index = ((self.position - start) as usize).div_ceil(DIRENT_SIZE);
            let step = self.image.block(&self.directory, block_index).and_then(|block| {
                if index < block.count { block.entry(index, start).map(Some) } else { Ok(None) }
            });
            match step {
                Ok(Some(entry)) => {
                    self.position = entry.next;
                    return Some(Ok(entry));
                }
                Ok(None) => self.position = start + self.image.block_size(),
                Err(error) => {
                    // Nothing behind damage can be trusted; this also ends the iteration.
                    self.position = self.directory.size;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

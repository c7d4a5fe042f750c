//! The image below.

use erofs::{Image, Inode};
use errno::Errno;
use vfs::{DeviceNumber, Kind, PAGE_SIZE, Timestamp};

/// A read-only image in memory.
#[derive(Clone, Copy)]
pub struct Lower {
    /// The image.
    pub image: Image<'static>,
    /// The physical address of its first byte. Files are used in place if it is on a page
    /// boundary, otherwise they are copied page by page.
    pub phys: u64,
}

/// What a file of the image has at a page.
pub(crate) enum Piece {
    /// `pages` whole pages at `phys`.
    InPlace { phys: u64, pages: u64 },
    /// Bytes that do not lie on a page and must be copied.
    Elsewhere,
    /// Zeros for `pages` pages.
    Hole { pages: u64 },
}

/// A damaged image shows as the error of a damaged file system.
pub(crate) fn damaged(_: erofs::Error) -> Errno {
    Errno::EUCLEAN
}

impl Lower {
    /// What `inode` has from page `first` on, which is before its end.
    pub(crate) fn piece(&self, inode: &Inode, first: u64) -> Result<Piece, Errno> {
        let position = first * PAGE_SIZE;
        let extent = self.image.extent(inode, position).map_err(damaged)?;
        let extent = extent.ok_or(Errno::EUCLEAN)?;
        let to_the_end = position + extent.length >= inode.size;
        // A page that the extent ends in is whole only at the end of the file.
        let whole =
            if to_the_end { extent.length.div_ceil(PAGE_SIZE) } else { extent.length / PAGE_SIZE };
        let Some(offset) = extent.offset else {
            return Ok(if whole == 0 { Piece::Elsewhere } else { Piece::Hole { pages: whole } });
        };
        let phys = self.phys + offset;
        let within = (self.image.bytes().len() as u64).saturating_sub(offset) / PAGE_SIZE;
        let pages = whole.min(within);
        if !phys.is_multiple_of(PAGE_SIZE) || pages == 0 || !self.zero_behind(inode) {
            return Ok(Piece::Elsewhere);
        }
        Ok(Piece::InPlace { phys, pages })
    }

    /// Whether the rest of a file's last page is zeros, as whoever maps it must find it. Images
    /// of the project's own writer and of `mkfs.erofs` are made so; others need not be.
    fn zero_behind(&self, inode: &Inode) -> bool {
        let used = inode.size % PAGE_SIZE;
        if used == 0 {
            return true;
        }
        let last = self.image.extent(inode, inode.size - 1).ok().flatten();
        let Some(offset) = last.and_then(|extent| extent.offset) else { return true };
        let Ok(start) = usize::try_from(offset + 1) else { return false };
        let length = (PAGE_SIZE - used) as usize;
        let rest = self.image.bytes().get(start..start.saturating_add(length));
        rest.is_some_and(is_zero)
    }
}

/// Whether all bytes are zero, looked at by words.
fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().all(|&word| u64::from_ne_bytes(word) == 0) && rest.iter().all(|&byte| byte == 0)
}

pub(crate) fn kind(kind: erofs::Kind) -> Kind {
    match kind {
        erofs::Kind::File => Kind::File,
        erofs::Kind::Directory => Kind::Directory,
        erofs::Kind::Symlink => Kind::Symlink,
        erofs::Kind::CharDevice => Kind::CharDevice,
        erofs::Kind::BlockDevice => Kind::BlockDevice,
        erofs::Kind::Fifo => Kind::Fifo,
        erofs::Kind::Socket => Kind::Socket,
    }
}

pub(crate) fn device(inode: &Inode) -> DeviceNumber {
    let number = |device: erofs::Device| DeviceNumber { major: device.major, minor: device.minor };
    inode.device.map(number).unwrap_or_default()
}

pub(crate) fn time(inode: &Inode) -> Timestamp {
    Timestamp { seconds: inode.mtime.0, nanoseconds: inode.mtime.1 }
}

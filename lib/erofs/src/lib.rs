//! EROFS, the read-only file system of Linux, without compression.
//!
//! - [`Image`] reads an image in place, over a byte slice: no allocation, no copies, and no
//!   panic, whatever the bytes are. It tells where in the image the data of a file lies, so
//!   that a kernel can map those pages.
//! - [`write`] (feature `write`) lays an image out completely before it writes the first
//!   byte, so that any amount of data streams through. The same tree gives the same bytes.
//!   The data of every regular file starts on a page and is contiguous.
//!
//! Refused, with an error that says so: compressed files, data on further devices, long
//! extended-attribute prefixes, images whose metadata is itself a file ("metabox").
//!
//! Source of the format: `Documentation/filesystems/erofs.rst` and `fs/erofs/erofs_fs.h` of Linux.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "write")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod checksum;
mod data;
mod directory;
mod image;
mod inode;
mod layout;
#[cfg(feature = "write")]
pub mod write;
mod xattr;

pub use data::Extent;
pub use directory::{Entries, Entry};
pub use image::Image;
pub use inode::{Inode, Kind, Nid};
pub use layout::{Device, NAME_MAX};
pub use xattr::{Xattr, Xattrs};

/// Why an image, or a part of it, cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// There is no EROFS superblock.
    NotErofs,
    /// The checksum of the superblock does not match.
    Checksum,
    /// The image uses a feature that this reader refuses; says which.
    Unsupported(&'static str),
    /// The image contradicts itself or ends early; says where.
    Corrupt(&'static str),
    /// The operation needs a directory.
    NotDirectory,
    /// The operation needs a symbolic link.
    NotSymlink,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NotErofs => f.write_str("not an EROFS image"),
            Self::Checksum => f.write_str("the superblock's checksum does not match"),
            Self::Unsupported(what) => write!(f, "unsupported EROFS feature: {what}"),
            Self::Corrupt(what) => write!(f, "corrupt EROFS image: {what}"),
            Self::NotDirectory => f.write_str("not a directory"),
            Self::NotSymlink => f.write_str("not a symbolic link"),
        }
    }
}

impl core::error::Error for Error {}

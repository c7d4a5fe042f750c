//! What a guest is told at start: the boot module.
//!
//! The boot module is one page-aligned file: a [header](Header), the configuration blob, and
//! then, each on a page boundary, the images that the blob names by their offset (the root
//! file system, read in place). The same module serves every platform; a hypervisor passes it
//! as the initial RAM disk, the process platform as two files that it maps one behind the other:
//! the blob in memory, and the root's image where it is kept.
//!
//! Principles: nothing about a guest travels on a command line; the format is versioned and
//! checksummed; a reader refuses what it must understand and does not; parsing borrows from
//! the module and never allocates. Integers are little-endian.
//!
//! Not here: anything that can change after the start (that is the control channel's).
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "build")]
extern crate alloc;

#[cfg(feature = "build")]
mod build;
mod checksum;
mod config;
mod item;

#[cfg(feature = "build")]
pub use build::{Builder, TooLarge};
pub use checksum::crc32;
pub use config::{Config, Descriptors, Error, Limits, Root, RootSource, Terminal, Trace, User};
pub use item::Kind;

/// The first eight bytes of a boot module.
pub const MAGIC: [u8; 8] = *b"DRUPEMOD";

/// Version of the format. A reader refuses a module of another version.
pub const VERSION: u32 = 1;

/// Images inside a module start on multiples of this many bytes.
pub const PAGE_SIZE: usize = 4096;

/// The largest blob, header included, in bytes: arguments and environment are limited to less.
pub const MAX_BLOB: usize = 4 << 20;

/// Length of the encoded [`Header`] in bytes.
pub const HEADER_LEN: usize = 40;

/// The checksum covers the blob from this byte on: lengths and items.
pub(crate) const CHECKED_FROM: usize = 16;

/// The fixed start of a boot module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of header and items in bytes, before padding to a page.
    pub blob_len: u64,
    /// Length of the whole module in bytes.
    pub module_len: u64,
    /// CRC-32 of the blob behind this field.
    pub checksum: u32,
}

impl Header {
    /// Where the first image starts: the page behind the blob.
    pub fn images_start(&self) -> u64 {
        self.blob_len.next_multiple_of(PAGE_SIZE as u64)
    }
}

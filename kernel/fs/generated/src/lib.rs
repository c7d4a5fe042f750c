//! File systems whose content is made up when it is looked at: the base of procfs and sysfs.
//!
//! - A [`File`] renders its text when it is read from the start; it may take writes.
//! - A [`Link`] says where it leads when it is followed, by text or straight to a place.
//! - A [`Directory`] has fixed entries and, with a [`Listing`], others that come and go.
//! - A [`Generated`] file system holds the root of such a tree.
//!
//! What is in them belongs to whoever builds the tree; nothing here knows of processes.
//! Closures run without locks of this crate held.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod directory;
mod file;
mod link;

use alloc::sync::Arc;

use vfs::{DeviceNumber, FileSystem, Inode, Kind, Metadata, PAGE_SIZE, Statistics, Timestamp};

pub use directory::{Directory, Listing};
pub use file::File;
pub use link::Link;

/// What every generated inode has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Number of the inode; unique in its file system, and the same each time it is made.
    pub number: u64,
    /// Permission bits.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// All its times.
    pub time: Timestamp,
}

impl Attributes {
    /// Root's, from 1970.
    pub const fn new(number: u64, permissions: u16) -> Self {
        let time = Timestamp { seconds: 0, nanoseconds: 0 };
        Self { number, permissions, uid: 0, gid: 0, time }
    }

    fn metadata(&self, kind: Kind, links: u32, size: u64) -> Metadata {
        Metadata {
            number: self.number,
            kind,
            permissions: self.permissions,
            links,
            uid: self.uid,
            gid: self.gid,
            device: DeviceNumber::default(),
            size,
            blocks: 0,
            block_size: 1024,
            accessed: self.time,
            modified: self.time,
            changed: self.time,
            born: self.time,
        }
    }
}

/// A file system around a generated tree.
pub struct Generated {
    name: &'static str,
    magic: u64,
    root: Arc<dyn Inode>,
}

impl Generated {
    /// `name` and `magic` are those of the file system type, such as `proc` and `0x9fa0`.
    pub fn new(name: &'static str, magic: u64, root: Arc<Directory>) -> Arc<Self> {
        Arc::new(Self { name, magic, root })
    }
}

impl FileSystem for Generated {
    fn name(&self) -> &'static str {
        self.name
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn statistics(&self) -> Statistics {
        let block_size = PAGE_SIZE as u32;
        Statistics { magic: self.magic, block_size, ..Statistics::default() }
    }
}

//! Files in memory, on their own or over a read-only EROFS image.
//!
//! - Over an image ([`Tmpfs::over`]) it is the root of a guest: a directory is the image's until
//!   something in it changes, then its names are copied and what is missing is gone; a file's
//!   pages are the image's, in place, until each is written to. Inode numbers stay.
//! - On its own it is `/tmp`, `/dev/shm` and the home of memory files.
//! - File data grows in contiguous runs that double, so that large files need few mappings. A
//!   limit of pages and inodes gives `ENOSPC`.
//!
//! Inodes of the image come into being when they are looked up and go when nobody uses them;
//! those that were changed stay while they have a name.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod attributes;
mod change;
mod directory;
mod file;
#[cfg(feature = "heap")]
mod heap;
mod lower;
mod node;
mod pages;
mod shared;
mod tree;

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use errno::Errno;
use vfs::{FileSystem, Inode, NewInode, NewKind, PageMemory, Statistics, Timestamp};

#[cfg(feature = "heap")]
pub use heap::HeapMemory;
pub use lower::Lower;
use node::Node;
use shared::Shared;

/// What a file system may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Pages of file data; those of the image do not count.
    pub pages: u64,
    /// Inodes made here; those of the image do not count.
    pub inodes: u64,
}

impl Limits {
    /// No limit but memory.
    pub const NONE: Self = Self { pages: u64::MAX, inodes: u64::MAX };
}

/// A file system in memory.
pub struct Tmpfs {
    shared: Arc<Shared>,
    root: Arc<Node>,
}

impl Tmpfs {
    /// An empty file system whose root directory is like `root` (its `kind` does not matter).
    pub fn new(
        memory: &'static dyn PageMemory,
        limits: Limits,
        root: &NewInode<'_>,
        now: Timestamp,
    ) -> Arc<Self> {
        let shared = Arc::new(Shared::new(memory, limits, None));
        let root = NewInode { kind: NewKind::Directory, ..root.clone() };
        shared.used_inodes.fetch_add(1, Ordering::Relaxed);
        let root = Node::new(&shared, &root, now, 1);
        Arc::new(Self { shared, root })
    }

    /// A file system that shows `lower` until it is changed.
    ///
    /// # Errors
    /// `EUCLEAN` if the image's root directory cannot be read.
    pub fn over(
        memory: &'static dyn PageMemory,
        limits: Limits,
        lower: Lower,
    ) -> Result<Arc<Self>, Errno> {
        let root = lower.image.root();
        let shared = Arc::new(Shared::new(memory, limits, Some(lower)));
        let root = shared.lower_node(root)?;
        if root.kind() != vfs::Kind::Directory {
            return Err(Errno::EUCLEAN);
        }
        Ok(Arc::new(Self { shared, root }))
    }

    /// Makes a regular file that never gets a name (`memfd_create`). Unless `sealable`, it takes
    /// no seals.
    ///
    /// # Errors
    /// `ENOSPC`.
    pub fn memory_file(
        &self,
        new: &NewInode<'_>,
        sealable: bool,
        now: Timestamp,
    ) -> Result<Arc<dyn Inode>, Errno> {
        self.shared.take_inode()?;
        let new = NewInode { kind: NewKind::File, ..new.clone() };
        let node = Node::new(&self.shared, &new, now, 0);
        if sealable && let Some(file) = node.file() {
            file.seals.store(0, Ordering::Relaxed);
        }
        Ok(node)
    }
}

impl FileSystem for Tmpfs {
    fn name(&self) -> &'static str {
        "tmpfs"
    }

    fn root(&self) -> Arc<dyn Inode> {
        self.root.clone()
    }

    fn statistics(&self) -> Statistics {
        let shared = &self.shared;
        let total = shared.limits.pages.min(shared.memory.total_pages());
        let used = shared.used_pages.load(Ordering::Relaxed);
        let free = total.saturating_sub(used).min(shared.memory.free_pages());
        let unlimited = shared.limits.inodes == u64::MAX;
        let inodes = if unlimited { 0 } else { shared.limits.inodes };
        Statistics {
            magic: 0x0102_1994,
            block_size: vfs::PAGE_SIZE as u32,
            blocks: total,
            free,
            inodes,
            free_inodes: inodes.saturating_sub(shared.used_inodes.load(Ordering::Relaxed)),
        }
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Inodes refer to the shared part, which keeps changed inodes of the image: cut that.
        self.shared.forget_all();
    }
}

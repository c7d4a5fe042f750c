//! File systems as a whole.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use lock::{RwSpinLock, SpinLock};

use crate::dentry::Dentry;
use crate::inode::Inode;
use crate::ranks;

/// A file system.
pub trait FileSystem: Send + Sync {
    /// The name of its type, as `/proc/mounts` shows it.
    fn name(&self) -> &'static str;

    /// The root directory.
    fn root(&self) -> Arc<dyn Inode>;

    /// What `statfs` shows.
    fn statistics(&self) -> Statistics;

    /// Whether nothing in it can change.
    fn is_read_only(&self) -> bool {
        false
    }
}

/// The figures of `statfs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// The magic number of the type (`f_type`).
    pub magic: u64,
    /// Bytes in a block.
    pub block_size: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Free blocks.
    pub free: u64,
    /// Inodes in all; 0 if there is no limit.
    pub inodes: u64,
    /// Free inodes.
    pub free_inodes: u64,
}

/// How many names stay cached per file system although nobody uses them.
const RECENT: usize = 1024;

/// A file system in use: its names, shared by all its mounts.
pub struct Superblock {
    /// The file system.
    file_system: Arc<dyn FileSystem>,
    /// `st_dev` of all its inodes.
    device: u64,
    root: Arc<Dentry>,
    recent: SpinLock<Recent>,
    /// Held by a rename, so that nobody moves a directory into itself meanwhile.
    pub(crate) renaming: RwSpinLock<()>,
    renames: AtomicU64,
}

struct Recent {
    entries: Vec<Option<Arc<Dentry>>>,
    next: usize,
}

impl Superblock {
    /// Takes a file system into use; `device` becomes the `st_dev` of its inodes.
    pub fn new(file_system: Arc<dyn FileSystem>, device: u64) -> Arc<Self> {
        let root = Dentry::root(file_system.root());
        Arc::new(Self {
            file_system,
            device,
            root,
            recent: SpinLock::new(ranks::RECENT, Recent { entries: Vec::new(), next: 0 }),
            renaming: RwSpinLock::new(ranks::RENAME, ()),
            renames: AtomicU64::new(0),
        })
    }

    /// The file system.
    pub fn file_system(&self) -> &Arc<dyn FileSystem> {
        &self.file_system
    }

    /// The root of its names.
    pub fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// `st_dev`.
    pub fn device(&self) -> u64 {
        self.device
    }

    /// Keeps a name cached for a while.
    pub(crate) fn remember(&self, dentry: Arc<Dentry>) {
        let kept = dentry.clone();
        let mut recent = self.recent.lock();
        let slot = recent.next;
        recent.next = (slot + 1) % RECENT;
        dentry.set_recent(slot);
        let old = if slot == recent.entries.len() {
            recent.entries.push(Some(dentry));
            None
        } else {
            recent.entries[slot].replace(dentry)
        };
        // Dropping it may take the locks of its parent.
        drop(recent);
        drop(old);
        // Removed in the meantime, by somebody who looked for it here too early.
        if kept.is_deleted() {
            self.dismiss(&kept);
        }
    }

    /// Stops keeping a name that was removed: its file may now be gone for good, and its
    /// storage free.
    pub(crate) fn dismiss(&self, dentry: &Arc<Dentry>) {
        let mut recent = self.recent.lock();
        let slot = recent.entries.get_mut(dentry.recent());
        let old = slot.and_then(|entry| entry.take_if(|kept| Arc::ptr_eq(kept, dentry)));
        drop(recent);
        drop(old);
    }

    /// Counts renames, for walks that must not be led astray by one.
    pub(crate) fn renames(&self) -> u64 {
        self.renames.load(Ordering::Acquire)
    }

    pub(crate) fn count_rename(&self) {
        self.renames.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for Superblock {
    fn drop(&mut self) {
        // Children before parents keeps each drop short.
        let entries = core::mem::take(&mut self.recent.get_mut().entries);
        entries.into_iter().rev().for_each(drop);
    }
}

//! What this layer knows about an inode, kept with the inode.

use alloc::sync::Arc;

use lock::SpinLock;
use sched::WaitQueue;
use vfs::{FileLocks, Inode};

use super::inotify::Watches;
use crate::memory::mappers::Mappers;
use crate::rank;

/// Locks of a file, and the order of its writes.
pub struct Attached {
    /// POSIX and OFD locks.
    pub records: SpinLock<FileLocks>,
    /// `flock` locks.
    pub whole: SpinLock<FileLocks>,
    /// Who waits for a lock.
    pub unlocked: WaitQueue,
    /// Whose memory shows it.
    pub mappers: Mappers,
    /// Who wants to hear of it.
    pub watches: Watches,
    /// Held by a write, so that writes are whole and find the end of the file where it is.
    pub writing: sched::Mutex<()>,
}

impl Default for Attached {
    fn default() -> Self {
        Self {
            records: SpinLock::new(rank::FILE, FileLocks::new()),
            whole: SpinLock::new(rank::FILE, FileLocks::new()),
            unlocked: WaitQueue::new(),
            mappers: Mappers::default(),
            watches: Watches::default(),
            writing: sched::Mutex::new(()),
        }
    }
}

/// What is attached to an inode; made where there is nothing yet.
pub fn attached(inode: &dyn Inode) -> Arc<Attached> {
    inode.attachment().get_or_insert(Attached::default)
}

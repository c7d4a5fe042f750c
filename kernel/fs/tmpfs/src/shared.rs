//! What all inodes of a file system share.

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU64, Ordering};

use erofs::Nid;
use errno::Errno;
use hashbrown::HashMap;
use lock::{Rank, SpinLock};
use vfs::{PageMemory, ranks};

use crate::Limits;
use crate::lower::{Lower, damaged};
use crate::node::Node;
use crate::pages::Freed;

/// Held where the tree changes shape, before the directories concerned are locked.
const STRUCTURE: Rank = Rank::new(169, "tmpfs structure");

pub(crate) struct Shared {
    pub(crate) memory: &'static dyn PageMemory,
    pub(crate) limits: Limits,
    pub(crate) used_pages: AtomicU64,
    pub(crate) used_inodes: AtomicU64,
    pub(crate) lower: Option<Lower>,
    pub(crate) structure: SpinLock<()>,
    next_number: AtomicU64,
    /// The inodes of the image that somebody uses or that were changed.
    lower_nodes: SpinLock<HashMap<Nid, Known>>,
}

enum Known {
    /// As in the image; can be made again.
    Clean(Weak<Node>),
    /// Changed: this is the only copy.
    Changed(Arc<Node>),
}

impl Shared {
    pub(crate) fn new(
        memory: &'static dyn PageMemory,
        limits: Limits,
        lower: Option<Lower>,
    ) -> Self {
        // Numbers of the image's inodes are places in units of 32 bytes, so all others start
        // behind its end.
        let first = lower.as_ref().map_or(2, |lower| lower.image.bytes().len() as u64 / 32 + 2);
        Self {
            memory,
            limits,
            used_pages: AtomicU64::new(0),
            used_inodes: AtomicU64::new(0),
            lower,
            structure: SpinLock::new(STRUCTURE, ()),
            next_number: AtomicU64::new(first),
            lower_nodes: SpinLock::new(ranks::INODES, HashMap::new()),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts a new inode; [`Node`] gives it back when it goes.
    pub(crate) fn take_inode(&self) -> Result<(), Errno> {
        take(&self.used_inodes, 1, self.limits.inodes)
    }

    pub(crate) fn take_pages(&self, pages: u64) -> Result<(), Errno> {
        take(&self.used_pages, pages, self.limits.pages)
    }

    pub(crate) fn give_pages(&self, pages: u64) {
        self.used_pages.fetch_sub(pages, Ordering::Relaxed);
    }

    /// Releases memory that files have given up.
    pub(crate) fn free(&self, freed: Freed) {
        let pages = freed.release(self.memory);
        self.give_pages(pages);
    }

    /// The inode at `nid` of the image.
    pub(crate) fn lower_node(self: &Arc<Self>, nid: Nid) -> Result<Arc<Node>, Errno> {
        if let Some(node) = self.known(nid) {
            return Ok(node);
        }
        let lower = self.lower.as_ref().ok_or(Errno::EUCLEAN)?;
        let inode = lower.image.inode(nid).map_err(damaged)?;
        let new = Node::from_lower(self, lower, &inode)?;
        let mut nodes = self.lower_nodes.lock();
        let other = match nodes.get(&nid) {
            Some(Known::Changed(node)) => Some(node.clone()),
            Some(Known::Clean(node)) => node.upgrade(),
            None => None,
        };
        if other.is_none() {
            nodes.insert(nid, Known::Clean(Arc::downgrade(&new)));
        }
        drop(nodes);
        Ok(other.unwrap_or(new))
    }

    fn known(&self, nid: Nid) -> Option<Arc<Node>> {
        match self.lower_nodes.lock().get(&nid)? {
            Known::Changed(node) => Some(node.clone()),
            Known::Clean(node) => node.upgrade(),
        }
    }

    /// Keeps a changed inode of the image.
    pub(crate) fn keep(&self, nid: Nid, node: Arc<Node>) {
        let old = self.lower_nodes.lock().insert(nid, Known::Changed(node));
        drop(old);
    }

    /// Lets a changed inode go with its last user: it has lost its last name.
    pub(crate) fn let_go(&self, nid: Nid, node: &Weak<Node>) {
        let old = self.lower_nodes.lock().insert(nid, Known::Clean(node.clone()));
        drop(old);
    }

    /// Called by an inode of the image that goes away.
    pub(crate) fn forget(&self, nid: Nid) {
        let mut nodes = self.lower_nodes.lock();
        if let Some(Known::Clean(node)) = nodes.get(&nid)
            && node.strong_count() == 0
        {
            nodes.remove(&nid);
        }
    }

    pub(crate) fn forget_all(&self) {
        let nodes = core::mem::take(&mut *self.lower_nodes.lock());
        drop(nodes);
    }
}

fn take(counter: &AtomicU64, count: u64, limit: u64) -> Result<(), Errno> {
    let add = |used: u64| used.checked_add(count).filter(|&used| used <= limit);
    match counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add) {
        Ok(_) => Ok(()),
        Err(_) => Err(Errno::ENOSPC),
    }
}

//! Names: the cached part of the directory tree.
//!
//! A dentry exists while somebody uses it or it was used recently; it holds its parent. For one
//! name in a directory there is at most one, so everybody who opened a file sees it renamed.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use errno::Errno;
use hashbrown::HashMap;
use lock::{RwSpinLock, SpinLock, WriteGuard};

use crate::filesystem::Superblock;
use crate::inode::Inode;
use crate::ranks;
use crate::types::Kind;

type Children = HashMap<Box<[u8]>, Weak<Dentry>>;

/// A name of an inode.
pub struct Dentry {
    inode: Arc<dyn Inode>,
    kind: Kind,
    place: SpinLock<Place>,
    children: RwSpinLock<Children>,
    /// How many mounts cover this name.
    mounts: AtomicUsize,
    /// Where the file system's list of recently used names may hold this one.
    recent: AtomicUsize,
}

#[derive(Clone)]
struct Place {
    parent: Option<Arc<Dentry>>,
    name: Arc<[u8]>,
    deleted: bool,
}

impl Dentry {
    pub(crate) fn root(inode: Arc<dyn Inode>) -> Arc<Self> {
        Self::new(inode, None, &[], false)
    }

    /// A name that no directory holds, such as that of an `O_TMPFILE` file. It counts as
    /// deleted.
    pub fn unlinked(inode: Arc<dyn Inode>, parent: Option<Arc<Dentry>>, name: &[u8]) -> Arc<Self> {
        Self::new(inode, parent, name, true)
    }

    fn new(
        inode: Arc<dyn Inode>,
        parent: Option<Arc<Dentry>>,
        name: &[u8],
        deleted: bool,
    ) -> Arc<Self> {
        let kind = inode.kind();
        let place = Place { parent, name: name.into(), deleted };
        Arc::new(Self {
            inode,
            kind,
            place: SpinLock::new(ranks::PLACE, place),
            children: RwSpinLock::new(ranks::CHILDREN, Children::new()),
            mounts: AtomicUsize::new(0),
            recent: AtomicUsize::new(usize::MAX),
        })
    }

    /// The inode.
    #[inline]
    pub fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    /// The type of the inode.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The directory that holds the name; `None` for the root of a file system.
    pub fn parent(&self) -> Option<Arc<Dentry>> {
        self.place.lock().parent.clone()
    }

    /// The name; empty for the root of a file system.
    pub fn name(&self) -> Arc<[u8]> {
        self.place.lock().name.clone()
    }

    /// Whether the name was removed.
    pub fn is_deleted(&self) -> bool {
        self.place.lock().deleted
    }

    /// Parent, name, and whether the name was removed, all of the same moment.
    pub fn place(&self) -> (Option<Arc<Dentry>>, Arc<[u8]>, bool) {
        let Place { parent, name, deleted } = self.place.lock().clone();
        (parent, name, deleted)
    }

    pub(crate) fn recent(&self) -> usize {
        self.recent.load(Ordering::Relaxed)
    }

    pub(crate) fn set_recent(&self, slot: usize) {
        self.recent.store(slot, Ordering::Relaxed);
    }

    /// Whether something is mounted here, in any namespace.
    #[inline]
    pub(crate) fn is_covered(&self) -> bool {
        self.mounts.load(Ordering::Acquire) > 0
    }

    pub(crate) fn cover(&self) {
        self.mounts.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn uncover(&self) {
        self.mounts.fetch_sub(1, Ordering::AcqRel);
    }

    /// The child called `name`, from the cache or the file system.
    pub(crate) fn child(
        self: &Arc<Self>,
        superblock: &Superblock,
        name: &[u8],
    ) -> Result<Arc<Dentry>, Errno> {
        if let Some(child) = self.cached(name) {
            return Ok(child);
        }
        if !self.inode.children_are_stable() {
            let inode = self.inode.lookup(name)?;
            return Ok(Self::new(inode, Some(self.clone()), name, false));
        }
        let mut locked = self.lock();
        let child = locked.child(name)?;
        drop(locked);
        superblock.remember(child.clone());
        Ok(child)
    }

    #[inline]
    fn cached(&self, name: &[u8]) -> Option<Arc<Dentry>> {
        self.children.read().get(name)?.upgrade()
    }

    /// Locks the directory for a change.
    pub(crate) fn lock(self: &Arc<Self>) -> Locked<'_> {
        let children = self.children.write();
        Locked { children, directory: self, keep: Vec::new() }
    }

    /// As [`Dentry::lock`], while another directory is locked that has the lower address.
    fn lock_second(self: &Arc<Self>) -> Locked<'_> {
        let children = self.children.write_peer();
        Locked { children, directory: self, keep: Vec::new() }
    }

    /// Locks two different directories in an order that all callers share; the results are in
    /// the order of the arguments.
    pub(crate) fn lock_both<'a>(
        one: &'a Arc<Self>,
        two: &'a Arc<Self>,
    ) -> (Locked<'a>, Locked<'a>) {
        if Arc::as_ptr(one) < Arc::as_ptr(two) {
            let first = one.lock();
            (first, two.lock_second())
        } else {
            let first = two.lock();
            let second = one.lock_second();
            (second, first)
        }
    }

    /// Whether `self` is `other` or lies above it.
    pub(crate) fn is_ancestor_of(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut current = Some(other.clone());
        while let Some(dentry) = current {
            if Arc::ptr_eq(self, &dentry) {
                return true;
            }
            current = dentry.parent();
        }
        false
    }

    pub(crate) fn mark_deleted(&self) {
        self.place.lock().deleted = true;
    }

    pub(crate) fn move_to(&self, parent: &Arc<Dentry>, name: &[u8]) {
        let name: Arc<[u8]> = name.into();
        let mut place = self.place.lock();
        let old = place.parent.replace(parent.clone());
        place.name = name;
        place.deleted = false;
        drop(place);
        drop(old);
    }
}

impl Drop for Dentry {
    fn drop(&mut self) {
        let place = self.place.get_mut();
        let name = core::mem::replace(&mut place.name, Arc::new([]));
        let mut next = place.parent.take();
        if let Some(parent) = &next {
            parent.forget(&name);
        }
        // A loop, not recursion: a path can be thousands of names deep.
        while let Some(mut dentry) = next.take().and_then(Arc::into_inner) {
            let place = dentry.place.get_mut();
            let name = core::mem::replace(&mut place.name, Arc::new([]));
            next = place.parent.take();
            if let Some(parent) = &next {
                parent.forget(&name);
            }
        }
    }
}

impl Dentry {
    /// Removes the entry of a dentry that is no more, unless the name has a new one.
    fn forget(&self, name: &[u8]) {
        let mut children = self.children.write();
        if children.get(name).is_some_and(|child| child.strong_count() == 0) {
            children.remove(name);
        }
    }
}

/// A directory whose names nobody else changes or looks up.
pub(crate) struct Locked<'a> {
    // Fields drop in this order: `keep` may hold the last reference to a child, and dropping
    // that takes the lock.
    children: WriteGuard<'a, Children>,
    directory: &'a Arc<Dentry>,
    keep: Vec<Arc<Dentry>>,
}

impl Locked<'_> {
    /// The child called `name`, from the cache or the file system. The lock keeps a reference,
    /// so that callers may drop theirs.
    pub(crate) fn child(&mut self, name: &[u8]) -> Result<Arc<Dentry>, Errno> {
        let child = match self.children.get(name).and_then(Weak::upgrade) {
            Some(child) => child,
            None => {
                let inode = self.directory.inode.lookup(name)?;
                self.insert(name, inode)
            }
        };
        self.keep.push(child.clone());
        Ok(child)
    }

    /// Enters a new name that the file system has just got.
    pub(crate) fn insert(&mut self, name: &[u8], inode: Arc<dyn Inode>) -> Arc<Dentry> {
        let child = Dentry::new(inode, Some(self.directory.clone()), name, false);
        self.keep.push(child.clone());
        if self.directory.inode.children_are_stable() {
            self.children.insert(name.into(), Arc::downgrade(&child));
        }
        child
    }

    /// Takes a name out that the file system no longer has.
    pub(crate) fn remove(&mut self, name: &[u8]) {
        self.children.remove(name);
    }

    /// Enters a child that came from elsewhere.
    pub(crate) fn adopt(&mut self, name: &[u8], child: &Arc<Dentry>) {
        self.children.insert(name.into(), Arc::downgrade(child));
    }

    /// Unlocks; what it kept is to be dropped when no other directory is locked either.
    pub(crate) fn unlock(self) -> impl Sized + use<> {
        self.keep
    }

    /// The directory.
    pub(crate) fn inode(&self) -> &Arc<dyn Inode> {
        &self.directory.inode
    }
}

//! Mounts and mount tables.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use errno::Errno;
use hashbrown::HashMap;
use lock::RwSpinLock;

use crate::dentry::Dentry;
use crate::filesystem::Superblock;
use crate::location::Location;
use crate::notify::{Event, Listener};
use crate::ranks;
use crate::types::Kind;

/// Restrictions of a mount, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MountFlags(u32);

impl MountFlags {
    /// No restriction.
    pub const NONE: Self = Self(0);
    /// Nothing changes through this mount.
    pub const READ_ONLY: Self = Self(1);
    /// Set-id bits do not count.
    pub const NO_SUID: Self = Self(2);
    /// Devices cannot be opened.
    pub const NO_DEVICES: Self = Self(4);
    /// Nothing can be executed.
    pub const NO_EXECUTE: Self = Self(8);
    /// Access times stay.
    pub const NO_ACCESS_TIME: Self = Self(1024);
    /// Access times of directories stay.
    pub const NO_DIRECTORY_ACCESS_TIME: Self = Self(2048);
    /// Access times change at every access, not only when that matters.
    pub const STRICT_ACCESS_TIME: Self = Self(1 << 24);

    /// The bits, which are those of `mount(2)`.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// From the bits of `mount(2)`; others are dropped.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & (1 | 2 | 4 | 8 | 1024 | 2048 | 1 << 24))
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A file system, or a part of one, at a place in the tree.
pub struct Mount {
    number: u64,
    superblock: Arc<Superblock>,
    root: Arc<Dentry>,
    /// What it covers; `None` for a root or a mount without a place.
    parent: Option<Location>,
    /// Whether it was taken away from there.
    unmounted: AtomicBool,
    flags: AtomicU32,
}

impl Mount {
    /// A mount that no path leads to, for files without names.
    pub fn detached(superblock: Arc<Superblock>, flags: MountFlags) -> Arc<Self> {
        let root = superblock.root().clone();
        Arc::new(Self::assemble(0, superblock, root, None, flags))
    }

    fn assemble(
        number: u64,
        superblock: Arc<Superblock>,
        root: Arc<Dentry>,
        parent: Option<Location>,
        flags: MountFlags,
    ) -> Self {
        let flags = AtomicU32::new(flags.0);
        let unmounted = AtomicBool::new(false);
        Self { number, superblock, root, parent, unmounted, flags }
    }

    /// Its number, for `/proc/*/mountinfo`; 0 if it has no place.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The file system with its names.
    pub fn superblock(&self) -> &Arc<Superblock> {
        &self.superblock
    }

    /// The directory (or file) that it shows.
    pub fn root(&self) -> &Arc<Dentry> {
        &self.root
    }

    /// The place that it covers; `None` for a root, and when it was unmounted but is still in
    /// use.
    pub fn parent(&self) -> Option<&Location> {
        self.parent.as_ref().filter(|_| !self.unmounted.load(Ordering::Acquire))
    }

    /// Uncovers its place, once.
    fn leave(&self) {
        if let Some(parent) = &self.parent
            && !self.unmounted.swap(true, Ordering::AcqRel)
        {
            parent.dentry().uncover();
        }
    }

    /// Its restrictions.
    pub fn flags(&self) -> MountFlags {
        MountFlags(self.flags.load(Ordering::Relaxed))
    }

    /// Changes the restrictions (`MS_REMOUNT`).
    pub fn set_flags(&self, flags: MountFlags) {
        self.flags.store(flags.0, Ordering::Relaxed);
    }

    /// Whether nothing changes through this mount.
    ///
    /// # Errors
    /// `EROFS` if so.
    pub fn check_writable(&self) -> Result<(), Errno> {
        let read_only =
            self.flags().has(MountFlags::READ_ONLY) || self.superblock.file_system().is_read_only();
        if read_only { Err(Errno::EROFS) } else { Ok(()) }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.leave();
    }
}

/// By the addresses of mount and dentry, which the entry's mount keeps alive.
type Table = HashMap<(usize, usize), Arc<Mount>>;

/// A mount namespace: a root and what is mounted where.
pub struct Namespace {
    root: Location,
    table: RwSpinLock<Table>,
    numbers: AtomicU64,
    /// Counts changes of the table.
    changes: AtomicU64,
    /// Joins the two events of a move.
    moves: AtomicU32,
    listener: Option<Arc<dyn Listener>>,
}

fn key(mount: &Arc<Mount>, dentry: &Arc<Dentry>) -> (usize, usize) {
    (Arc::as_ptr(mount).addr(), Arc::as_ptr(dentry).addr())
}

impl Namespace {
    /// A namespace with `superblock` at `/`; `listener` hears of all changes through paths.
    pub fn new(
        superblock: Arc<Superblock>,
        flags: MountFlags,
        listener: Option<Arc<dyn Listener>>,
    ) -> Arc<Self> {
        let root = superblock.root().clone();
        let mount = Arc::new(Mount::assemble(1, superblock, root.clone(), None, flags));
        Arc::new(Self {
            root: Location::new(mount, root),
            table: RwSpinLock::new(ranks::MOUNTS, Table::new()),
            numbers: AtomicU64::new(2),
            changes: AtomicU64::new(0),
            moves: AtomicU32::new(0),
            listener,
        })
    }

    /// The directory at `/`, under whatever is mounted over it.
    pub fn root(&self) -> &Location {
        &self.root
    }

    /// Mounts `superblock` (or the part of it at `root`, for a bind mount) on `place`.
    ///
    /// # Errors
    /// `ENOTDIR` if one is a directory and the other is not; `ENOENT` if the place was removed.
    pub fn mount(
        &self,
        place: &Location,
        superblock: Arc<Superblock>,
        root: Option<Arc<Dentry>>,
        flags: MountFlags,
    ) -> Result<Arc<Mount>, Errno> {
        let place = self.top(place.clone());
        let root = root.unwrap_or_else(|| superblock.root().clone());
        let directory = |dentry: &Dentry| dentry.kind() == Kind::Directory;
        if directory(&root) != directory(place.dentry()) {
            return Err(Errno::ENOTDIR);
        }
        if place.dentry().is_deleted() {
            return Err(Errno::ENOENT);
        }
        let key = key(place.mount(), place.dentry());
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        place.dentry().cover();
        let mount = Arc::new(Mount::assemble(number, superblock, root, Some(place), flags));
        let mut table = self.table.write();
        if table.contains_key(&key) {
            // Another mount has just come here: ours goes on top of that one.
            drop(table);
            let Some(place) = mount.parent.clone() else { return Err(Errno::EBUSY) };
            let (superblock, root) = (mount.superblock.clone(), mount.root.clone());
            return self.mount(&place, superblock, Some(root), mount.flags());
        }
        table.insert(key, mount.clone());
        self.changes.fetch_add(1, Ordering::AcqRel);
        Ok(mount)
    }

    /// Takes the mount away whose root is `place`. With `lazy`, open files keep using it.
    ///
    /// # Errors
    /// `EINVAL` if this is not the root of a mount that has a place; `EBUSY` if something is
    /// mounted inside or, unless `lazy`, somebody uses it.
    pub fn unmount(&self, place: Location, lazy: bool) -> Result<(), Errno> {
        let (mount, dentry) = place.into_parts();
        if !Arc::ptr_eq(&dentry, &mount.root) {
            return Err(Errno::EINVAL);
        }
        drop(dentry);
        let Some(parent) = &mount.parent else {
            return Err(if mount.number == 1 { Errno::EBUSY } else { Errno::EINVAL });
        };
        let key = key(parent.mount(), parent.dentry());
        let mut table = self.table.write();
        if !table.get(&key).is_some_and(|found| Arc::ptr_eq(found, &mount)) {
            return Err(Errno::EINVAL);
        }
        let inside = |other: &Arc<Mount>| {
            other.parent.as_ref().is_some_and(|parent| Arc::ptr_eq(parent.mount(), &mount))
        };
        if table.values().any(inside) {
            return Err(Errno::EBUSY);
        }
        // One reference is the table's, one ours; every user has another.
        if !lazy && Arc::strong_count(&mount) > 2 {
            return Err(Errno::EBUSY);
        }
        let removed = table.remove(&key);
        self.changes.fetch_add(1, Ordering::AcqRel);
        drop(table);
        mount.leave();
        drop(removed);
        Ok(())
    }

    /// All mounts in the order in which they were made, the root first.
    pub fn mounts(&self) -> Vec<Arc<Mount>> {
        let mut mounts: Vec<_> = self.table.read().values().cloned().collect();
        mounts.push(self.root.mount().clone());
        mounts.sort_unstable_by_key(|mount| mount.number);
        mounts
    }

    /// What is on top at `location` after all mounts over it.
    pub fn top(&self, mut location: Location) -> Location {
        while let Some(mount) = self.covering(location.mount(), location.dentry()) {
            let root = mount.root.clone();
            location = Location::new(mount, root);
        }
        location
    }

    /// The mount right on a place.
    #[inline]
    pub(crate) fn covering(&self, mount: &Arc<Mount>, dentry: &Arc<Dentry>) -> Option<Arc<Mount>> {
        if !dentry.is_covered() {
            return None;
        }
        self.table.read().get(&key(mount, dentry)).cloned()
    }

    /// Counts changes of the table, for walks that must not be led astray by one.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    pub(crate) fn notify(&self, event: &Event<'_>) {
        if let Some(listener) = &self.listener {
            listener.event(event);
        }
    }

    pub(crate) fn next_move(&self) -> u32 {
        self.moves.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

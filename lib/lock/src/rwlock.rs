//! Many readers or one writer.

use core::ops::{Deref, DerefMut};

use spin::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::Relax;
use crate::rank::{Entry, Order, Rank};

/// A value that many vCPUs can read, or one can change.
pub struct RwSpinLock<T: ?Sized> {
    rank: Rank,
    inner: RwLock<T, Relax>,
}

impl<T> RwSpinLock<T> {
    /// An unlocked value.
    pub const fn new(rank: Rank, value: T) -> Self {
        Self { rank, inner: RwLock::new(value) }
    }

    /// The value, without the lock.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> RwSpinLock<T> {
    /// Waits until nobody changes the value or waits to.
    ///
    /// # Panics
    /// In debug builds, if this vCPU holds a lock of the same or a higher rank: also when it
    /// reads already, since a writer in between would block both.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> ReadGuard<'_, T> {
        Entry::check(self.rank, Order::Rising);
        ReadGuard { inner: self.inner.read(), _entry: Entry::new(self.rank) }
    }

    /// Waits until nobody uses the value; new readers wait behind this call.
    ///
    /// # Panics
    /// In debug builds, if this vCPU holds a lock of the same or a higher rank.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> WriteGuard<'_, T> {
        Entry::check(self.rank, Order::Rising);
        self.written()
    }

    /// As [`RwSpinLock::write`], but locks of the same rank may be held: the caller takes such
    /// locks in an order of their own, for example by address.
    #[inline]
    #[track_caller]
    pub fn write_peer(&self) -> WriteGuard<'_, T> {
        Entry::check(self.rank, Order::Peers);
        self.written()
    }

    #[inline]
    fn written(&self) -> WriteGuard<'_, T> {
        // Holding the upgradeable side keeps new readers out while the old ones leave.
        let inner = self.inner.upgradeable_read().upgrade();
        WriteGuard { inner, _entry: Entry::new(self.rank) }
    }

    /// Reads, if nobody changes the value right now.
    #[inline]
    pub fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        Entry::check(self.rank, Order::Attempt);
        Some(ReadGuard { inner: self.inner.try_read()?, _entry: Entry::new(self.rank) })
    }

    /// Changes, if nobody uses the value right now.
    #[inline]
    pub fn try_write(&self) -> Option<WriteGuard<'_, T>> {
        Entry::check(self.rank, Order::Attempt);
        Some(WriteGuard { inner: self.inner.try_write()?, _entry: Entry::new(self.rank) })
    }

    /// The value: whoever borrows the lock mutably is alone.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T: ?Sized> core::fmt::Debug for RwSpinLock<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RwSpinLock({})", self.rank)
    }
}

/// Shared access; dropping it ends it.
pub struct ReadGuard<'a, T: ?Sized> {
    inner: RwLockReadGuard<'a, T, Relax>,
    _entry: Entry,
}

impl<T: ?Sized> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

/// Exclusive access; dropping it ends it.
pub struct WriteGuard<'a, T: ?Sized> {
    inner: RwLockWriteGuard<'a, T, Relax>,
    _entry: Entry,
}

impl<T: ?Sized> Deref for WriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for WriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

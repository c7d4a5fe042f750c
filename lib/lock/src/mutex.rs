//! Mutual exclusion.

use core::ops::{Deref, DerefMut};

use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::Relax;
use crate::rank::{Entry, Order, Rank};

/// A value that one vCPU at a time can use.
pub struct SpinLock<T: ?Sized> {
    rank: Rank,
    inner: SpinMutex<T, Relax>,
}

impl<T> SpinLock<T> {
    /// An unlocked value.
    pub const fn new(rank: Rank, value: T) -> Self {
        Self { rank, inner: SpinMutex::new(value) }
    }

    /// The value, without the lock.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> SpinLock<T> {
    /// Waits until the value is free.
    ///
    /// # Panics
    /// In debug builds, if this vCPU holds a lock of the same or a higher rank.
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> SpinGuard<'_, T> {
        Entry::check(self.rank, Order::Rising);
        self.locked()
    }

    /// As [`SpinLock::lock`], but locks of the same rank may be held: the caller takes such
    /// locks in an order of their own, for example by address.
    #[inline]
    #[track_caller]
    pub fn lock_peer(&self) -> SpinGuard<'_, T> {
        Entry::check(self.rank, Order::Peers);
        self.locked()
    }

    #[inline]
    fn locked(&self) -> SpinGuard<'_, T> {
        SpinGuard { inner: self.inner.lock(), _entry: Entry::new(self.rank) }
    }

    /// The value, if it is free right now.
    #[inline]
    pub fn try_lock(&self) -> Option<SpinGuard<'_, T>> {
        Entry::check(self.rank, Order::Attempt);
        Some(SpinGuard { inner: self.inner.try_lock()?, _entry: Entry::new(self.rank) })
    }

    /// The value: whoever borrows the lock mutably is alone.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T: ?Sized> core::fmt::Debug for SpinLock<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SpinLock({})", self.rank)
    }
}

/// Access to a locked value; dropping it unlocks.
pub struct SpinGuard<'a, T: ?Sized> {
    // Fields drop in this order: unlock, then take it off the books.
    inner: SpinMutexGuard<'a, T, Relax>,
    _entry: Entry,
}

impl<T: ?Sized> Deref for SpinGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for SpinGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{Held, Hooks, RwSpinLock, assert_none_held, register};

    const OUTER: Rank = Rank::new(1, "outer");
    const INNER: Rank = Rank::new(2, "inner");

    static RELAXED: AtomicUsize = AtomicUsize::new(0);

    fn setup() {
        std::thread_local! {
            static HELD: &'static Held = std::boxed::Box::leak(std::boxed::Box::default());
        }
        register(Hooks {
            relax: || {
                RELAXED.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
            },
            held: || HELD.try_with(|held| *held).ok(),
        });
    }

    #[test]
    fn rising_order_passes_and_guards_drop_in_any_order() {
        setup();
        let (outer, inner) = (SpinLock::new(OUTER, 1), RwSpinLock::new(INNER, 2));
        let first = outer.lock();
        let second = inner.read();
        assert_eq!(*first + *second, 3);
        drop(first);
        drop(second);
        assert_none_held();
        let second = inner.write();
        drop(second);
        drop(outer.lock());
    }

    #[test]
    #[should_panic(expected = "lock order: outer (rank 1) taken while inner (rank 2) is held")]
    fn falling_order_panics_with_both_names() {
        setup();
        let (outer, inner) = (SpinLock::new(OUTER, ()), SpinLock::new(INNER, ()));
        let _inner = inner.lock();
        let _outer = outer.lock();
    }

    #[test]
    #[should_panic(expected = "taken while outer")]
    fn the_same_rank_twice_panics() {
        setup();
        let (one, two) = (SpinLock::new(OUTER, ()), SpinLock::new(OUTER, ()));
        let _one = one.lock();
        let _two = two.lock();
    }

    #[test]
    #[should_panic(expected = "sleeping while outer (rank 1) is held")]
    fn sleeping_with_a_lock_panics() {
        setup();
        let lock = SpinLock::new(OUTER, ());
        let _guard = lock.lock();
        assert_none_held();
    }

    #[test]
    fn peers_and_attempts_may_break_the_order() {
        setup();
        let (one, two) = (SpinLock::new(OUTER, ()), SpinLock::new(OUTER, ()));
        let first = one.lock();
        let second = two.lock_peer();
        assert!(one.try_lock().is_none());
        drop(first);
        assert!(one.try_lock().is_some());
        drop(second);
        assert_none_held();
    }

    #[test]
    fn two_threads_exclude_each_other() {
        setup();
        let counter = Arc::new(SpinLock::new(OUTER, 0u64));
        let shared = Arc::new(RwSpinLock::new(INNER, (0u64, 0u64)));
        let threads: std::vec::Vec<_> = (0..3)
            .map(|_| {
                let (counter, shared) = (counter.clone(), shared.clone());
                std::thread::spawn(move || {
                    for round in 0..20_000 {
                        *counter.lock() += 1;
                        if round % 8 == 0 {
                            let mut pair = shared.write();
                            pair.0 += 1;
                            pair.1 += 1;
                        } else {
                            let pair = shared.read();
                            assert_eq!(pair.0, pair.1);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*counter.lock(), 60_000);
        assert_eq!(*shared.read(), (7_500, 7_500));
    }

    #[test]
    fn waiting_calls_the_hook() {
        setup();
        let lock = Arc::new(SpinLock::new(OUTER, ()));
        let guard = lock.lock();
        let before = RELAXED.load(Ordering::Relaxed);
        let other = lock.clone();
        let waiter = std::thread::spawn(move || drop(other.lock()));
        while RELAXED.load(Ordering::Relaxed) == before {
            std::thread::yield_now();
        }
        drop(guard);
        waiter.join().unwrap();
    }
}

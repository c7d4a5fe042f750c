//! The order of locks, checked in debug builds.

#[cfg(debug_assertions)]
use crate::HOOKS;

/// The place of a lock in the order in which locks are taken: outer locks have lower levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    level: u8,
    name: &'static str,
}

impl Rank {
    /// A rank; the name is for messages.
    pub const fn new(level: u8, name: &'static str) -> Self {
        Self { level, name }
    }

    /// The level: a lock is taken only while all held ones have lower levels.
    pub const fn level(self) -> u8 {
        self.level
    }

    /// The name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

impl core::fmt::Display for Rank {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} (rank {})", self.name, self.level)
    }
}

const DEEPEST: usize = 32;

/// The locks that one vCPU holds.
#[derive(Debug)]
pub struct Held {
    // Only its own vCPU takes this lock. Where that vCPU is interrupted in here, the
    // interrupting code finds it taken and goes unchecked.
    slots: spin::Mutex<[Option<Rank>; DEEPEST]>,
}

impl Default for Held {
    fn default() -> Self {
        Self::new()
    }
}

impl Held {
    /// No lock is held.
    pub const fn new() -> Self {
        Self { slots: spin::Mutex::new([None; DEEPEST]) }
    }

    /// The held lock of the highest level.
    pub fn highest(&self) -> Option<Rank> {
        let slots = self.slots.try_lock()?;
        slots.iter().flatten().max_by_key(|rank| rank.level).copied()
    }

    #[cfg(debug_assertions)]
    fn enter(&self, rank: Rank) -> Option<usize> {
        let mut slots = self.slots.try_lock()?;
        let free = slots.iter().position(Option::is_none)?;
        slots[free] = Some(rank);
        Some(free)
    }

    #[cfg(debug_assertions)]
    fn leave(&self, slot: usize) {
        if let Some(mut slots) = self.slots.try_lock() {
            slots[slot] = None;
        }
    }
}

/// Whether a new lock must be ranked above the held ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Strictly.
    Rising,
    /// At least as high: the caller orders locks of one rank.
    Peers,
    /// Not at all: an attempt that gives up cannot deadlock.
    Attempt,
}

/// A held lock, in the books of the vCPU that took it.
pub(crate) struct Entry {
    #[cfg(debug_assertions)]
    held: Option<(&'static Held, usize)>,
}

impl Entry {
    /// Checks the order before a lock is waited for.
    #[inline]
    #[track_caller]
    pub(crate) fn check(rank: Rank, order: Order) {
        #[cfg(debug_assertions)]
        if let Some(highest) = current().and_then(Held::highest) {
            let fine = match order {
                Order::Rising => rank.level > highest.level,
                Order::Peers => rank.level >= highest.level,
                Order::Attempt => true,
            };
            assert!(fine, "lock order: {rank} taken while {highest} is held");
        }
        #[cfg(not(debug_assertions))]
        let _ = (rank, order);
    }

    /// Notes that the lock is held now.
    #[inline]
    pub(crate) fn new(rank: Rank) -> Self {
        #[cfg(debug_assertions)]
        return Self { held: current().and_then(|held| Some((held, held.enter(rank)?))) };
        #[cfg(not(debug_assertions))]
        {
            let _ = rank;
            Self {}
        }
    }
}

#[cfg(debug_assertions)]
impl Drop for Entry {
    fn drop(&mut self) {
        if let Some((held, slot)) = self.held {
            held.leave(slot);
        }
    }
}

#[cfg(debug_assertions)]
fn current() -> Option<&'static Held> {
    HOOKS.get().and_then(|hooks| (hooks.held)())
}

/// Panics if the calling vCPU holds a lock. For places that may sleep; does nothing in release
/// builds.
#[inline]
#[track_caller]
pub fn assert_none_held() {
    #[cfg(debug_assertions)]
    if let Some(rank) = current().and_then(Held::highest) {
        panic!("sleeping while {rank} is held");
    }
}

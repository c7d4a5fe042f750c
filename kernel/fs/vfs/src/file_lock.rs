//! Advisory locks on a file: POSIX record locks, open-file-description locks, `flock`.
//!
//! One table per inode and kind of lock (`flock` locks do not see the others); `flock` uses the
//! whole range. A lock that is in the way is returned: waiting for it, and noticing that two
//! wait for each other, is up to the caller.

use alloc::vec::Vec;

/// Who holds a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A process (POSIX locks), by whatever number the caller uses.
    Process(u64),
    /// An open file description (OFD locks and `flock`).
    Description(u64),
}

/// How much a lock excludes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// Writers (`F_RDLCK`, `LOCK_SH`).
    Shared,
    /// Everybody else (`F_WRLCK`, `LOCK_EX`).
    Exclusive,
}

/// Bytes `start` to `end`, without `end`; [`LockRange::ALL`] ends where files cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockRange {
    start: u64,
    end: u64,
}

impl LockRange {
    /// The whole file, however it grows.
    pub const ALL: Self = Self { start: 0, end: u64::MAX };

    /// `length` bytes from `start` on, or all of them if it is 0; a negative length means bytes
    /// before `start` (`fcntl(2)`). `None` if the range is not within a file's possible bytes.
    pub fn new(start: i64, length: i64) -> Option<Self> {
        let (start, end) = match length {
            0 => (start, i64::MAX),
            1.. => (start, start.checked_add(length)?),
            _ => (start.checked_add(length)?, start),
        };
        let from = u64::try_from(start).ok()?;
        let to = if length == 0 { u64::MAX } else { u64::try_from(end).ok()? };
        (from < to).then_some(Self { start: from, end: to })
    }

    /// The first byte.
    pub fn start(self) -> u64 {
        self.start
    }

    /// How many bytes; 0 if it goes on for ever, as `fcntl` says it.
    pub fn length(self) -> u64 {
        if self.end == u64::MAX { 0 } else { self.end - self.start }
    }

    fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    fn touches(self, other: Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// A lock that is in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// Its holder.
    pub owner: Owner,
    /// Its kind.
    pub kind: LockKind,
    /// Its bytes.
    pub range: LockRange,
    /// The process to show for it, as passed to [`FileLocks::set`].
    pub process: i32,
}

/// The locks of one inode.
#[derive(Debug, Default, Clone)]
pub struct FileLocks {
    /// In no order: tables are small, and each change looks at every lock anyway.
    held: Vec<Conflict>,
}

impl FileLocks {
    /// No locks.
    pub const fn new() -> Self {
        Self { held: Vec::new() }
    }

    /// Whether nobody holds a lock.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// All locks, for `/proc/locks`.
    pub fn iter(&self) -> impl Iterator<Item = &Conflict> {
        self.held.iter()
    }

    /// The first lock that keeps `owner` from getting this one.
    pub fn conflict(&self, owner: Owner, kind: LockKind, range: LockRange) -> Option<Conflict> {
        let in_the_way = |held: &&Conflict| {
            held.owner != owner
                && held.range.overlaps(range)
                && (kind == LockKind::Exclusive || held.kind == LockKind::Exclusive)
        };
        self.held.iter().filter(in_the_way).min_by_key(|held| held.range.start).copied()
    }

    /// Locks `range` in place of what `owner` has locked in there. Returns whether a lock of
    /// the owner was weakened on the way, so that who waits may try again.
    ///
    /// # Errors
    /// The lock that is in the way; nothing has changed then.
    pub fn set(
        &mut self,
        owner: Owner,
        kind: LockKind,
        range: LockRange,
        process: i32,
    ) -> Result<bool, Conflict> {
        if let Some(conflict) = self.conflict(owner, kind, range) {
            return Err(conflict);
        }
        let had_exclusive = |held: &Conflict| {
            held.owner == owner && held.kind == LockKind::Exclusive && held.range.overlaps(range)
        };
        let weakened = kind == LockKind::Shared && self.held.iter().any(had_exclusive);
        self.unlock(owner, range);
        let mut range = range;
        self.held.retain(|held| {
            let joins = held.owner == owner && held.kind == kind && held.range.touches(range);
            if joins {
                range.start = range.start.min(held.range.start);
                range.end = range.end.max(held.range.end);
            }
            !joins
        });
        self.held.push(Conflict { owner, kind, range, process });
        Ok(weakened)
    }

    /// Unlocks `range` as far as `owner` holds it; locks that reach out of it are cut. Returns
    /// whether anything was unlocked.
    pub fn unlock(&mut self, owner: Owner, range: LockRange) -> bool {
        let mut changed = false;
        let mut rest = Vec::new();
        self.held.retain(|held| {
            if held.owner != owner || !held.range.overlaps(range) {
                return true;
            }
            changed = true;
            if held.range.start < range.start {
                let range = LockRange { end: range.start, ..held.range };
                rest.push(Conflict { range, ..*held });
            }
            if held.range.end > range.end {
                let range = LockRange { start: range.end, ..held.range };
                rest.push(Conflict { range, ..*held });
            }
            false
        });
        self.held.append(&mut rest);
        changed
    }

    /// Drops all locks of `owner`; returns whether there were any.
    pub fn release(&mut self, owner: Owner) -> bool {
        self.unlock(owner, LockRange::ALL)
    }
}

use core::ops::{Add, AddAssign, Sub};

/// Nanoseconds in a microsecond.
pub const MICROSECOND: u64 = 1_000;
/// Nanoseconds in a millisecond.
pub const MILLISECOND: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// A point in time: nanoseconds since a start that the caller chose and never moves back.
///
/// Spans are plain nanoseconds (`u64`). Arithmetic saturates, so [`Instant::NEVER`] stays never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The start of time.
    pub const ZERO: Instant = Instant(0);
    /// Later than every other instant: the deadline of a timer that is off.
    pub const NEVER: Instant = Instant(u64::MAX);

    /// The instant `nanoseconds` after the start.
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Instant(nanoseconds)
    }

    /// The instant `milliseconds` after the start.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Instant(milliseconds.saturating_mul(MILLISECOND))
    }

    /// Nanoseconds since the start.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    pub const fn millis(self) -> u64 {
        self.0 / MILLISECOND
    }

    /// Nanoseconds from `earlier` to this instant, 0 if it is not earlier.
    pub const fn since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether a timer with this deadline is armed.
    pub const fn is_armed(self) -> bool {
        self.0 != u64::MAX
    }
}

impl Add<u64> for Instant {
    type Output = Instant;

    fn add(self, nanoseconds: u64) -> Instant {
        Instant(self.0.saturating_add(nanoseconds))
    }
}

impl AddAssign<u64> for Instant {
    fn add_assign(&mut self, nanoseconds: u64) {
        *self = *self + nanoseconds;
    }
}

impl Sub<u64> for Instant {
    type Output = Instant;

    fn sub(self, nanoseconds: u64) -> Instant {
        Instant(self.0.saturating_sub(nanoseconds))
    }
}

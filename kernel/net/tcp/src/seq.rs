use core::ops::{Add, AddAssign, Sub};

/// A sequence number: arithmetic modulo 2^32 (RFC 9293 §3.4).
///
/// It has no total order, hence no `Ord`; compare with [`Seq::before`] and its relatives, which
/// hold for numbers less than 2^31 apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seq(pub u32);

impl Seq {
    /// Whether this number precedes `other`.
    pub const fn before(self, other: Seq) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// Whether this number follows `other`.
    pub const fn after(self, other: Seq) -> bool {
        other.before(self)
    }

    /// Whether this number precedes or equals `other`.
    pub const fn at_or_before(self, other: Seq) -> bool {
        !other.before(self)
    }

    /// The later of two.
    pub const fn max(self, other: Seq) -> Seq {
        if self.before(other) { other } else { self }
    }

    /// The earlier of two.
    pub const fn min(self, other: Seq) -> Seq {
        if self.before(other) { self } else { other }
    }

    /// Octets from `earlier` to this number, 0 if it is not earlier.
    pub const fn since(self, earlier: Seq) -> u32 {
        if earlier.before(self) { self.0.wrapping_sub(earlier.0) } else { 0 }
    }
}

impl Add<u32> for Seq {
    type Output = Seq;

    fn add(self, octets: u32) -> Seq {
        Seq(self.0.wrapping_add(octets))
    }
}

impl AddAssign<u32> for Seq {
    fn add_assign(&mut self, octets: u32) {
        *self = *self + octets;
    }
}

impl Sub<u32> for Seq {
    type Output = Seq;

    fn sub(self, octets: u32) -> Seq {
        Seq(self.0.wrapping_sub(octets))
    }
}

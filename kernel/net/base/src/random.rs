use crate::hash::Key;

/// A generator seeded by the caller: SipHash of a counter under a secret key.
///
/// Unpredictable without the seed, reproducible with it, which is what tests with virtual time
/// and the defences against blind attacks both need.
#[derive(Debug, Clone)]
pub struct Random {
    key: Key,
    counter: u64,
}

impl Random {
    /// A generator from 128 bits of entropy.
    pub const fn new(seed: [u64; 2]) -> Self {
        Random { key: Key(seed[0], seed[1]), counter: 0 }
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        self.key.sip(&[self.counter])
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A fresh secret.
    pub fn key(&mut self) -> Key {
        Key(self.bits(), self.bits())
    }
}

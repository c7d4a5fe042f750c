//! Which parts of a zone are taken.

use crate::ZONE;

/// The unit in which a zone is given out, in bytes.
pub const SLOT: usize = 16;

const SLOTS: usize = ZONE as usize / SLOT;

/// The free slots of a zone.
#[derive(Clone, Debug)]
pub struct Zone {
    taken: [u64; SLOTS / 64],
}

impl Default for Zone {
    fn default() -> Self {
        Self::new()
    }
}

impl Zone {
    /// A zone that is free altogether.
    pub const fn new() -> Self {
        Self { taken: [0; SLOTS / 64] }
    }

    fn is_free(&self, slot: usize) -> bool {
        self.taken[slot / 64] >> (slot % 64) & 1 == 0
    }

    /// Takes the first room of `length` bytes whose offset `suits`. `None`: there is none.
    pub fn take(&mut self, length: usize, suits: impl Fn(usize) -> bool) -> Option<usize> {
        let count = length.div_ceil(SLOT);
        let mut free = 0;
        for slot in 0..SLOTS {
            free = if self.is_free(slot) { free + 1 } else { 0 };
            if free < count {
                continue;
            }
            let first = slot + 1 - count;
            if suits(first * SLOT) {
                for taken in first..first + count {
                    self.taken[taken / 64] |= 1 << (taken % 64);
                }
                return Some(first * SLOT);
            }
        }
        None
    }
}

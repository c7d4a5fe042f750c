//! The kernel's random numbers: ChaCha, seeded by the host and stirred by the platform.

use lock::SpinLock;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::rank;

static GENERATOR: SpinLock<Option<ChaCha12Rng>> = SpinLock::new(rank::RANDOM, None);

/// Seeds the generator with what the host gave and what the platform has.
pub fn seed(mut seed: [u8; 32]) {
    let mut own = [0; 32];
    if hal::entropy(&mut own) {
        seed.iter_mut().zip(own).for_each(|(byte, other)| *byte ^= other);
    }
    *GENERATOR.lock() = Some(ChaCha12Rng::from_seed(seed));
}

/// Fills `buffer`.
pub fn fill(buffer: &mut [u8]) {
    if let Some(generator) = &mut *GENERATOR.lock() {
        generator.fill_bytes(buffer);
    }
}

/// A random number.
pub fn number() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_le_bytes(bytes)
}

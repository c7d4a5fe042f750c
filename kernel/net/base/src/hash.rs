//! Keyed hashes.
//!
//! [`Key::sip`] is SipHash-1-3 over 64-bit words: for sequence numbers, ports and cookies, which
//! an attacker must not predict. [`Fold`] is a keyed folded multiplication for hash tables:
//! a few nanoseconds per flow, and without the key nobody can aim flows at one bucket.

use core::hash::{BuildHasher, Hasher};

/// A secret of 128 bits.
#[derive(Debug, Clone, Copy)]
pub struct Key(pub u64, pub u64);

impl Key {
    /// SipHash-1-3 of the words, with their number mixed in as the length.
    pub fn sip(self, words: &[u64]) -> u64 {
        let mut v = [
            self.0 ^ 0x736f_6d65_7073_6575,
            self.1 ^ 0x646f_7261_6e64_6f6d,
            self.0 ^ 0x6c79_6765_6e65_7261,
            self.1 ^ 0x7465_6462_7974_6573,
        ];
        for &word in words {
            v[3] ^= word;
            round(&mut v);
            v[0] ^= word;
        }
        let last = (words.len() as u64 * 8) << 56;
        v[3] ^= last;
        round(&mut v);
        v[0] ^= last;
        v[2] ^= 0xff;
        round(&mut v);
        round(&mut v);
        round(&mut v);
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}

/// Builds keyed table hashers; see the module.
#[derive(Debug, Clone, Copy)]
pub struct Fold(Key);

impl Fold {
    /// A hasher family under `key`.
    pub const fn new(key: Key) -> Self {
        Fold(key)
    }
}

impl BuildHasher for Fold {
    type Hasher = FoldHasher;

    fn build_hasher(&self) -> FoldHasher {
        FoldHasher { state: self.0.0, key: self.0.1 | 1 }
    }
}

/// The running state of one [`Fold`] hash.
#[derive(Debug, Clone, Copy)]
pub struct FoldHasher {
    state: u64,
    key: u64,
}

impl Hasher for FoldHasher {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.state = fold(self.state ^ value, 0x9e37_79b9_7f4a_7c15 ^ self.key);
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn finish(&self) -> u64 {
        fold(self.state, self.key ^ 0xd6e8_feb8_6659_fd93)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sip_depends_on_every_word_and_on_the_length() {
        let key = Key(1, 2);
        let base = key.sip(&[1, 2, 3]);
        assert_ne!(base, key.sip(&[1, 2, 4]));
        assert_ne!(base, key.sip(&[0, 2, 3]));
        assert_ne!(key.sip(&[0]), key.sip(&[0, 0]));
        assert_ne!(base, Key(1, 3).sip(&[1, 2, 3]));
    }

    #[test]
    fn fold_spreads_neighbouring_keys_over_buckets() {
        let build = Fold::new(Key(0x1234, 0x9876));
        let mut buckets = [0u32; 64];
        for port in 0..6400u32 {
            let mut hasher = build.build_hasher();
            hasher.write_u128(0xffff_0a00_0001);
            hasher.write_u32(port);
            buckets[hasher.finish() as usize % 64] += 1;
        }
        assert!(buckets.iter().all(|&count| (50..160).contains(&count)), "{buckets:?}");
    }
}

//! MD5 digests of payloads, to compare captures. Not for security.
//!
//! Source: RFC 1321.

use alloc::format;
use alloc::string::String;

const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

const SINES: [u32; 64] = [
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
];

fn block(state: &mut [u32; 4], bytes: &[u8]) {
    let word = |at: usize| {
        let bytes = bytes.get(at * 4..at * 4 + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_le_bytes(bytes.unwrap_or_default())
    };
    let [mut a, mut b, mut c, mut d] = *state;
    for (step, sine) in SINES.iter().enumerate() {
        let (mix, which) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
            2 => (b ^ c ^ d, (3 * step + 5) % 16),
            _ => (c ^ (b | !d), 7 * step % 16),
        };
        let turned = a.wrapping_add(mix).wrapping_add(*sine).wrapping_add(word(which));
        let next = b.wrapping_add(turned.rotate_left(SHIFTS[step / 16][step % 4]));
        (a, d, c, b) = (d, c, b, next);
    }
    for (old, new) in state.iter_mut().zip([a, b, c, d]) {
        *old = old.wrapping_add(new);
    }
}

/// The digest of some bytes.
pub(crate) fn digest(bytes: &[u8]) -> [u8; 16] {
    let mut state = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];
    let mut blocks = bytes.chunks_exact(64);
    for whole in &mut blocks {
        block(&mut state, whole);
    }
    let rest = blocks.remainder();
    let mut last = [0; 128];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 0x80;
    let size = if rest.len() < 56 { 64 } else { 128 };
    last[size - 8..size].copy_from_slice(&(bytes.len() as u64 * 8).to_le_bytes());
    for whole in last[..size].chunks_exact(64) {
        block(&mut state, whole);
    }
    let mut out = [0; 16];
    for (slot, word) in out.chunks_exact_mut(4).zip(state) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    out
}

/// A digest in hexadecimal.
pub(crate) fn hexadecimal(digest: [u8; 16]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@";

/// A digest in 22 characters of six bits each, lowest first.
pub(crate) fn text(digest: [u8; 16]) -> String {
    let mut out = String::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in digest {
        bits |= u32::from(byte) << count;
        count += 8;
        while count >= 6 {
            out.push(char::from(ALPHABET[(bits & 63) as usize]));
            bits >>= 6;
            count -= 6;
        }
    }
    out.push(char::from(ALPHABET[(bits & 63) as usize]));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        assert_eq!(hexadecimal(digest(b"")), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(text(digest(b"")), "u3bJz@iaYsq6aMaMSJVq_b");
        assert_eq!(hexadecimal(digest(&[b'a'; 64])), "014842d480b571495a4a0363793f7367");
    }
}

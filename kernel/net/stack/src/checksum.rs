use core::net::IpAddr;

use drupe_net_base::Chain;

/// A running Internet checksum (RFC 1071), before folding and complement.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes that start at an even offset. A last odd byte counts as the high half of a
    /// 16-bit word.
    pub fn add(&mut self, bytes: &[u8]) {
        // Sum 32-bit words of either byte order in 64 bits; folding makes up for the rest.
        let mut sum = 0u64;
        let mut blocks = bytes.chunks_exact(32);
        for block in &mut blocks {
            let mut words = [0u32; 8];
            for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
                *word = u32::from_ne_bytes(*bytes);
            }
            sum += words.iter().map(|&word| u64::from(word)).sum::<u64>();
        }
        let (words, tail) = blocks.remainder().as_chunks::<4>();
        for word in words {
            sum += u64::from(u32::from_ne_bytes(*word));
        }
        let mut last = [0; 4];
        last[..tail.len()].copy_from_slice(tail);
        sum += u64::from(u32::from_ne_bytes(last));
        // Back to network order: swapping the folded halves is swapping the sum.
        let folded = fold(sum);
        self.0 += u64::from(u16::from_be(folded));
    }

    /// Adds a 16-bit word.
    pub fn add_word(&mut self, word: u16) {
        self.0 += u64::from(word);
    }

    /// Adds a chain, from an even offset.
    pub fn add_chain(&mut self, chain: &Chain) {
        let mut odd = false;
        for chunk in chain.chunks() {
            let mut part = Sum::default();
            part.add(chunk.bytes());
            let folded = fold(part.0);
            self.0 += u64::from(if odd { folded.swap_bytes() } else { folded });
            odd ^= chunk.len() % 2 == 1;
        }
    }

    /// The pseudo header of an upper layer protocol.
    pub fn pseudo_header(
        source: &IpAddr,
        destination: &IpAddr,
        protocol: u8,
        length: usize,
    ) -> Sum {
        let mut sum = Sum::default();
        for address in [source, destination] {
            match address {
                IpAddr::V4(address) => sum.add(&address.octets()),
                IpAddr::V6(address) => sum.add(&address.octets()),
            }
        }
        sum.0 += u64::from(protocol) + (length as u64 >> 16) + (length as u64 & 0xffff);
        sum
    }

    /// The sum folded to 16 bits, not complemented: what a device with checksum offload wants to
    /// find in the field.
    pub fn partial(self) -> u16 {
        fold(self.0)
    }

    /// The checksum.
    pub fn finish(self) -> u16 {
        !fold(self.0)
    }

    /// Whether bytes that contain their checksum add up.
    pub fn is_valid(self) -> bool {
        fold(self.0) == 0xffff
    }
}

fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use drupe_net_base::Chunk;
    use proptest::prelude::*;

    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&b| u32::from(b));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..5),
        ) {
            let mut chain = Chain::new();
            for part in &parts {
                chain.push(Chunk::from_vec(part.clone()));
            }
            let all: Vec<u8> = parts.concat();
            let mut sum = Sum::default();
            sum.add_chain(&chain);
            let expected = reference(&all);
            // 0 and 0xffff are the same number.
            prop_assert_eq!(sum.partial() % 0xffff, expected % 0xffff);
        }
    }
}

use crate::Seq;

/// The options of a segment that drupe understands; unknown ones are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Maximum segment size (RFC 9293 §3.7.1), only on SYN.
    pub mss: Option<u16>,
    /// Window scale shift (RFC 7323 §2), only on SYN, at most 14.
    pub window_scale: Option<u8>,
    /// SACK permitted (RFC 2018), only on SYN.
    pub sack_permitted: bool,
    /// Timestamp value and echo (RFC 7323 §3).
    pub timestamps: Option<(u32, u32)>,
    /// Selective acknowledgments, as received or to be sent.
    pub sack: SackBlocks,
}

/// Up to four ranges of received octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SackBlocks {
    blocks: [(Seq, Seq); 4],
    count: u8,
}

impl SackBlocks {
    /// Adds a range `start..end` unless four are there.
    pub fn push(&mut self, start: Seq, end: Seq) {
        if let Some(block) = self.blocks.get_mut(usize::from(self.count)) {
            *block = (start, end);
            self.count += 1;
        }
    }

    /// The ranges.
    pub fn as_slice(&self) -> &[(Seq, Seq)] {
        &self.blocks[..usize::from(self.count)]
    }

    /// Keeps at most `count` ranges.
    pub fn truncate(&mut self, count: usize) {
        self.count = self.count.min(count.min(4) as u8);
    }
}

/// Encoded options: at most 40 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionBytes {
    bytes: [u8; 40],
    length: u8,
}

impl Default for OptionBytes {
    fn default() -> Self {
        OptionBytes { bytes: [0; 40], length: 0 }
    }
}

impl OptionBytes {
    /// The octets, a multiple of four.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    fn put(&mut self, bytes: &[u8]) {
        let start = usize::from(self.length);
        if let Some(room) = self.bytes.get_mut(start..start + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len() as u8;
        }
    }
}

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

fn be32(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

impl Options {
    /// Reads the options part of a header. A malformed option ends the reading, as in other
    /// stacks; what came before it counts.
    pub fn parse(mut bytes: &[u8]) -> Options {
        let mut options = Options::default();
        // The layout that nearly every established segment has.
        if let [NOP, NOP, TIMESTAMPS, 10, rest @ ..] = bytes
            && rest.len() == 8
        {
            options.timestamps = Some((be32(rest), be32(&rest[4..])));
            return options;
        }
        while let Some(&kind) = bytes.first() {
            match kind {
                END => break,
                NOP => {
                    bytes = &bytes[1..];
                    continue;
                }
                _ => {}
            }
            let Some(&length) = bytes.get(1) else { break };
            let length = usize::from(length);
            if length < 2 || length > bytes.len() {
                break;
            }
            let data = &bytes[2..length];
            match (kind, data.len()) {
                (MSS, 2) => options.mss = Some(u16::from_be_bytes([data[0], data[1]])),
                (WINDOW_SCALE, 1) => options.window_scale = Some(data[0].min(14)),
                (SACK_PERMITTED, 0) => options.sack_permitted = true,
                (TIMESTAMPS, 8) => options.timestamps = Some((be32(data), be32(&data[4..]))),
                (SACK, 8 | 16 | 24 | 32) => {
                    for block in data.chunks_exact(8) {
                        options.sack.push(Seq(be32(block)), Seq(be32(&block[4..])));
                    }
                }
                _ => {}
            }
            bytes = &bytes[length..];
        }
        options
    }

    /// Encodes, padded to four octets. SACK ranges that find no room are left out.
    pub fn encode(&self) -> OptionBytes {
        let mut out = OptionBytes::default();
        if let (Some((value, echo)), None, None, 0, false) =
            (self.timestamps, self.mss, self.window_scale, self.sack.count, self.sack_permitted)
        {
            // What nearly every segment carries.
            out.bytes[..4].copy_from_slice(&[NOP, NOP, TIMESTAMPS, 10]);
            out.bytes[4..8].copy_from_slice(&value.to_be_bytes());
            out.bytes[8..12].copy_from_slice(&echo.to_be_bytes());
            out.length = 12;
            return out;
        }
        if let Some(mss) = self.mss {
            let [high, low] = mss.to_be_bytes();
            out.put(&[MSS, 4, high, low]);
        }
        match (self.sack_permitted, self.timestamps) {
            (true, Some(_)) => out.put(&[SACK_PERMITTED, 2]),
            (true, None) => out.put(&[NOP, NOP, SACK_PERMITTED, 2]),
            (false, Some(_)) => out.put(&[NOP, NOP]),
            (false, None) => {}
        }
        if let Some((value, echo)) = self.timestamps {
            let [a, b, c, d] = value.to_be_bytes();
            let [e, f, g, h] = echo.to_be_bytes();
            out.put(&[TIMESTAMPS, 10, a, b, c, d, e, f, g, h]);
        }
        if let Some(shift) = self.window_scale {
            out.put(&[NOP, WINDOW_SCALE, 3, shift]);
        }
        let room = (40 - usize::from(out.length)).saturating_sub(4) / 8;
        let blocks = self.sack.as_slice();
        let blocks = &blocks[..blocks.len().min(room)];
        if !blocks.is_empty() {
            out.put(&[NOP, NOP, SACK, 2 + 8 * blocks.len() as u8]);
            for (start, end) in blocks {
                out.put(&start.0.to_be_bytes());
                out.put(&end.0.to_be_bytes());
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_encoded_is_read_back() {
        let mut options = Options {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true,
            timestamps: Some((1, 2)),
            ..Options::default()
        };
        assert_eq!(options.encode().as_slice().len(), 20);
        assert_eq!(Options::parse(options.encode().as_slice()), options);
        options = Options { timestamps: Some((0xdead_beef, 7)), ..Options::default() };
        assert_eq!(options.encode().as_slice().len(), 12);
        assert_eq!(Options::parse(options.encode().as_slice()), options);
        for n in 0..3 {
            options.sack.push(Seq(n * 10), Seq(n * 10 + 5));
            assert_eq!(Options::parse(options.encode().as_slice()), options);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_parse(bytes in prop::collection::vec(any::<u8>(), 0..44)) {
            let _ = Options::parse(&bytes);
        }
    }
}

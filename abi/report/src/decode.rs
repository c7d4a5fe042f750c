//! Reading frames from a stream of bytes.

use alloc::vec::Vec;

use crate::{HEAD_LEN, Kind, MAX_PAYLOAD};

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it says.
    pub kind: Kind,
    /// Meaning depends on the kind.
    pub flags: u8,
    /// What belongs to it.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// The payload as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> alloc::borrow::Cow<'_, str> {
        alloc::string::String::from_utf8_lossy(self.payload)
    }

    /// The payload of [`Kind::Exit`]; `None` when it is too short.
    pub fn status(&self) -> Option<i32> {
        self.payload.first_chunk().map(|bytes| i32::from_le_bytes(*bytes))
    }

    /// The payload of [`Kind::Credit`] or [`Kind::Signal`]; `None` when it is too short.
    pub fn number(&self) -> Option<u32> {
        self.payload.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// The payload of [`Kind::Resize`], rows and columns; `None` when it is too short.
    pub fn size(&self) -> Option<(u16, u16)> {
        let [a, b, c, d] = *self.payload.first_chunk()?;
        Some((u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d])))
    }

    /// The payload of [`Kind::Backtrace`].
    pub fn addresses(&self) -> impl Iterator<Item = u64> {
        let (addresses, _) = self.payload.as_chunks();
        addresses.iter().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

/// The stream holds a frame that cannot be: whoever writes it is broken or hostile, and no
/// later frame can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

impl core::fmt::Display for Damaged {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the guest's report channel carries no frames")
    }
}

impl core::error::Error for Damaged {}

/// Collects bytes until they are frames. Never holds more than one frame and one read.
#[derive(Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what was read. Call [`Decoder::next_frame`] until it has none before adding more.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame of a known kind, if it is there in full.
    ///
    /// # Errors
    /// [`Damaged`] when a frame is longer than frames can be.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_>>, Damaged> {
        loop {
            let rest = &self.bytes[self.start..];
            let Some(&[number, flags, r0, r1, a, b, c, d]) = rest.first_chunk::<HEAD_LEN>() else {
                return Ok(None);
            };
            let length = u32::from_le_bytes([a, b, c, d]) as usize;
            if length > MAX_PAYLOAD || (r0, r1) != (0, 0) {
                return Err(Damaged);
            }
            let end = HEAD_LEN + length;
            if rest.len() < end {
                return Ok(None);
            }
            let payload = self.start + HEAD_LEN..self.start + end;
            self.start += end;
            if let Some(kind) = Kind::from_number(number) {
                return Ok(Some(Frame { kind, flags, payload: &self.bytes[payload] }));
            }
        }
    }

    /// Whether bytes of an unfinished frame are left: the writer died in the middle.
    pub fn is_unfinished(&self) -> bool {
        self.start < self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exit, head};

    fn stream() -> Vec<u8> {
        let mut bytes = head(Kind::Stdout, 0, 5).to_vec();
        bytes.extend(b"hello");
        bytes.extend([200, 0, 0, 0, 2, 0, 0, 0, 1, 2]);
        bytes.extend(exit(-3));
        bytes
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<(Kind, Vec<u8>)>, Damaged> {
        let mut decoder = Decoder::new();
        let mut found = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            while let Some(frame) = decoder.next_frame()? {
                found.push((frame.kind, frame.payload.to_vec()));
            }
        }
        assert!(!decoder.is_unfinished());
        Ok(found)
    }

    #[test]
    fn frames_are_found_however_the_stream_is_cut() {
        let bytes = stream();
        let expected =
            [(Kind::Stdout, b"hello".to_vec()), (Kind::Exit, (-3i32).to_le_bytes().to_vec())];
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            assert_eq!(read(&[first, second]).unwrap(), expected, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&single).unwrap(), expected);
    }

    #[test]
    fn an_impossible_length_is_refused() {
        let mut decoder = Decoder::new();
        decoder.push(&[1, 0, 0, 0, 1, 0, 1, 0]);
        assert_eq!(decoder.next_frame(), Err(Damaged));
    }

    #[test]
    fn any_bytes_are_survived() {
        let mut state = 1u64;
        for _ in 0..2000 {
            let mut decoder = Decoder::new();
            for _ in 0..4 {
                let bytes: Vec<u8> = (0..40)
                    .map(|_| {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        ((state >> 33) & 3) as u8
                    })
                    .collect();
                decoder.push(&bytes);
                while let Ok(Some(frame)) = decoder.next_frame() {
                    let _ = (frame.text().len(), frame.status(), frame.addresses().count());
                    let _ = (frame.number(), frame.size());
                }
            }
        }
    }
}

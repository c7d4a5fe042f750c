//! Capture files in the format of libpcap.
//!
//! Source: pcap-savefile(5), pcap-linktype(7).

use alloc::format;
use alloc::string::{String, ToString};

/// Bytes before the first packet.
pub(crate) const FILE_HEADER: usize = 24;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Written by a patched libpcap: eight more bytes before each packet.
const EXTENDED: u32 = 0xa1b2_cd34;

/// Longest packet that a file may hold.
const LONGEST: u32 = 1 << 18;

/// What a packet begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Link {
    #[default]
    Ethernet,
    /// An address family in four bytes of either order.
    Null,
    Ip,
    /// Two bytes of protocol behind fourteen of Linux's "cooked" header.
    Cooked,
    /// Point-to-Point Protocol with its two bytes of address and control.
    Ppp,
    /// Anything else, by number.
    Other(u32),
}

const LINKS: [(Link, u32, &str); 5] = [
    (Link::Ethernet, 1, "ETHER"),
    (Link::Null, 0, "NULL"),
    (Link::Ip, 101, "IP"),
    (Link::Cooked, 113, "SLL"),
    (Link::Ppp, 9, "PPP"),
];

impl Link {
    fn from_number(number: u32) -> Self {
        // Raw IP has had several numbers.
        let number = if matches!(number, 12 | 14) { 101 } else { number };
        let known = LINKS.iter().find(|known| known.1 == number);
        known.map_or(Self::Other(number), |known| known.0)
    }

    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Other(number) => number,
            link => LINKS.iter().find(|known| known.0 == link).map_or(1, |known| known.1),
        }
    }

    pub(crate) fn name(self) -> String {
        match LINKS.iter().find(|known| known.0 == self) {
            Some(known) => known.2.to_string(),
            None => self.number().to_string(),
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        LINKS.iter().find(|known| known.2.eq_ignore_ascii_case(name)).map(|known| known.0)
    }

    /// Where the IPv4 header of a packet begins, if it is an IPv4 packet.
    pub(crate) fn ip_offset(self, data: &[u8]) -> Option<usize> {
        const ETHERTYPE_IP: [u8; 2] = [8, 0];
        const ETHERTYPE_VLAN: [u8; 2] = [0x81, 0];
        let is = |at: usize, value: [u8; 2]| data.get(at..at + 2) == Some(&value[..]);
        let offset = match self {
            Self::Ethernet if is(12, ETHERTYPE_IP) => 14,
            Self::Ethernet if is(12, ETHERTYPE_VLAN) && is(16, ETHERTYPE_IP) => 18,
            Self::Null if matches!(data.get(..4), Some([2, 0, 0, 0] | [0, 0, 0, 2])) => 4,
            Self::Ip => 0,
            Self::Cooked if is(14, ETHERTYPE_IP) => 16,
            Self::Ppp if is(2, [0, 0x21]) => 4,
            _ => return None,
        };
        let header = data.get(offset..offset + 20)?;
        let length = usize::from(header[0] & 15) * 4;
        (header[0] >> 4 == 4 && length >= 20).then_some(offset)
    }
}

/// How a file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) link: Link,
    swapped: bool,
    nanoseconds: bool,
    extended: bool,
}

/// What stands before a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// Nanoseconds since 1970.
    pub(crate) time: i64,
    /// Bytes in the file.
    pub(crate) captured: usize,
    /// Bytes that the packet had.
    pub(crate) length: usize,
}

impl Format {
    fn number(self, bytes: &[u8], at: usize) -> Option<u32> {
        let word: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(if self.swapped { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
    }

    /// Reads the header of a file.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        if let [0x1f, 0x8b, ..] | [b'B', b'Z', b'h', ..] = bytes {
            return Err("compressed; unpack it first, or read - from a pipe".into());
        }
        let short = || "not a tcpdump file (too short)".to_string();
        let mut format =
            Self { link: Link::Ethernet, swapped: false, nanoseconds: false, extended: false };
        for swapped in [false, true] {
            format.swapped = swapped;
            let magic = format.number(bytes, 0).ok_or_else(short)?;
            format.nanoseconds = magic == NANOSECONDS;
            format.extended = magic == EXTENDED;
            if !matches!(magic, MICROSECONDS | NANOSECONDS | EXTENDED) {
                continue;
            }
            let link = format.number(bytes, 20).ok_or_else(short)?;
            // The upper bits say other things.
            format.link = Link::from_number(link & 0xffff);
            let major = format.number(bytes, 4).ok_or_else(short)?;
            let major = if swapped { major >> 16 } else { major & 0xffff };
            if major != 2 {
                return Err(format!("unknown major version number {major}"));
            }
            return Ok(format);
        }
        Err("not a tcpdump file (bad magic number)".into())
    }

    /// Bytes before each packet.
    pub(crate) fn record_header(self) -> usize {
        if self.extended { 24 } else { 16 }
    }

    /// Reads what stands before a packet.
    pub(crate) fn record(self, bytes: &[u8]) -> Result<Record, String> {
        let number = |at| self.number(bytes, at).ok_or_else(|| "short packet header".to_string());
        let (seconds, fraction) = (number(0)?, number(4)?);
        let (captured, length) = (number(8)?, number(12)?);
        if captured > LONGEST {
            return Err(format!("bad packet header: {captured} bytes captured"));
        }
        let unit = if self.nanoseconds { 1 } else { 1000 };
        Ok(Record {
            time: i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * unit,
            captured: captured as usize,
            length: length as usize,
        })
    }
}

/// The header of a file to write.
pub(crate) fn file_header(link: Link, snap_length: u32, nanoseconds: bool) -> [u8; FILE_HEADER] {
    let magic = if nanoseconds { NANOSECONDS } else { MICROSECONDS };
    let version = 2 | 4 << 16;
    let words = [magic, version, 0, 0, snap_length, link.number()];
    let mut header = [0; FILE_HEADER];
    for (slot, word) in header.chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    header
}

/// What stands before a packet in a file to write.
pub(crate) fn record_header(record: Record, nanoseconds: bool) -> [u8; 16] {
    let (seconds, rest) =
        (record.time.div_euclid(1_000_000_000), record.time.rem_euclid(1_000_000_000));
    let fraction = if nanoseconds { rest } else { rest / 1000 };
    let words = [seconds as u32, fraction as u32, record.captured as u32, record.length as u32];
    let mut header = [0; 16];
    for (slot, word) in header.chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for nanoseconds in [false, true] {
            let format = Format::read(&file_header(Link::Ip, 100, nanoseconds)).unwrap();
            assert_eq!((format.link, format.record_header()), (Link::Ip, 16));
            let record = Record { time: 1_500_000_123_456_000, captured: 60, length: 90 };
            assert_eq!(format.record(&record_header(record, nanoseconds)), Ok(record));
        }
    }

    #[test]
    fn both_orders_of_bytes() {
        let mut header = file_header(Link::Cooked, 100, false);
        header[..4].reverse();
        header[20..].reverse();
        header[4..8].copy_from_slice(&[0, 2, 0, 4]);
        let format = Format::read(&header).unwrap();
        assert_eq!(format.link, Link::Cooked);
        assert_eq!(
            format.record(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4]),
            Ok(Record { time: 1_000_002_000, captured: 3, length: 4 })
        );
    }

    #[test]
    fn other_files_are_refused() {
        for bytes in [&b""[..], b"\x1f\x8b\x08", b"hello, this is no capture file", &[0xd4, 0xc3]] {
            assert!(Format::read(bytes).is_err());
        }
        let format = Format::read(&file_header(Link::Ip, 100, false)).unwrap();
        assert!(format.record(&[0xff; 16]).is_err());
        assert!(format.record(&[0; 8]).is_err());
    }
}

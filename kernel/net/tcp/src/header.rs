use drupe_net_base::Chain;

use crate::{OptionBytes, Options, Seq};

/// Control bits of a TCP header (RFC 9293 §3.1), in the positions of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Flags = Flags(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Flags = Flags(0x02);
    /// Reset the connection.
    pub const RST: Flags = Flags(0x04);
    /// Push.
    pub const PSH: Flags = Flags(0x08);
    /// The acknowledgment field is significant.
    pub const ACK: Flags = Flags(0x10);
    /// The urgent pointer is significant.
    pub const URG: Flags = Flags(0x20);

    /// Whether all bits of `other` are set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These bits without `other`.
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }
}

/// A received header, parsed. Ports and checksum are the business of whoever demultiplexes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Header {
    /// Sequence number of the first octet, or of the SYN.
    pub seq: Seq,
    /// Next octet that the sender expects; meaningful with ACK.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// The window as it stands in the header, unscaled.
    pub window: u16,
    /// Urgent pointer; meaningful with URG.
    pub urgent: u16,
    /// Options.
    pub options: Options,
}

impl Header {
    /// Sequence space that the segment covers with `payload` octets of data.
    pub const fn span(&self, payload: usize) -> u32 {
        payload as u32 + self.flags.has(Flags::SYN) as u32 + self.flags.has(Flags::FIN) as u32
    }
}

/// A segment to be sent. Ports, checksum and everything below are added by the caller.
#[derive(Debug, Clone, Default)]
pub struct Segment {
    /// Sequence number.
    pub seq: Seq,
    /// Acknowledgment number; 0 without ACK.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// Window as it goes into the header, scaled already.
    pub window: u16,
    /// Urgent pointer.
    pub urgent: u16,
    /// Encoded options, a multiple of four octets.
    pub options: OptionBytes,
    /// Data; more than `segment_size` means that the device is to segment it.
    pub payload: Chain,
    /// Most octets of data per segment on the wire.
    pub segment_size: u16,
}

impl Segment {
    /// The answer to a segment that no connection takes (RFC 9293 §3.10.7.1); none to a RST.
    pub fn reset_for(header: &Header, payload: usize) -> Option<Segment> {
        if header.flags.has(Flags::RST) {
            return None;
        }
        Some(if header.flags.has(Flags::ACK) {
            Segment { seq: header.ack, flags: Flags::RST, ..Segment::default() }
        } else {
            Segment {
                ack: header.seq + header.span(payload),
                flags: Flags::RST.with(Flags::ACK),
                ..Segment::default()
            }
        })
    }
}

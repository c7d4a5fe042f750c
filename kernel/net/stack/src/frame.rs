use drupe_net_base::{BufferPool, Chain};

use crate::config::InterfaceId;

/// Headers in front of a payload, built from the innermost outwards.
#[derive(Debug, Clone)]
pub struct HeaderBytes {
    bytes: [u8; HeaderBytes::CAPACITY],
    start: u8,
}

impl HeaderBytes {
    /// Room: Ethernet, IPv6 with a fragment header and TCP with all options take 122 octets.
    pub const CAPACITY: usize = 128;

    /// No headers yet.
    pub const fn new() -> Self {
        HeaderBytes { bytes: [0; HeaderBytes::CAPACITY], start: HeaderBytes::CAPACITY as u8 }
    }

    /// Makes room for `length` octets in front, zeroed. Empty when there is no room.
    pub fn prepend(&mut self, length: usize) -> &mut [u8] {
        let old = usize::from(self.start);
        let Some(start) = old.checked_sub(length) else { return &mut [] };
        self.start = start as u8;
        &mut self.bytes[start..old]
    }

    /// The octets.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }

    /// The octets, to change.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes[usize::from(self.start)..]
    }

    /// Number of octets.
    pub const fn len(&self) -> usize {
        HeaderBytes::CAPACITY - self.start as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for HeaderBytes {
    fn default() -> Self {
        HeaderBytes::new()
    }
}

/// A checksum that the device is to complete: the Internet checksum from `start` to the end of
/// the frame goes to `start + offset`, where the sum of the pseudo header stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChecksumRequest {
    /// Offset from the start of the frame.
    pub start: u16,
    /// Offset of the field from `start`.
    pub offset: u16,
}

/// A TCP segment that the device is to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segmentation {
    /// Octets of data per segment.
    pub size: u16,
    /// The network layer is IPv6.
    pub ipv6: bool,
    /// Octets of all headers, from the start of the frame.
    pub header_length: u16,
}

/// A frame to be sent: headers, then payload.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// Link, network and transport headers (without link header on interfaces that have none).
    pub header: HeaderBytes,
    /// What follows.
    pub payload: Chain,
    /// Set only if the interface offers it.
    pub checksum: Option<ChecksumRequest>,
    /// Set only if the interface offers it.
    pub segmentation: Option<Segmentation>,
    /// Hash of the flow: frames with the same one stay in order when spread over queues.
    pub flow_hash: u32,
}

impl Frame {
    /// Octets of headers and payload.
    pub fn len(&self) -> usize {
        self.header.len() + self.payload.len()
    }

    /// Whether the frame has no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Headers and payload as one chain, the headers copied.
    pub fn into_chain(self, pool: &dyn BufferPool) -> Option<Chain> {
        if self.header.is_empty() {
            return Some(self.payload);
        }
        let mut first = pool.allocate(self.header.len())?;
        if first.append(self.header.as_slice()) < self.header.len() {
            return None;
        }
        let mut chain = Chain::from(first);
        chain.append(self.payload);
        Some(chain)
    }
}

/// What a device knows of a frame that it received.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReceivedMeta {
    /// The transport checksum is right, or needs none because the frame never left memory.
    pub checksum_valid: bool,
    /// Data per segment if the device joined several (LRO); 0 otherwise.
    pub segment_size: u16,
}

/// A frame that arrived. The headers should lie in the first chunk.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The frame from its link header on (from the network header where there is none).
    pub data: Chain,
    /// What the device knows.
    pub meta: ReceivedMeta,
}

/// The receive and transmit queues that one shard uses, of all interfaces.
pub trait Devices {
    /// The next frame that arrived on some interface.
    fn receive(&mut self) -> Option<(InterfaceId, Received)>;

    /// Whether the transmit queue of an interface has room for one more frame, of as many pieces
    /// as a chain can have (up to 17 with the headers). Without room the stack keeps its frames
    /// and tries again at the next poll.
    fn has_room(&mut self, interface: InterfaceId) -> bool;

    /// Sends a frame; called only after [`Devices::has_room`] said yes.
    fn transmit(&mut self, interface: InterfaceId, frame: Frame);

    /// Called after the last frame of a poll: the moment to notify a device once.
    fn flush(&mut self) {}
}

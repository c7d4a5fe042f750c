//! Network devices (VIRTIO 1.2, section 5.1).

use alloc::boxed::Box;

use crate::queue::{Memory, Part, Queue};
use crate::transport::{EVENT_INDEX, Failure, Transport, negotiate, status};

const CHECKSUM: u64 = 1 << 0;
const GUEST_CHECKSUM: u64 = 1 << 1;
const HAS_MTU: u64 = 1 << 3;
const HAS_MAC: u64 = 1 << 5;
const GUEST_TSO4: u64 = 1 << 7;
const GUEST_TSO6: u64 = 1 << 8;
const HOST_TSO4: u64 = 1 << 11;
const HOST_TSO6: u64 = 1 << 12;
const MERGEABLE: u64 = 1 << 15;

const WANTED: u64 = CHECKSUM
    | GUEST_CHECKSUM
    | HAS_MTU
    | HAS_MAC
    | GUEST_TSO4
    | GUEST_TSO6
    | HOST_TSO4
    | HOST_TSO6
    | MERGEABLE
    | EVENT_INDEX;

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;

/// TCP data that one frame carries for several segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// Bytes per segment.
    pub size: u16,
    /// Over IPv6; otherwise IPv4.
    pub ipv6: bool,
    /// Bytes of all headers.
    pub header_length: u16,
}

/// What stands before a frame (`struct virtio_net_hdr`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// A checksum to be completed: where its data starts in the frame, and where in the data it
    /// goes.
    pub checksum: Option<(u16, u16)>,
    /// The checksum was found right.
    pub checked: bool,
    /// The frame stands for several.
    pub segments: Option<Segments>,
    /// Buffers of a received frame.
    pub buffers: u16,
}

impl Header {
    /// Bytes.
    pub const LENGTH: usize = 12;

    /// As the device reads it.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        const NEEDS_CHECKSUM: u8 = 1;
        let mut bytes = [0; Self::LENGTH];
        if let Some((start, offset)) = self.checksum {
            bytes[0] = NEEDS_CHECKSUM;
            bytes[6..8].copy_from_slice(&start.to_le_bytes());
            bytes[8..10].copy_from_slice(&offset.to_le_bytes());
        }
        if let Some(segments) = self.segments {
            bytes[1] = if segments.ipv6 { 4 } else { 1 };
            bytes[2..4].copy_from_slice(&segments.header_length.to_le_bytes());
            bytes[4..6].copy_from_slice(&segments.size.to_le_bytes());
        }
        bytes
    }

    /// What the device wrote.
    pub fn decode(bytes: &[u8; Self::LENGTH]) -> Self {
        let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let (flags, kind) = (bytes[0], bytes[1] & 0x7f);
        let segments = matches!(kind, 1 | 4).then(|| Segments {
            size: word(4),
            ipv6: kind == 4,
            header_length: word(2),
        });
        Self {
            checksum: (flags & 1 != 0).then(|| (word(6), word(8))),
            checked: flags & 2 != 0,
            segments,
            buffers: word(10),
        }
    }
}

/// A network device with one pair of queues.
pub struct Net {
    transport: Box<dyn Transport>,
    features: u64,
    /// Buffers that the device fills.
    pub receive: Queue,
    /// Frames that the device sends.
    pub transmit: Queue,
    mac: [u8; 6],
    mtu: Option<u16>,
}

impl Net {
    /// Sets a device up, with zeroed memory for both queues.
    ///
    /// # Errors
    /// See [`Failure`].
    ///
    /// # Safety
    /// As for [`Queue::new`], for both.
    pub unsafe fn new(
        mut transport: Box<dyn Transport>,
        receive: Memory,
        transmit: Memory,
    ) -> Result<Self, Failure> {
        let features = negotiate(&mut *transport, WANTED)?;
        let event_index = features & EVENT_INDEX != 0;
        let mut queue = |index, memory| match transport.queue_size(index) {
            0 | 1 => Err(Failure::Queues),
            // SAFETY: the caller's.
            size => Ok(unsafe { Queue::new(memory, size, event_index) }),
        };
        let receive = queue(RECEIVE, receive)?;
        let transmit = queue(TRANSMIT, transmit)?;
        transport.start_queue(RECEIVE, &receive);
        transport.start_queue(TRANSMIT, &transmit);
        let mut mac = [0; 6];
        for (offset, byte) in mac.iter_mut().enumerate() {
            *byte = transport.config(offset);
        }
        let mtu = u16::from_le_bytes([transport.config(10), transport.config(11)]);
        let ready = status::ACKNOWLEDGE | status::DRIVER | status::FEATURES_OK;
        transport.set_status(ready | status::DRIVER_OK);
        Ok(Self {
            transport,
            features,
            receive,
            transmit,
            mac,
            mtu: (features & HAS_MTU != 0).then_some(mtu),
        })
    }

    const fn has(&self, feature: u64) -> bool {
        self.features & feature != 0
    }

    /// The hardware address, if the device has one.
    pub fn mac(&self) -> Option<[u8; 6]> {
        self.has(HAS_MAC).then_some(self.mac)
    }

    /// The largest packet, if the device says it.
    pub const fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    /// A received frame may lie in several buffers.
    pub const fn is_mergeable(&self) -> bool {
        self.has(MERGEABLE)
    }

    /// Checksums may be left to the device.
    pub const fn computes_checksums(&self) -> bool {
        self.has(CHECKSUM)
    }

    /// Frames may stand for several segments: over IPv4, over IPv6.
    pub const fn cuts_segments(&self) -> (bool, bool) {
        (self.has(CHECKSUM) && self.has(HOST_TSO4), self.has(CHECKSUM) && self.has(HOST_TSO6))
    }

    /// Received frames may stand for several segments, and so be up to 64 KiB long.
    pub const fn joins_segments(&self) -> bool {
        self.has(GUEST_TSO4) || self.has(GUEST_TSO6)
    }

    /// Gives the device a buffer to fill; gives its name.
    pub fn post(&mut self, physical: u64, length: u32) -> Option<u16> {
        self.receive.add([Part { physical, length, device_writes: true }].into_iter())
    }

    /// Tells the device of the buffers that were posted.
    pub fn publish_buffers(&mut self) {
        if self.receive.publish() {
            self.transport.notify(RECEIVE);
        }
    }

    /// Tells the device of the frames that were added to [`transmit`](Self::transmit).
    pub fn publish_frames(&mut self) {
        if self.transmit.publish() {
            self.transport.notify(TRANSMIT);
        }
    }

    /// Takes note of an interrupt.
    pub fn acknowledge(&mut self) {
        self.transport.acknowledge();
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // The device forgets the queues before their memory is used for something else.
        self.transport.set_status(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_written() {
        let segments = Some(Segments { size: 1448, ipv6: true, header_length: 86 });
        let header = Header { checksum: Some((54, 16)), segments, ..Header::default() };
        assert_eq!(Header::decode(&header.encode()), header);
        assert_eq!(Header::decode(&[0xff; Header::LENGTH]).segments, None);
        assert_eq!(Header::default().encode(), [0; Header::LENGTH]);
    }
}

//! Packets: a buffer with room before and behind the data, marks for the protocol headers,
//! a timestamp and annotations.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::anno;

/// Bytes of an ordinary buffer. Larger packets get a buffer of their own. The size makes
/// consecutive packets (an odd number of lines) start in different sets of a cache.
const BUFFER: usize = 1984;

/// Bytes kept free before the data of a new packet.
pub const HEADROOM: usize = 64;

const UNMARKED: u32 = u32::MAX;

/// Packets that travel together.
pub type Batch = Vec<Packet>;

/// What the link layer said about the receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// For this host.
    #[default]
    Host,
    /// Link-level broadcast.
    Broadcast,
    /// Link-level multicast.
    Multicast,
    /// For another host.
    OtherHost,
    /// Sent by this host.
    Outgoing,
}

/// Where things are in the buffer, and what is known about the packet.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Head {
    start: u32,
    end: u32,
    mac: u32,
    network: u32,
    transport: u32,
    kind: Kind,
    timestamp: i64,
}

const FRESH: Head = Head {
    start: HEADROOM as u32,
    end: HEADROOM as u32,
    mac: UNMARKED,
    network: UNMARKED,
    transport: UNMARKED,
    kind: Kind::Host,
    timestamp: 0,
};

/// An ordinary buffer. Its start, and so that of the data of a new packet, is the start of
/// a line of the cache.
#[repr(align(64))]
struct Buffer([u8; BUFFER]);

/// What most elements look at lies in the first line of the cache.
#[repr(C)]
struct Body {
    head: Head,
    /// The buffer, when the ordinary one is too small.
    large: Option<Box<[u8]>>,
    anno: [u8; anno::SIZE],
    small: Buffer,
}

/// A packet with a buffer of its own.
pub struct Packet(Box<Body>);

impl core::fmt::Debug for Packet {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Packet")
            .field("head", &self.0.head)
            .field("annotations", &self.0.anno)
            .field("data", &self.data())
            .finish()
    }
}

impl Packet {
    /// An empty packet from the heap. Elements take packets from the router's pool instead.
    pub fn new() -> Self {
        let small = Buffer([0; BUFFER]);
        Self(Box::new(Body { head: FRESH, large: None, anno: [0; anno::SIZE], small }))
    }

    /// A packet that holds `data`.
    pub fn from_data(data: &[u8]) -> Self {
        let mut packet = Self::new();
        packet.fill(data);
        packet
    }

    /// Forgets data, marks and annotations.
    #[inline]
    pub fn reset(&mut self) {
        self.0.head = FRESH;
        self.0.anno = [0; anno::SIZE];
        if self.0.large.is_some() {
            self.0.large = None;
        }
    }

    /// Replaces the data; the packet must be fresh.
    #[inline]
    pub fn fill(&mut self, data: &[u8]) {
        if data.len() > BUFFER - HEADROOM {
            self.make_large(HEADROOM, data.len(), 0);
        }
        let end = HEADROOM + data.len();
        self.0.head.end = end as u32;
        let Some(buffer) = self.buffer_mut().get_mut(HEADROOM..end) else { return };
        // In blocks of a known size, which are copied without a call.
        let (blocks, rest) = buffer.as_chunks_mut::<64>();
        let (from, tail) = data.as_chunks::<64>();
        for (to, from) in blocks.iter_mut().zip(from) {
            *to = *from;
        }
        if !tail.is_empty() {
            rest.copy_from_slice(tail);
        }
    }

    /// Sets the length of a fresh packet; the content is whatever the buffer held.
    pub fn set_fresh_len(&mut self, len: usize) {
        if len > BUFFER - HEADROOM {
            self.make_large(HEADROOM, len, 0);
        }
        self.0.head.end = HEADROOM as u32 + len as u32;
    }

    #[inline]
    fn buffer(&self) -> &[u8] {
        match &self.0.large {
            None => &self.0.small.0,
            Some(large) => large,
        }
    }

    #[inline]
    fn buffer_mut(&mut self) -> &mut [u8] {
        match &mut self.0.large {
            None => &mut self.0.small.0,
            Some(large) => large,
        }
    }

    /// The data.
    #[inline]
    pub fn data(&self) -> &[u8] {
        let (start, end) = (self.0.head.start as usize, self.0.head.end as usize);
        self.buffer().get(start..end).unwrap_or_default()
    }

    /// The data, to be changed.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        let (start, end) = (self.0.head.start as usize, self.0.head.end as usize);
        self.buffer_mut().get_mut(start..end).unwrap_or_default()
    }

    /// Bytes of data.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a packet is no collection")]
    pub fn len(&self) -> usize {
        (self.0.head.end - self.0.head.start) as usize
    }

    /// Bytes free before the data.
    pub fn headroom(&self) -> usize {
        self.0.head.start as usize
    }

    /// Bytes free behind the data.
    pub fn tailroom(&self) -> usize {
        self.buffer().len() - self.0.head.end as usize
    }

    /// Adds `count` bytes in front; their content is whatever the buffer held.
    #[inline]
    pub fn prepend(&mut self, count: usize) {
        if self.headroom() < count {
            self.make_large(count + HEADROOM, self.len(), self.tailroom().min(BUFFER));
        }
        self.0.head.start -= count as u32;
    }

    /// Takes up to `count` bytes off the front.
    #[inline]
    pub fn strip(&mut self, count: usize) {
        self.0.head.start += count.min(self.len()) as u32;
    }

    /// Adds `count` bytes behind; their content is whatever the buffer held.
    pub fn append(&mut self, count: usize) {
        if self.tailroom() < count {
            self.make_large(self.headroom(), self.len(), count);
        }
        self.0.head.end += count as u32;
    }

    /// Takes up to `count` bytes off the end.
    pub fn truncate(&mut self, count: usize) {
        self.0.head.end -= count.min(self.len()) as u32;
    }

    /// Moves the data to a buffer with the given room around it.
    fn make_large(&mut self, headroom: usize, len: usize, tailroom: usize) {
        let shift = headroom as i64 - i64::from(self.0.head.start);
        let mut large = alloc::vec![0; headroom + len + tailroom].into_boxed_slice();
        let data = self.data();
        let kept = data.len().min(len);
        large[headroom..headroom + kept].copy_from_slice(&data[..kept]);
        // Bytes before the data stay reachable for elements that strip and unstrip.
        let before = headroom.min(self.headroom());
        let old_start = self.headroom();
        large[headroom - before..headroom]
            .copy_from_slice(&self.buffer()[old_start - before..old_start]);
        self.0.large = Some(large);
        let head = &mut self.0.head;
        for mark in [&mut head.mac, &mut head.network, &mut head.transport] {
            if *mark != UNMARKED {
                *mark = (i64::from(*mark) + shift) as u32;
            }
        }
        head.end = (i64::from(head.end) + shift) as u32;
        head.start = headroom as u32;
    }

    /// Makes this packet a copy of `other`, data, marks and annotations.
    pub fn copy_from(&mut self, other: &Self) {
        match &other.0.large {
            Some(large) => self.0.large = Some(large.clone()),
            None => {
                self.0.large = None;
                let (start, end) = (other.0.head.start as usize, other.0.head.end as usize);
                // Stripped headers are part of the packet, too: elements may unstrip them.
                let start = start.saturating_sub(HEADROOM);
                self.0.small.0[start..end].copy_from_slice(&other.0.small.0[start..end]);
            }
        }
        self.0.head = other.0.head;
        self.0.anno = other.0.anno;
    }

    /// Moves the data within the buffer so that its address modulo `modulus` (at most the
    /// headroom) is `offset`, counted from an aligned buffer.
    pub fn align(&mut self, modulus: usize, offset: usize) {
        let start = self.headroom();
        let want = (offset + modulus - start % modulus) % modulus;
        if want == 0 {
            return;
        }
        let data = self.data().to_vec();
        let mut copy = Self::new();
        let headroom = (start + want).max(HEADROOM / 2);
        copy.0.head = self.0.head;
        copy.0.anno = self.0.anno;
        copy.0.large = self.0.large.take();
        copy.0.small.0 = self.0.small.0;
        copy.make_large(
            headroom + (offset + modulus - headroom % modulus) % modulus,
            data.len(),
            64,
        );
        *self = copy;
    }

    /// When the packet arrived, in nanoseconds since 1970; 0 if not known.
    pub fn timestamp(&self) -> i64 {
        self.0.head.timestamp
    }

    /// Sets the time of arrival.
    pub fn set_timestamp(&mut self, nanoseconds: i64) {
        self.0.head.timestamp = nanoseconds;
    }

    /// What the link layer said about the receiver.
    pub fn kind(&self) -> Kind {
        self.0.head.kind
    }

    /// Sets what the link layer said about the receiver.
    pub fn set_kind(&mut self, kind: Kind) {
        self.0.head.kind = kind;
    }

    fn mark(&self, mark: u32) -> Option<isize> {
        (mark != UNMARKED).then(|| mark as isize - self.0.head.start as isize)
    }

    /// Offset of the link-level header from the start of the data, if marked; negative
    /// when the header was stripped.
    pub fn mac(&self) -> Option<isize> {
        self.mark(self.0.head.mac)
    }

    /// Offset of the network header, like [`mac`](Self::mac).
    #[inline]
    pub fn network(&self) -> Option<isize> {
        self.mark(self.0.head.network)
    }

    /// Offset of the transport header, like [`mac`](Self::mac).
    pub fn transport(&self) -> Option<isize> {
        self.mark(self.0.head.transport)
    }

    fn place(&self, offset: usize) -> u32 {
        self.0.head.start + offset as u32
    }

    /// Marks the link-level header at `offset` from the start of the data.
    pub fn set_mac(&mut self, offset: usize) {
        self.0.head.mac = self.place(offset);
    }

    /// Marks the network header, and the transport header `length` bytes behind it.
    #[inline]
    pub fn set_network(&mut self, offset: usize, length: usize) {
        self.0.head.network = self.place(offset);
        self.0.head.transport = self.place(offset + length);
    }

    /// Forgets the network and transport headers.
    pub fn clear_network(&mut self) {
        self.0.head.network = UNMARKED;
        self.0.head.transport = UNMARKED;
    }

    /// Forgets the link-level header.
    pub fn clear_mac(&mut self) {
        self.0.head.mac = UNMARKED;
    }

    /// The data from the network header on; empty if there is no mark. A stripped header
    /// is still there.
    #[inline]
    pub fn network_data(&self) -> &[u8] {
        let end = self.0.head.end as usize;
        self.buffer().get(self.0.head.network as usize..end).unwrap_or_default()
    }

    /// The data from the network header on, to be changed.
    #[inline]
    pub fn network_data_mut(&mut self) -> &mut [u8] {
        let (network, end) = (self.0.head.network as usize, self.0.head.end as usize);
        self.buffer_mut().get_mut(network..end).unwrap_or_default()
    }

    /// The data from the link-level header on, which may have been stripped.
    pub fn mac_data(&self) -> &[u8] {
        let end = self.0.head.end as usize;
        self.buffer().get(self.0.head.mac as usize..end).unwrap_or_default()
    }

    /// The data from the transport header on.
    #[inline]
    pub fn transport_data(&self) -> &[u8] {
        let end = self.0.head.end as usize;
        self.buffer().get(self.0.head.transport as usize..end).unwrap_or_default()
    }

    /// The data from the transport header on, to be changed.
    #[inline]
    pub fn transport_data_mut(&mut self) -> &mut [u8] {
        let (transport, end) = (self.0.head.transport as usize, self.0.head.end as usize);
        self.buffer_mut().get_mut(transport..end).unwrap_or_default()
    }

    /// Bytes from the network header to the transport header; none without marks.
    #[inline]
    pub fn network_header_len(&self) -> Option<usize> {
        let head = &self.0.head;
        (head.network != UNMARKED).then(|| head.transport.wrapping_sub(head.network) as usize)
    }

    /// The annotation area.
    pub fn annotations(&self) -> &[u8; anno::SIZE] {
        &self.0.anno
    }

    /// The annotation area, to be changed.
    pub fn annotations_mut(&mut self) -> &mut [u8; anno::SIZE] {
        &mut self.0.anno
    }

    /// Copies annotations, timestamp and kind from another packet.
    pub fn copy_annotations(&mut self, other: &Self) {
        self.0.anno = other.0.anno;
        self.0.head.timestamp = other.0.head.timestamp;
        self.0.head.kind = other.0.head.kind;
    }

    /// A 1-byte annotation; 0 beyond the area.
    pub fn anno_u8(&self, at: usize) -> u8 {
        self.0.anno.get(at).copied().unwrap_or(0)
    }

    /// Sets a 1-byte annotation.
    pub fn set_anno_u8(&mut self, at: usize, value: u8) {
        if let Some(slot) = self.0.anno.get_mut(at) {
            *slot = value;
        }
    }

    /// Some bytes of annotation.
    pub fn anno<const N: usize>(&self, at: usize) -> [u8; N] {
        let bytes = self.0.anno.get(at..at + N).and_then(|bytes| bytes.try_into().ok());
        bytes.unwrap_or([0; N])
    }

    /// Sets some bytes of annotation.
    #[inline]
    pub fn set_anno<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        if let Some(slot) = self.0.anno.get_mut(at..at + N) {
            slot.copy_from_slice(&value);
        }
    }

    /// A 4-byte annotation in the host's order.
    pub fn anno_u32(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.anno(at))
    }

    /// Sets a 4-byte annotation in the host's order.
    pub fn set_anno_u32(&mut self, at: usize, value: u32) {
        self.set_anno(at, value.to_ne_bytes());
    }

    /// The destination address annotation.
    pub fn dst_ip(&self) -> [u8; 4] {
        self.anno(anno::DST_IP)
    }

    /// Sets the destination address annotation.
    #[inline]
    pub fn set_dst_ip(&mut self, address: [u8; 4]) {
        self.set_anno(anno::DST_IP, address);
    }
}

impl Default for Packet {
    fn default() -> Self {
        Self::new()
    }
}

/// Buffers that wait to be used again.
#[derive(Default)]
pub(crate) struct Pool {
    packets: Vec<Packet>,
    /// Whole batches: what one element drops, the next source often fills as it is.
    batches: Vec<Batch>,
    /// Empty batches.
    empty: Vec<Batch>,
}

/// Buffers that a pool keeps at most; the rest goes back to the heap.
const MOST_KEPT: usize = 4096;

/// Whole batches that a pool keeps, besides.
const MOST_BATCHES: usize = 16;

impl Pool {
    /// A fresh packet.
    #[inline]
    pub(crate) fn packet(&mut self) -> Packet {
        if self.packets.is_empty()
            && let Some(mut batch) = self.batches.pop()
        {
            self.packets.append(&mut batch);
            self.put_empty(batch);
        }
        match self.packets.pop() {
            Some(mut packet) => {
                packet.reset();
                packet
            }
            None => Packet::new(),
        }
    }

    /// A batch without packets.
    #[inline]
    pub(crate) fn batch(&mut self) -> Batch {
        self.empty.pop().unwrap_or_default()
    }

    fn put_empty(&mut self, batch: Batch) {
        if self.empty.len() < 64 {
            self.empty.push(batch);
        }
    }

    /// A batch of `count` packets that hold `data`.
    pub(crate) fn fill(&mut self, count: usize, data: &[u8]) -> Batch {
        let mut batch = match self.batches.pop() {
            Some(batch) => batch,
            None => self.batch(),
        };
        if batch.len() > count {
            self.packets.extend(batch.drain(count..));
        }
        if batch.len() < count {
            let missing = count - batch.len();
            let first = self.packets.len().saturating_sub(missing);
            batch.extend(self.packets.drain(first..));
            batch.resize_with(count, Packet::new);
        }
        for packet in &mut batch {
            packet.reset();
            packet.fill(data);
        }
        batch
    }

    #[inline]
    pub(crate) fn put(&mut self, packet: Packet) {
        if self.packets.len() < MOST_KEPT {
            self.packets.push(packet);
        }
    }

    /// Takes back a batch with its packets.
    #[inline]
    pub(crate) fn put_all(&mut self, mut batch: Batch) {
        if batch.is_empty() {
            self.put_empty(batch);
        } else if self.batches.len() < MOST_BATCHES {
            self.batches.push(batch);
        } else {
            if self.packets.len() + batch.len() <= MOST_KEPT {
                self.packets.append(&mut batch);
            }
            batch.clear();
            self.put_empty(batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_grows_when_needed() {
        let mut packet = Packet::from_data(b"abcdef");
        packet.set_network(2, 1);
        packet.prepend(500);
        assert_eq!(packet.len(), 506);
        assert_eq!(&packet.data()[500..], b"abcdef");
        assert_eq!((packet.network(), packet.transport()), (Some(502), Some(503)));
        packet.append(5000);
        assert_eq!(packet.network_data()[..4], *b"cdef");
        packet.truncate(5000);
        packet.strip(503);
        assert_eq!((packet.data(), packet.network()), (&b"def"[..], Some(-1)));
    }

    #[test]
    fn copies_are_distinct() {
        let packet = Packet::from_data(&[7; 3000]);
        let mut copy = Packet::new();
        copy.copy_from(&packet);
        copy.data_mut()[0] = 1;
        assert_eq!((packet.data()[0], copy.data()[0], copy.len()), (7, 1, 3000));
    }

    #[test]
    fn a_reset_packet_is_fresh() {
        let mut packet = Packet::from_data(&[7; 3000]);
        packet.set_anno_u32(anno::AGGREGATE, 5);
        packet.reset();
        assert_eq!((packet.len(), packet.anno_u32(anno::AGGREGATE)), (0, 0));
        assert_eq!(packet.network_data(), b"");
    }

    #[test]
    fn alignment() {
        let mut packet = Packet::from_data(b"abc");
        packet.align(4, 2);
        assert_eq!((packet.headroom() % 4, packet.data()), (2, &b"abc"[..]));
    }
}

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::net::IpAddr;

use drupe_net_base::{Chain, Chunk, Instant, SECOND};
use hashbrown::HashMap;
use smoltcp::wire::{Ipv4Packet, Ipv6Packet};

use super::Stack;
use super::ip_input::{Fragment, IpHeader};
use crate::checksum::Sum;
use crate::frame::{Received, ReceivedMeta};
use crate::shared::{Hashing, Letter};

/// How long the first fragment waits for the last (RFC 8200 §4.5; Linux takes 30 s for IPv4).
const PATIENCE: u64 = 30 * SECOND;
/// Fragments of one packet.
const MOST_PARTS: usize = 64;
/// Memory that a packet counts beside its data.
const OVERHEAD: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    ident: u32,
    /// For IPv4 part of the identity, for IPv6 not.
    protocol: u8,
}

#[derive(Debug)]
struct Assembly {
    /// Disjoint, ascending.
    parts: Vec<(usize, Chain)>,
    /// Length of the data, once the last fragment is here.
    total: Option<usize>,
    /// Network header of the first fragment.
    header: Option<Chunk>,
    next_header_at: usize,
    protocol: u8,
    octets: usize,
    expires: Instant,
}

/// Packets of which not all fragments are here (RFC 791, RFC 8200). Overlaps make the whole
/// packet suspect, so it is dropped (RFC 5722); memory is bounded, the oldest packet goes first.
#[derive(Debug)]
pub(super) struct Reassembly {
    packets: HashMap<Key, Assembly, Hashing>,
    order: VecDeque<(Instant, Key)>,
    octets: usize,
    limit: usize,
}

enum Outcome {
    Waiting,
    Refused,
    Whole(Assembly),
}

impl Reassembly {
    pub fn new(limit: usize, hashing: Hashing) -> Self {
        let packets = HashMap::with_hasher(hashing);
        Reassembly { packets, order: VecDeque::new(), octets: 0, limit }
    }

    pub fn octets(&self) -> usize {
        self.octets
    }

    pub fn deadline(&self) -> Instant {
        self.order.front().map_or(Instant::NEVER, |(at, _)| *at)
    }

    /// Drops what is too old; returns how many packets.
    pub fn expire(&mut self, now: Instant) -> u64 {
        let mut lost = 0;
        while let Some((at, key)) = self.order.front().copied()
            && at <= now
        {
            self.order.pop_front();
            if self.packets.get(&key).is_some_and(|packet| packet.expires <= now) {
                self.remove(&key);
                lost += 1;
            }
        }
        lost
    }

    fn remove(&mut self, key: &Key) -> Option<Assembly> {
        let packet = self.packets.remove(key)?;
        self.octets -= packet.octets;
        Some(packet)
    }

    fn make_room(&mut self, octets: usize) {
        while self.octets + octets > self.limit
            && let Some((_, key)) = self.order.pop_front()
        {
            self.remove(&key);
        }
    }

    fn add(
        &mut self,
        key: Key,
        fragment: Fragment,
        header: Chunk,
        data: Chain,
        protocol: u8,
        now: Instant,
    ) -> Outcome {
        let length = data.len();
        let end = fragment.offset + length;
        if length == 0 || end > 65_535 || (fragment.more && !length.is_multiple_of(8)) {
            return Outcome::Refused;
        }
        let cost = data.footprint() + header.footprint() + OVERHEAD;
        self.make_room(cost);
        if self.octets + cost > self.limit {
            return Outcome::Refused;
        }
        let expires = now + PATIENCE;
        if !self.packets.contains_key(&key) {
            self.order.push_back((expires, key));
        }
        let packet = self.packets.entry(key).or_insert_with(|| Assembly {
            parts: Vec::new(),
            total: None,
            header: None,
            next_header_at: 0,
            protocol,
            octets: 0,
            expires,
        });
        let at = packet.parts.partition_point(|(start, _)| *start < fragment.offset);
        let same = packet
            .parts
            .get(at)
            .is_some_and(|(start, part)| *start == fragment.offset && part.len() == length);
        if same {
            return Outcome::Waiting;
        }
        let before = at.checked_sub(1).and_then(|at| packet.parts.get(at));
        let overlap = before.is_some_and(|(start, part)| start + part.len() > fragment.offset)
            || packet.parts.get(at).is_some_and(|(start, _)| *start < end);
        let last_moves = !fragment.more && packet.total.is_some_and(|total| total != end);
        let beyond = packet.total.is_some_and(|total| end > total);
        let short = !fragment.more
            && packet.parts.last().is_some_and(|(start, part)| start + part.len() > end);
        if overlap || last_moves || beyond || short || packet.parts.len() >= MOST_PARTS {
            self.remove(&key);
            return Outcome::Refused;
        }
        packet.octets += cost;
        self.octets += cost;
        packet.parts.insert(at, (fragment.offset, data));
        if !fragment.more {
            packet.total = Some(end);
        }
        if fragment.offset == 0 {
            packet.header = Some(header);
            packet.next_header_at = fragment.next_header_at;
            packet.protocol = protocol;
        }
        let have: usize = packet.parts.iter().map(|(_, part)| part.len()).sum();
        if packet.total == Some(have) && packet.header.is_some() {
            return self.remove(&key).map_or(Outcome::Waiting, Outcome::Whole);
        }
        Outcome::Waiting
    }
}

impl Stack {
    /// Keeps a fragment; the packet goes on when it is whole.
    pub(super) fn receive_fragment(
        &mut self,
        header: &IpHeader,
        fragment: Fragment,
        mut received: Received,
    ) {
        // Fragments carry no ports, so devices may spread them; here they meet.
        let hash = self.shared.fold.hash_one((header.source, header.destination, fragment.ident));
        let shard = self.shared.shard_of(hash);
        if shard != self.index {
            self.counters.steered += 1;
            return self.send_letter(shard, Letter::Packet(header.interface, received));
        }
        self.counters.fragments_in += 1;
        let ipv4 = header.source.is_ipv4();
        let key = Key {
            source: header.source,
            destination: header.destination,
            ident: fragment.ident,
            protocol: if ipv4 { header.protocol } else { 0 },
        };
        received.data.gather(header.length, &*self.shared.pool);
        // The header must outlive the frame's first chunk, whose data may be large.
        let bytes = received.data.first().bytes().get(..fragment.unfragmented).unwrap_or(&[]);
        let first = Chunk::from_vec(bytes.to_vec());
        received.data.advance(header.length);
        let data = match received.data.footprint() > 4 * received.data.len() {
            true => received.data.copied(&*self.shared.pool).unwrap_or(received.data),
            false => received.data,
        };
        match self.reassembly.add(key, fragment, first, data, header.protocol, self.now) {
            Outcome::Waiting => {}
            Outcome::Refused => self.counters.bad_fragment += 1,
            Outcome::Whole(packet) => {
                self.counters.reassembled += 1;
                self.receive_whole(header, packet);
            }
        }
    }

    fn receive_whole(&mut self, header: &IpHeader, packet: Assembly) {
        let Some(mut first) = packet.header else { return };
        let length = packet.total.unwrap_or(0);
        let header_length = first.len();
        let Some(bytes) = first.bytes_mut() else { return };
        if header.source.is_ipv4() {
            if length + header_length > 65_535 {
                self.counters.bad_fragment += 1;
                return;
            }
            let mut view = Ipv4Packet::new_unchecked(&mut bytes[..]);
            view.set_total_len((length + header_length) as u16);
            view.set_more_frags(false);
            view.set_frag_offset(0);
            view.set_checksum(0);
            let mut sum = Sum::default();
            sum.add(bytes);
            Ipv4Packet::new_unchecked(&mut bytes[..]).set_checksum(sum.finish());
        } else {
            let payload = length + header_length - 40;
            if payload > 65_535 {
                self.counters.bad_fragment += 1;
                return;
            }
            if let Some(next) = bytes.get_mut(packet.next_header_at) {
                *next = packet.protocol;
            }
            Ipv6Packet::new_unchecked(&mut bytes[..]).set_payload_len(payload as u16);
        }
        let mut data = Chain::from(first);
        for (_, part) in packet.parts {
            data.append(part);
        }
        let look = data.len().min(512);
        if !data.gather(look, &*self.shared.pool) {
            self.counters.no_memory += 1;
            return;
        }
        let received = Received { data, meta: ReceivedMeta::default() };
        self.receive_packet(header.interface, received, header.link_group);
    }
}

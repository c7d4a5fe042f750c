//! Flow identities: which packets belong together, and how their headers are changed.

use alloc::format;
use alloc::string::String;

use click_language::value::unparse_ip;
use click_runtime::Packet;

use crate::wire;

/// Source and destination addresses and ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FlowId {
    pub(crate) source: [u8; 4],
    pub(crate) sport: u16,
    pub(crate) destination: [u8; 4],
    pub(crate) dport: u16,
}

impl FlowId {
    /// The identity of packets the other way.
    pub(crate) fn reverse(self) -> Self {
        Self {
            source: self.destination,
            sport: self.dport,
            destination: self.source,
            dport: self.sport,
        }
    }

    /// `(address, port, address, port)`.
    pub(crate) fn unparse(self) -> String {
        format!(
            "({}, {}, {}, {})",
            unparse_ip(self.source),
            self.sport,
            unparse_ip(self.destination),
            self.dport
        )
    }
}

/// What identifies a flow, and what of it is rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavor {
    /// Addresses and ports of TCP and UDP, kept apart by protocol.
    Ports,
    /// The source address alone; replies are known by their destination.
    Address,
    /// Both addresses.
    Pair,
    /// Addresses and the identifier of ICMP echo packets.
    Ping,
}

/// The protocol of a flow, as far as tables and timeouts differ by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Group {
    Tcp,
    Udp,
    Other,
}

const ECHO: u8 = 8;
const ECHO_REPLY: u8 = 0;

/// The identity of a packet's flow; none if the packet cannot belong to one.
#[inline]
pub(crate) fn identify(flavor: Flavor, packet: &Packet) -> Option<(Group, FlowId)> {
    let ip = packet.network_data();
    if ip.len() < 20 {
        return None;
    }
    let (source, destination) = (wire::ip_at(ip, 12), wire::ip_at(ip, 16));
    let plain = FlowId { source, sport: 0, destination, dport: 0 };
    let protocol = wire::protocol(ip);
    match flavor {
        Flavor::Address | Flavor::Pair => Some((Group::Other, plain)),
        Flavor::Ports => {
            let group = match protocol {
                wire::TCP => Group::Tcp,
                wire::UDP => Group::Udp,
                _ => return None,
            };
            let transport = packet.transport_data();
            if !wire::is_first_fragment(ip) || transport.len() < 8 {
                return None;
            }
            let (sport, dport) = (wire::u16_at(transport, 0), wire::u16_at(transport, 2));
            Some((group, FlowId { sport, dport, ..plain }))
        }
        Flavor::Ping => {
            let transport = packet.transport_data();
            if protocol != wire::ICMP || !wire::is_first_fragment(ip) || transport.len() < 8 {
                return None;
            }
            let identifier = wire::u16_at(transport, 4);
            match transport[0] {
                ECHO => Some((Group::Other, FlowId { sport: identifier, dport: 0, ..plain })),
                ECHO_REPLY => Some((Group::Other, FlowId { sport: 0, dport: identifier, ..plain })),
                _ => None,
            }
        }
    }
}

/// A checksum after the data changed; `delta` is the sum of the new words and of the
/// complements of the old ones. All are in one byte order, no matter which (RFC 1624).
#[inline]
fn adjust(checksum: [u8; 2], delta: u64) -> [u8; 2] {
    let old = u16::from_ne_bytes(checksum);
    (!wire::fold(u64::from(!old) + delta)).to_ne_bytes()
}

#[inline]
fn word(bytes: [u8; 4]) -> u32 {
    u32::from_ne_bytes(bytes)
}

/// Replaces four bytes; gives what that adds to a checksum's delta.
#[inline]
fn replace(slot: &mut [u8; 4], new: [u8; 4]) -> u64 {
    let delta = u64::from(!word(*slot)) + u64::from(word(new));
    *slot = new;
    delta
}

/// Gives a packet the addresses and ports of `new`, keeping checksums right.
#[inline]
pub(crate) fn apply(flavor: Flavor, packet: &mut Packet, new: FlowId, annotate: bool) {
    let ip = packet.network_data_mut();
    let Some((header, rest)) = ip.split_first_chunk_mut::<20>() else { return };
    let length = wire::header_length(header);
    let protocol = wire::protocol(header);
    let first = wire::is_first_fragment(header);
    let (words, _) = header.as_chunks_mut::<4>();
    let [_, _, control, source, destination] = words else { return };
    let addresses = replace(source, new.source) + replace(destination, new.destination);
    let [_, _, high, low] = control;
    [*high, *low] = adjust([*high, *low], addresses);
    if first && let Some(transport) = rest.get_mut(length.saturating_sub(20)..) {
        apply_to_transport(flavor, protocol, transport, new, addresses);
        if flavor == Flavor::Ping && protocol == wire::ICMP && transport.get(2..4) == Some(&[0, 0])
        {
            // Updating cannot tell the two zeros of the sum apart.
            let total = usize::from(wire::u16_at(ip, 2)).min(ip.len());
            wire::set_transport_checksum(&mut ip[..total]);
        }
    }
    if annotate {
        packet.set_dst_ip(new.destination);
    }
}

#[inline]
fn apply_to_transport(
    flavor: Flavor,
    protocol: u8,
    transport: &mut [u8],
    new: FlowId,
    addresses: u64,
) {
    let Some(start) = transport.first_chunk_mut::<8>() else { return };
    let (words, _) = start.as_chunks_mut::<4>();
    let [ports, identifier] = words else { return };
    let mut delta = addresses;
    match (flavor, protocol) {
        (Flavor::Ports, _) => {
            let ([a, b], [c, d]) = (new.sport.to_be_bytes(), new.dport.to_be_bytes());
            delta += replace(ports, [a, b, c, d]);
        }
        (Flavor::Ping, wire::ICMP) => {
            let number = if ports[0] == ECHO { new.sport } else { new.dport };
            let [a, b] = number.to_be_bytes();
            let [_, _, c, d] = *identifier;
            delta = replace(identifier, [a, b, c, d]);
        }
        _ => {}
    }
    let Some(at) = wire::checksum_offset(protocol) else { return };
    if protocol == wire::ICMP && flavor != Flavor::Ping {
        return;
    }
    let Some(slot) = transport.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<2>()) else {
        return;
    };
    match protocol {
        // A UDP checksum of zero means none, and stays none.
        wire::UDP if *slot == [0, 0] => {}
        wire::UDP => {
            let value = adjust(*slot, delta);
            *slot = if value == [0, 0] { [0xff, 0xff] } else { value };
        }
        _ => *slot = adjust(*slot, delta),
    }
}

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

/// Gives a packet the addresses and ports of `new`, keeping checksums right.
#[inline]
pub(crate) fn apply(flavor: Flavor, packet: &mut Packet, new: FlowId, annotate: bool) {
    let ip = packet.network_data_mut();
    if ip.len() < 20 {
        return;
    }
    let header = wire::header_length(ip);
    let old_source = wire::u32_at(ip, 12);
    let old_destination = wire::u32_at(ip, 16);
    let protocol = wire::protocol(ip);
    let first = wire::is_first_fragment(ip);
    let new_source = u32::from_be_bytes(new.source);
    let new_destination = u32::from_be_bytes(new.destination);
    wire::put(ip, 12, &new.source);
    wire::put(ip, 16, &new.destination);
    let halves = |word: u32| u64::from(word >> 16) + u64::from(word & 0xffff);
    let addresses = halves(!old_source)
        + halves(new_source)
        + halves(!old_destination)
        + halves(new_destination);
    let adjust = |checksum: u16, delta: u64| !wire::fold(u64::from(!checksum) + delta);
    let checksum = adjust(wire::u16_at(ip, 10), addresses);
    wire::put(ip, 10, &checksum.to_be_bytes());
    if first && ip.len() >= header + 8 {
        let transport = &mut ip[header..];
        let mut delta = addresses;
        match (flavor, protocol) {
            (Flavor::Ports, _) => {
                let old = halves(!wire::u32_at(transport, 0));
                wire::put(transport, 0, &new.sport.to_be_bytes());
                wire::put(transport, 2, &new.dport.to_be_bytes());
                delta += old + halves(wire::u32_at(transport, 0));
            }
            (Flavor::Ping, wire::ICMP) => {
                let identifier = if transport[0] == ECHO { new.sport } else { new.dport };
                let old = wire::u16_at(transport, 4);
                wire::put(transport, 4, &identifier.to_be_bytes());
                delta = u64::from(!old) + u64::from(identifier);
            }
            _ => {}
        }
        if let Some(at) = wire::checksum_offset(protocol)
            && (protocol != wire::ICMP || flavor == Flavor::Ping)
            && transport.len() >= at + 2
        {
            let old = wire::u16_at(transport, at);
            // A UDP checksum of zero means none, and stays none.
            if protocol != wire::UDP || old != 0 {
                let value = adjust(old, delta);
                let value = if protocol == wire::UDP && value == 0 { 0xffff } else { value };
                wire::put(transport, at, &value.to_be_bytes());
                // Updating cannot tell the two zeros of the sum apart.
                if protocol == wire::ICMP && value == 0 {
                    let total = usize::from(wire::u16_at(ip, 2)).min(ip.len());
                    wire::set_transport_checksum(&mut ip[..total]);
                }
            }
        }
    }
    if annotate {
        packet.set_dst_ip(new.destination);
    }
}

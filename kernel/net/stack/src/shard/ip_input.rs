use core::net::IpAddr;

use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6FragmentHeader, Ipv6Packet};

use super::Stack;
use crate::address::FlowKey;
use crate::checksum::Sum;
use crate::config::InterfaceId;
use crate::frame::Received;
use crate::shared::Letter;

/// A network header, read.
#[derive(Debug, Clone, Copy)]
pub(super) struct IpHeader {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub hop_limit: u8,
    pub traffic_class: u8,
    /// Octets of the header with all extensions.
    pub length: usize,
    pub fragment: Option<Fragment>,
    /// The packet came by link-layer broadcast or multicast.
    pub link_group: bool,
    /// The destination is no address of ours, but may be one that DHCP is about to give.
    pub unconfigured: bool,
    pub interface: InterfaceId,
}

/// What a fragment says of itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fragment {
    pub ident: u32,
    /// Offset of its data in the packet.
    pub offset: usize,
    pub more: bool,
    /// Octets of header in front of the fragment header (IPv6).
    pub unfragmented: usize,
    /// Offset of the "next header" octet that names the fragment header (IPv6).
    pub next_header_at: usize,
}

/// Extension headers that are followed at most.
const MOST_EXTENSIONS: usize = 8;
/// Headers that are made contiguous when extensions are present.
const LOOK_EXTENDED: usize = 512;

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMP4: u8 = 1;
pub(super) const ICMP6: u8 = 58;
const IGMP: u8 = 2;

impl Stack {
    /// Takes an IP packet. `link_group`: its link-layer destination was not this machine alone.
    pub(super) fn receive_packet(
        &mut self,
        interface: InterfaceId,
        mut received: Received,
        link_group: bool,
    ) {
        let version = received.data.first().bytes().first().map(|byte| byte >> 4);
        let header = match version {
            Some(4) => self.read_ipv4(interface, &mut received),
            Some(6) => self.read_ipv6(interface, &mut received),
            _ => {
                self.counters.bad_ip_header += 1;
                None
            }
        };
        let Some(mut header) = header else { return };
        header.link_group = link_group;
        if !self.is_for_us(&mut header) {
            return;
        }
        if let Some(fragment) = header.fragment {
            return self.receive_fragment(&header, fragment, received);
        }
        self.receive_transport(&header, received);
    }

    fn read_ipv4(&mut self, interface: InterfaceId, received: &mut Received) -> Option<IpHeader> {
        let total = received.data.len();
        let first = received.data.first().bytes().first();
        let header_length = first.map_or(0, |byte| usize::from(byte & 15) * 4);
        received.data.gather(header_length, &*self.shared.pool);
        let bytes = received.data.first().bytes();
        if header_length < 20 || bytes.len() < header_length {
            self.counters.bad_ip_header += 1;
            return None;
        }
        let packet = Ipv4Packet::new_unchecked(bytes);
        let length = usize::from(packet.total_len());
        if length < header_length || length > total {
            self.counters.bad_ip_header += 1;
            return None;
        }
        let mut sum = Sum::default();
        sum.add(&bytes[..header_length]);
        if interface != InterfaceId::LOOPBACK && !sum.is_valid() {
            self.counters.bad_checksum += 1;
            return None;
        }
        let offset = usize::from(packet.frag_offset());
        let more = packet.more_frags();
        let fragment = (offset > 0 || more).then(|| Fragment {
            ident: u32::from(packet.ident()),
            offset,
            more,
            unfragmented: header_length,
            next_header_at: 9,
        });
        let header = IpHeader {
            source: packet.src_addr().into(),
            destination: packet.dst_addr().into(),
            protocol: packet.next_header().into(),
            hop_limit: packet.hop_limit(),
            traffic_class: packet.dscp() << 2 | packet.ecn(),
            length: header_length,
            fragment,
            link_group: false,
            unconfigured: false,
            interface,
        };
        received.data.truncate(length);
        Some(header)
    }

    fn read_ipv6(&mut self, interface: InterfaceId, received: &mut Received) -> Option<IpHeader> {
        let total = received.data.len();
        if !received.data.gather(40, &*self.shared.pool) {
            self.counters.bad_ip_header += 1;
            return None;
        }
        let packet = Ipv6Packet::new_unchecked(received.data.first().bytes());
        let length = 40 + usize::from(packet.payload_len());
        if length > total {
            self.counters.bad_ip_header += 1;
            return None;
        }
        let mut header = IpHeader {
            source: packet.src_addr().into(),
            destination: packet.dst_addr().into(),
            protocol: packet.next_header().into(),
            hop_limit: packet.hop_limit(),
            traffic_class: packet.traffic_class(),
            length: 40,
            fragment: None,
            link_group: false,
            unconfigured: false,
            interface,
        };
        received.data.truncate(length);
        let plain = [TCP, UDP, ICMP6].contains(&header.protocol);
        if !plain && !self.read_extensions(&mut header, received) {
            self.counters.bad_ip_header += 1;
            return None;
        }
        Some(header)
    }

    /// Skips extension headers (RFC 8200 §4). Options need no treatment here; a routing header
    /// with segments left is refused (RFC 5095).
    fn read_extensions(&mut self, header: &mut IpHeader, received: &mut Received) -> bool {
        let look = received.data.len().min(LOOK_EXTENDED);
        if received.data.first().len() < look && !received.data.gather(look, &*self.shared.pool) {
            return false;
        }
        let bytes = received.data.first().bytes();
        let mut next_at = 6;
        for _ in 0..MOST_EXTENSIONS {
            let rest = bytes.get(header.length..).unwrap_or(&[]);
            match IpProtocol::from(header.protocol) {
                IpProtocol::HopByHop | IpProtocol::Ipv6Opts | IpProtocol::Ipv6Route => {
                    let &[next, units, ..] = rest else { return false };
                    let size = usize::from(units) * 8 + 8;
                    let left = rest.get(3).copied().unwrap_or(0);
                    let routed = IpProtocol::from(header.protocol) == IpProtocol::Ipv6Route;
                    if rest.len() < size || (routed && left > 0) {
                        return false;
                    }
                    next_at = header.length;
                    header.protocol = next;
                    header.length += size;
                }
                IpProtocol::Ipv6Frag => {
                    let (Some(&next), Some(body)) = (rest.first(), rest.get(2..8)) else {
                        return false;
                    };
                    let Ok(fragment) = Ipv6FragmentHeader::new_checked(body) else {
                        return false;
                    };
                    let offset = usize::from(fragment.frag_offset()) * 8;
                    let more = fragment.more_frags();
                    let unfragmented = header.length;
                    header.protocol = next;
                    header.length += 8;
                    // An atomic fragment is a whole packet (RFC 6946).
                    if offset > 0 || more {
                        let ident = fragment.ident();
                        let next_header_at = next_at;
                        header.fragment =
                            Some(Fragment { ident, offset, more, unfragmented, next_header_at });
                        return true;
                    }
                    next_at = unfragmented;
                }
                _ => return true,
            }
        }
        false
    }

    /// Whether source and destination make sense here.
    fn is_for_us(&mut self, header: &mut IpHeader) -> bool {
        let loopback = header.interface == InterfaceId::LOOPBACK;
        let bad_source = match header.source {
            IpAddr::V4(v4) => {
                v4.is_multicast() || v4.is_broadcast() || (v4.is_loopback() && !loopback)
            }
            IpAddr::V6(v6) => v6.is_multicast() || (v6.is_loopback() && !loopback),
        };
        let loopback_destination = match header.destination {
            IpAddr::V4(v4) => v4.is_loopback(),
            IpAddr::V6(v6) => v6.is_loopback(),
        };
        if bad_source || (loopback_destination && !loopback) {
            self.counters.martian += 1;
            return false;
        }
        if self.config.owner(&header.destination).is_some() {
            return true;
        }
        let group = header.destination.is_multicast()
            && (loopback || self.wants_group(header.interface, &header.destination));
        let ours = group || self.config.is_broadcast(header.interface, &header.destination);
        header.unconfigured = !ours && self.may_configure(header);
        let taken = ours || header.unconfigured;
        self.counters.not_local += u64::from(!taken);
        taken
    }

    /// Hands a whole packet to its transport protocol, on the shard of its flow.
    pub(super) fn receive_transport(&mut self, header: &IpHeader, mut received: Received) {
        let mut flow = None;
        self.gather_transport(header, &mut received);
        if header.protocol == TCP {
            let Some(key) = flow_of(header, &received) else {
                self.counters.bad_transport += 1;
                return;
            };
            let hash = key.hash_with(&self.shared.fold);
            let shard = self.shared.shard_of(hash);
            if shard != self.index {
                self.counters.steered += 1;
                return self.send_letter(shard, Letter::Packet(header.interface, received));
            }
            flow = Some((key, hash));
        }
        let taken = self.shared.has_raw_sockets() && self.deliver_raw(header, &received);
        let meta = received.meta;
        if let Some((key, hash)) = flow {
            received.data.advance(header.length);
            return self.receive_tcp(header, key, hash, received.data, meta);
        }
        match header.protocol {
            UDP => self.receive_udp(header, received),
            ICMP4 if header.source.is_ipv4() => self.receive_icmp4(header, received),
            ICMP6 if header.source.is_ipv6() => self.receive_icmp6(header, received),
            IGMP if header.source.is_ipv4() => self.receive_igmp(header, &received),
            _ if taken => {}
            _ => {
                self.counters.unknown_protocol += 1;
                self.protocol_unreachable(header, &received);
            }
        }
    }
}

impl Stack {
    /// Makes the transport header lie in the first piece of memory, if the packet has one.
    fn gather_transport(&self, header: &IpHeader, received: &mut Received) {
        let pool = &*self.shared.pool;
        let need = match header.protocol {
            TCP => {
                if !received.data.gather(header.length + 20, pool) {
                    return;
                }
                let offset = received.data.first().bytes().get(header.length + 12);
                offset.map_or(0, |byte| usize::from(byte >> 4) * 4)
            }
            UDP => 8,
            // Control messages are read as a whole, as far as anything in them matters.
            _ => received.data.len().saturating_sub(header.length).min(1500),
        };
        received.data.gather(header.length + need, pool);
    }
}

/// The flow of a TCP packet, seen from this side.
fn flow_of(header: &IpHeader, received: &Received) -> Option<FlowKey> {
    let ports = received.data.first().bytes().get(header.length..header.length + 4)?;
    let source = u16::from_be_bytes([ports[0], ports[1]]);
    let destination = u16::from_be_bytes([ports[2], ports[3]]);
    Some(FlowKey::from_parts(header.destination, destination, header.source, source))
}

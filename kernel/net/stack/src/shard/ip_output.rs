use core::net::IpAddr;

use drupe_net_base::Chain;
use smoltcp::wire::{IpProtocol, Ipv4Packet, Ipv6FragmentHeader, Ipv6Packet};

use super::Stack;
use crate::checksum::Sum;
use crate::config::InterfaceId;
use crate::datagram::SendError;
use crate::frame::{ChecksumRequest, Frame, HeaderBytes};
use crate::route::{NoPath, Path};

/// A packet to be sent, without its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing {
    pub path: Path,
    pub destination: IpAddr,
    pub protocol: u8,
    pub hop_limit: u8,
    pub traffic_class: u8,
    pub dont_fragment: bool,
}

impl From<NoPath> for SendError {
    fn from(error: NoPath) -> Self {
        match error {
            NoPath::Network => SendError::NetworkUnreachable,
            NoPath::Source => SendError::NoSource,
            NoPath::Host => SendError::HostUnreachable,
        }
    }
}

/// Where the transport checksum stands, and how it is to be filled in.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChecksumPlace {
    /// Offset in the transport header.
    pub offset: usize,
    /// Covers a pseudo header.
    pub pseudo: bool,
}

impl Stack {
    /// The largest packet that fits on the way to a destination.
    pub(super) fn packet_limit(&self, path: &Path, destination: &IpAddr) -> u32 {
        match self.shared.path_mtu(destination, self.now) {
            Some(mtu) => mtu.min(path.mtu),
            None => path.mtu,
        }
    }

    /// Sends a transport header with payload, in fragments if need be.
    pub(super) fn send_packet(
        &mut self,
        out: &Outgoing,
        mut transport: HeaderBytes,
        payload: Chain,
        checksum: Option<ChecksumPlace>,
    ) -> Result<(), SendError> {
        let length = transport.len() + payload.len();
        let header_length = if out.destination.is_ipv4() { 20 } else { 40 };
        if length + header_length > 65_535 {
            return Err(SendError::TooLarge);
        }
        let limit = self.packet_limit(&out.path, &out.destination) as usize;
        let fits = length + header_length <= limit;
        if !fits && out.dont_fragment {
            return Err(SendError::TooLarge);
        }
        let mut request = None;
        if let Some(place) = checksum {
            let offload = self
                .config
                .interface(out.path.interface)
                .is_some_and(|device| device.offloads.checksum);
            let mut sum = Sum::default();
            if place.pseudo {
                sum = Sum::pseudo_header(&out.path.source, &out.destination, out.protocol, length);
            }
            let value = if fits && offload && place.pseudo {
                request = Some(ChecksumRequest {
                    start: header_length as u16,
                    offset: place.offset as u16,
                });
                sum.partial()
            } else {
                sum.add(transport.as_slice());
                sum.add_chain(&payload);
                match sum.finish() {
                    // UDP: zero would mean none (RFC 768).
                    0 if out.protocol == super::ip_input::UDP => 0xffff,
                    value => value,
                }
            };
            let bytes = transport.as_mut_slice();
            if let Some(field) = bytes.get_mut(place.offset..place.offset + 2) {
                field.copy_from_slice(&value.to_be_bytes());
            }
        }
        if fits {
            let mut frame = Frame { header: transport, payload, ..Frame::default() };
            frame.checksum = request;
            self.put_ip(&mut frame.header, out, length, None);
            self.send_to_neighbour(out.path.interface, out.path.next_hop, frame);
            return Ok(());
        }
        self.send_fragments(out, transport, payload, limit)
    }

    fn send_fragments(
        &mut self,
        out: &Outgoing,
        transport: HeaderBytes,
        payload: Chain,
        limit: usize,
    ) -> Result<(), SendError> {
        let whole = Frame { header: transport, payload, ..Frame::default() };
        let mut rest = whole.into_chain(&*self.shared.pool).ok_or(SendError::NoMemory)?;
        let overhead = if out.destination.is_ipv4() { 20 } else { 48 };
        let step = limit.saturating_sub(overhead) & !7;
        if step == 0 {
            return Err(SendError::TooLarge);
        }
        self.next_ident = self.next_ident.wrapping_add(1 + (self.random.bits() as u32 & 7));
        let ident = self.next_ident;
        let mut offset = 0;
        while !rest.is_empty() {
            let take = if rest.len() + overhead <= limit { rest.len() } else { step };
            let part = rest.split_to(take);
            let more = !rest.is_empty();
            let length = part.len();
            let mut frame = Frame { payload: part, ..Frame::default() };
            self.put_ip(&mut frame.header, out, length, Some((ident, offset, more)));
            self.counters.fragments_out += 1;
            self.send_to_neighbour(out.path.interface, out.path.next_hop, frame);
            offset += length;
        }
        Ok(())
    }

    /// Puts the network header in front. `fragment`: identification, offset and whether more
    /// follow.
    pub(super) fn put_ip(
        &mut self,
        header: &mut HeaderBytes,
        out: &Outgoing,
        length: usize,
        fragment: Option<(u32, usize, bool)>,
    ) {
        match (out.path.source, out.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let ident = match fragment {
                    Some((ident, ..)) => ident as u16,
                    // RFC 6864: identification means nothing on a packet that is never cut.
                    None if out.dont_fragment => 0,
                    None => {
                        self.next_ident = self.next_ident.wrapping_add(1);
                        self.next_ident as u16
                    }
                };
                let bytes = header.prepend(20);
                if bytes.len() < 20 {
                    return;
                }
                let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
                packet.set_version(4);
                packet.set_header_len(20);
                packet.set_dscp(out.traffic_class >> 2);
                packet.set_ecn(out.traffic_class & 3);
                packet.set_total_len((length + 20) as u16);
                packet.set_ident(ident);
                packet.set_dont_frag(out.dont_fragment && fragment.is_none());
                if let Some((_, offset, more)) = fragment {
                    packet.set_more_frags(more);
                    packet.set_frag_offset(offset as u16);
                }
                packet.set_hop_limit(out.hop_limit);
                packet.set_next_header(IpProtocol::from(out.protocol));
                packet.set_src_addr(source);
                packet.set_dst_addr(destination);
                let mut sum = Sum::default();
                sum.add(bytes);
                Ipv4Packet::new_unchecked(bytes).set_checksum(sum.finish());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut next = IpProtocol::from(out.protocol);
                let mut length = length;
                if let Some((ident, offset, more)) = fragment {
                    let bytes = header.prepend(8);
                    if let Some((first, body)) = bytes.split_at_mut_checked(2) {
                        first[0] = out.protocol;
                        let mut view = Ipv6FragmentHeader::new_unchecked(body);
                        view.set_frag_offset((offset / 8) as u16);
                        view.set_more_frags(more);
                        view.set_ident(ident);
                    }
                    next = IpProtocol::Ipv6Frag;
                    length += 8;
                }
                let bytes = header.prepend(40);
                if bytes.len() < 40 {
                    return;
                }
                let mut packet = Ipv6Packet::new_unchecked(bytes);
                packet.set_version(6);
                packet.set_traffic_class(out.traffic_class);
                packet.set_payload_len(length as u16);
                packet.set_next_header(next);
                packet.set_hop_limit(out.hop_limit);
                packet.set_src_addr(source);
                packet.set_dst_addr(destination);
            }
            _ => {}
        }
    }

    /// The hop limit of unicast packets on an interface.
    pub(super) fn hop_limit(&self, interface: InterfaceId) -> u8 {
        self.config.interface(interface).map_or(64, |device| device.hop_limit)
    }
}

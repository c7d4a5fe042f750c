use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use drupe_net_base::{Chain, Instant};
use smoltcp::wire::Ipv4Packet;

use super::Stack;
use super::ethernet::ETHERNET;
use super::ip_input::{ICMP6, IpHeader};
use super::ip_output::{ChecksumPlace, Outgoing};
use crate::checksum::Sum;
use crate::config::{InterfaceId, Medium};
use crate::datagram::{Ancillary, Datagram, DatagramKind, Message, SendError};
use crate::frame::{Frame, HeaderBytes, Received};

/// EtherType that stands for all (ETH_P_ALL).
const ALL: u16 = 3;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

impl Stack {
    /// Gives copies of a packet to raw sockets. Returns whether one took it.
    pub(super) fn deliver_raw(&mut self, header: &IpHeader, received: &Received) -> bool {
        let mut taken = false;
        for socket in self.shared.raw_sockets() {
            let DatagramKind::Raw { protocol, ipv6, .. } = socket.kind() else { continue };
            let options = socket.options();
            let wanted = protocol == header.protocol
                && ipv6 == header.source.is_ipv6()
                && options.interface.is_none_or(|own| own == header.interface)
                && socket.remote().is_none_or(|remote| remote.ip() == header.source);
            if !wanted {
                continue;
            }
            let mut data = received.data.clone();
            if ipv6 {
                // Over IPv6 the header is not passed (RFC 3542 §3).
                data.advance(header.length);
            }
            let data = self.keep(data);
            let ancillary = self.ancillary(header);
            let source = SocketAddr::new(header.source, 0);
            self.deliver(&socket, Message { data, source, ancillary });
            taken = true;
        }
        taken
    }

    /// Sends through a raw socket. With the header included only addresses are looked at.
    pub(super) fn send_raw(
        &mut self,
        out: &Outgoing,
        data: Chain,
        header_included: bool,
    ) -> Result<(), SendError> {
        if !header_included || out.destination.is_ipv6() {
            // ICMPv6 checksums are the stack's business (RFC 3542 §3.1).
            let icmp6 = out.protocol == ICMP6 && out.destination.is_ipv6();
            if !icmp6 {
                return self.send_packet(out, HeaderBytes::new(), data, None);
            }
            let mut rest = data;
            let mut transport = HeaderBytes::new();
            if rest.len() < 4 {
                return Err(SendError::Invalid);
            }
            let bytes = transport.prepend(4);
            rest.copy_to(0, bytes);
            bytes[2..4].fill(0);
            rest.advance(4);
            let place = ChecksumPlace { offset: 2, pseudo: true };
            return self.send_packet(out, transport, rest, Some(place));
        }
        let mut packet = [0; 20];
        if data.copy_to(0, &mut packet) < 20 || packet[0] != 0x45 {
            return Err(SendError::Invalid);
        }
        if data.len() > self.packet_limit(&out.path, &out.destination) as usize {
            return Err(SendError::TooLarge);
        }
        let mut view = Ipv4Packet::new_unchecked(&mut packet[..]);
        view.set_total_len(data.len() as u16);
        if view.src_addr().is_unspecified()
            && let IpAddr::V4(source) = out.path.source
        {
            view.set_src_addr(source);
        }
        if view.ident() == 0 {
            self.next_ident = self.next_ident.wrapping_add(1);
            view.set_ident(self.next_ident as u16);
        }
        view.set_checksum(0);
        let mut sum = Sum::default();
        sum.add(&packet);
        packet[10..12].copy_from_slice(&sum.finish().to_be_bytes());
        let mut frame = Frame::default();
        frame.header.prepend(20).copy_from_slice(&packet);
        frame.payload = data;
        frame.payload.advance(20);
        self.send_to_neighbour(out.path.interface, out.path.next_hop, frame);
        Ok(())
    }

    /// Gives a received frame to packet sockets.
    pub(super) fn tap_received(
        &mut self,
        interface: InterfaceId,
        medium: Medium,
        received: &Received,
    ) {
        let (link, skip) = link_of(medium, received.data.first().bytes());
        self.tap(interface, link, skip, &received.data, false);
    }

    /// Gives a frame that is about to be sent to packet sockets.
    pub(super) fn tap_sent(&mut self, interface: InterfaceId, frame: &Frame) {
        let Some(medium) = self.config.interface(interface).map(|device| device.medium) else {
            return;
        };
        if let Some(data) = frame.clone().into_chain(&*self.shared.pool) {
            let (link, skip) = link_of(medium, data.first().bytes());
            self.tap(interface, link, skip, &data, true);
        }
    }

    fn tap(
        &mut self,
        interface: InterfaceId,
        link: ([u8; 6], u16),
        skip: usize,
        frame: &Chain,
        outgoing: bool,
    ) {
        for socket in self.shared.raw_sockets() {
            let DatagramKind::Packet { protocol, cooked } = socket.kind() else { continue };
            // What is sent is shown only to those who want everything, as in Linux.
            let wanted = protocol == ALL || (protocol == link.1 && !outgoing);
            if !wanted || socket.options().interface.is_some_and(|own| own != interface) {
                continue;
            }
            let mut data = frame.clone();
            if cooked {
                data.advance(skip);
            }
            let data = self.keep(data);
            let ancillary = Ancillary {
                destination: Ipv4Addr::UNSPECIFIED.into(),
                interface,
                hop_limit: 0,
                traffic_class: 0,
                time: self.now,
                link,
                outgoing,
            };
            let source = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
            self.deliver(&socket, Message { data, source, ancillary });
        }
    }

    /// Sends a frame through a packet socket: whole, or (cooked) with a link header for `to`.
    pub fn send_frame(
        &mut self,
        socket: &Arc<Datagram>,
        interface: InterfaceId,
        to: [u8; 6],
        data: Chain,
        now: Instant,
    ) -> Result<usize, SendError> {
        self.enter(now);
        let DatagramKind::Packet { protocol, cooked } = socket.kind() else {
            return Err(SendError::Invalid);
        };
        let Some(device) = self.config.interface(interface) else {
            return Err(SendError::NetworkUnreachable);
        };
        let (own, medium) = (device.mac, device.medium);
        let link = if medium == Medium::Ethernet { ETHERNET } else { 0 };
        let overhead = if cooked { 0 } else { link };
        if data.len() > device.mtu as usize + overhead {
            return Err(SendError::TooLarge);
        }
        if data.len() < overhead.max(1) {
            return Err(SendError::Invalid);
        }
        let length = data.len();
        let mut frame = Frame { payload: data, ..Frame::default() };
        if cooked && link > 0 {
            let bytes = frame.header.prepend(ETHERNET);
            bytes[..6].copy_from_slice(&to);
            bytes[6..12].copy_from_slice(&own);
            bytes[12..14].copy_from_slice(&protocol.to_be_bytes());
        }
        if medium == Medium::Loopback {
            self.loop_back(frame);
        } else {
            self.push_frame(interface, frame);
        }
        Ok(length)
    }
}

/// Source and EtherType of a frame, and the length of its link header.
fn link_of(medium: Medium, bytes: &[u8]) -> (([u8; 6], u16), usize) {
    match (medium, bytes.get(6..ETHERNET)) {
        (Medium::Ethernet, Some(&[a, b, c, d, e, f, high, low])) => {
            (([a, b, c, d, e, f], u16::from_be_bytes([high, low])), ETHERNET)
        }
        _ => (([0; 6], protocol_of(bytes)), 0),
    }
}

fn protocol_of(packet: &[u8]) -> u16 {
    match packet.first().map(|byte| byte >> 4) {
        Some(6) => IPV6,
        _ => IPV4,
    }
}

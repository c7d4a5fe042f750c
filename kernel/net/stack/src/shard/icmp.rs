use core::net::SocketAddr;

use drupe_net_base::Chain;
use smoltcp::wire::{Icmpv4Message, Icmpv4Packet, Icmpv6Message, Icmpv6Packet};

use super::Stack;
use super::ip_input::{ICMP4, ICMP6, IpHeader};
use super::ip_output::{ChecksumPlace, Outgoing};
use crate::bind::Protocol;
use crate::checksum::Sum;
use crate::datagram::{Message, SendError};
use crate::frame::{HeaderBytes, Received};

/// Octets of an echo header.
const ECHO: usize = 8;
const PLACE4: ChecksumPlace = ChecksumPlace { offset: 2, pseudo: false };
pub(super) const PLACE6: ChecksumPlace = ChecksumPlace { offset: 2, pseudo: true };

impl Stack {
    pub(super) fn receive_icmp4(&mut self, header: &IpHeader, mut received: Received) {
        let packet = received.clone();
        received.data.advance(header.length);
        let mut sum = Sum::default();
        sum.add_chain(&received.data);
        let Some(bytes) = received.data.first().bytes().get(..ECHO) else {
            self.counters.bad_icmp += 1;
            return;
        };
        if !sum.is_valid() && !received.meta.checksum_valid {
            self.counters.bad_checksum += 1;
            return;
        }
        self.counters.icmp_in += 1;
        let view = Icmpv4Packet::new_unchecked(bytes);
        match view.msg_type() {
            Icmpv4Message::EchoRequest => {
                let group = header.destination.is_multicast()
                    || self.config.is_broadcast(header.interface, &header.destination);
                if !group {
                    self.answer_echo(header, received.data, Icmpv4Message::EchoReply.into());
                }
            }
            Icmpv4Message::EchoReply => {
                let ident = view.echo_ident();
                self.deliver_echo(header, Protocol::Ping4, ident, received.data);
            }
            Icmpv4Message::DstUnreachable | Icmpv4Message::TimeExceeded => {
                self.receive_icmp4_error(header, &packet);
            }
            _ => {}
        }
    }

    pub(super) fn receive_icmp6(&mut self, header: &IpHeader, mut received: Received) {
        let packet = received.clone();
        received.data.advance(header.length);
        let length = received.data.len();
        let bytes = received.data.first().bytes();
        if bytes.len() < 4 {
            self.counters.bad_icmp += 1;
            return;
        }
        if !received.meta.checksum_valid {
            let mut sum = Sum::pseudo_header(&header.source, &header.destination, ICMP6, length);
            sum.add_chain(&received.data);
            if !sum.is_valid() {
                self.counters.bad_checksum += 1;
                return;
            }
        }
        self.counters.icmp_in += 1;
        let kind = Icmpv6Message::from(bytes[0]);
        match kind {
            Icmpv6Message::EchoRequest if bytes.len() >= ECHO => {
                self.answer_echo(header, received.data, Icmpv6Message::EchoReply.into());
            }
            Icmpv6Message::EchoReply if bytes.len() >= ECHO => {
                let ident = Icmpv6Packet::new_unchecked(bytes).echo_ident();
                self.deliver_echo(header, Protocol::Ping6, ident, received.data);
            }
            Icmpv6Message::DstUnreachable
            | Icmpv6Message::PktTooBig
            | Icmpv6Message::TimeExceeded
            | Icmpv6Message::ParamProblem => self.receive_icmp6_error(header, &packet),
            Icmpv6Message::RouterSolicit
            | Icmpv6Message::RouterAdvert
            | Icmpv6Message::NeighborSolicit
            | Icmpv6Message::NeighborAdvert
            | Icmpv6Message::Redirect => self.receive_ndp(header, kind, &received.data),
            Icmpv6Message::MldQuery => self.receive_mld_query(header),
            _ => {}
        }
    }

    fn answer_echo(&mut self, header: &IpHeader, mut data: Chain, kind: u8) {
        if !self.may_send_error() {
            return;
        }
        let mut transport = HeaderBytes::new();
        let bytes = transport.prepend(ECHO);
        data.copy_to(0, bytes);
        bytes[0] = kind;
        bytes[1] = 0;
        bytes[2..4].fill(0);
        data.advance(ECHO);
        // To a group the answer comes from an address of our own.
        let source = (!header.destination.is_multicast()).then_some(header.destination);
        let interface = header.source_needs_scope().then_some(header.interface);
        let Ok(path) = self.config.path(&header.source, source, interface) else {
            self.counters.no_route += 1;
            return;
        };
        let ipv4 = header.source.is_ipv4();
        let out = Outgoing {
            path,
            destination: header.source,
            protocol: if ipv4 { ICMP4 } else { ICMP6 },
            hop_limit: self.hop_limit(path.interface),
            traffic_class: header.traffic_class & !3,
            dont_fragment: false,
        };
        self.counters.icmp_out += 1;
        let place = if ipv4 { PLACE4 } else { PLACE6 };
        let _ = self.send_packet(&out, transport, data, Some(place));
    }

    fn deliver_echo(&mut self, header: &IpHeader, protocol: Protocol, ident: u16, data: Chain) {
        let local = SocketAddr::new(header.destination, ident);
        let remote = SocketAddr::new(header.source, 0);
        let binds = &self.shared.binds;
        if let Some(socket) = binds.datagram(protocol, local, remote, header.interface, 0) {
            let data = self.keep(data);
            let ancillary = self.ancillary(header);
            self.deliver(&socket, Message { data, source: remote, ancillary });
        }
    }

    /// Sends an echo request for a ping socket: the socket's identifier replaces the one given.
    pub(super) fn send_ping(
        &mut self,
        out: &Outgoing,
        ident: u16,
        mut data: Chain,
    ) -> Result<(), SendError> {
        let ipv4 = out.destination.is_ipv4();
        let request: u8 = match ipv4 {
            true => Icmpv4Message::EchoRequest.into(),
            false => Icmpv6Message::EchoRequest.into(),
        };
        if data.len() < ECHO {
            return Err(SendError::Invalid);
        }
        let mut transport = HeaderBytes::new();
        let bytes = transport.prepend(ECHO);
        data.copy_to(0, bytes);
        if bytes[0] != request || bytes[1] != 0 {
            return Err(SendError::Invalid);
        }
        bytes[2..4].fill(0);
        bytes[4..6].copy_from_slice(&ident.to_be_bytes());
        data.advance(ECHO);
        let place = if ipv4 { PLACE4 } else { PLACE6 };
        self.send_packet(out, transport, data, Some(place))
    }

    /// Sends an ICMPv6 message of a few octets.
    pub(super) fn send_icmp6(&mut self, out: &Outgoing, message: &[u8]) {
        let mut transport = HeaderBytes::new();
        let bytes = transport.prepend(message.len());
        if bytes.len() < message.len() {
            return;
        }
        bytes.copy_from_slice(message);
        bytes[2..4].fill(0);
        self.counters.icmp_out += 1;
        let _ = self.send_packet(out, transport, Chain::new(), Some(PLACE6));
    }

    /// Sends an ICMP error: four octets of header, four that depend on it, and the packet.
    pub(super) fn send_icmp_error(&mut self, out: &Outgoing, head: [u8; 8], packet: Chain) {
        let mut transport = HeaderBytes::new();
        transport.prepend(ECHO).copy_from_slice(&head);
        self.counters.icmp_out += 1;
        let place = if out.destination.is_ipv4() { PLACE4 } else { PLACE6 };
        let _ = self.send_packet(out, transport, packet, Some(place));
    }
}

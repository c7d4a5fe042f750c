use core::net::{IpAddr, SocketAddr};

use drupe_net_tcp::Failure;
use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Message, Icmpv6DstUnreachable, Icmpv6Message, Ipv4Packet,
    Ipv6Packet,
};

use super::Stack;
use super::ip_input::{ICMP4, ICMP6, IpHeader, TCP, UDP};
use super::ip_output::Outgoing;
use crate::address::{FlowKey, is_link_local};
use crate::bind::Protocol;
use crate::datagram::SocketError;
use crate::frame::{Frame, Received};
use crate::shared::Letter;

/// Most of an offending packet that an error quotes, so that the error stays below the size
/// every host takes (RFC 1812 §4.3.2.3, RFC 4443 §2.4).
const QUOTE4: usize = 548;
const QUOTE6: usize = 1232;

/// What a quoted packet tells of the flow it belonged to, from our side.
#[derive(Debug, Clone, Copy)]
struct Quoted {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    ports: (u16, u16),
    sequence: u32,
}

/// What the network said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Refused,
    Host,
    Network,
    TooBig(u32),
    /// Not final: hop limit, reassembly.
    Passing,
}

impl IpHeader {
    /// Whether the source can only be reached on the interface the packet came from.
    pub(super) fn source_needs_scope(&self) -> bool {
        matches!(self.source, IpAddr::V6(v6) if is_link_local(&v6))
    }
}

impl Stack {
    pub(super) fn port_unreachable(&mut self, header: &IpHeader, packet: &Received) {
        let (v4, v6) = (
            [Icmpv4Message::DstUnreachable.into(), Icmpv4DstUnreachable::PortUnreachable.into()],
            [Icmpv6Message::DstUnreachable.into(), Icmpv6DstUnreachable::PortUnreachable.into()],
        );
        self.send_error(header, packet, v4, v6);
    }

    pub(super) fn protocol_unreachable(&mut self, header: &IpHeader, packet: &Received) {
        let v4 =
            [Icmpv4Message::DstUnreachable.into(), Icmpv4DstUnreachable::ProtoUnreachable.into()];
        // Parameter problem, unrecognized next header.
        self.send_error(header, packet, v4, [Icmpv6Message::ParamProblem.into(), 1]);
    }

    /// Reports a packet back to its sender, unless it is one that must not be answered
    /// (RFC 1122 §3.2.2, RFC 4443 §2.4).
    fn send_error(&mut self, header: &IpHeader, packet: &Received, v4: [u8; 2], v6: [u8; 2]) {
        let unanswerable = header.link_group
            || header.destination.is_multicast()
            || header.source.is_unspecified()
            || self.config.is_broadcast(header.interface, &header.destination)
            || self.config.is_broadcast(header.interface, &header.source);
        if unanswerable || !self.may_send_error() {
            return;
        }
        let interface = header.source_needs_scope().then_some(header.interface);
        let path = self.config.path(&header.source, Some(header.destination), interface);
        let Ok(path) = path else { return };
        let ipv4 = header.source.is_ipv4();
        let ([kind, code], quote) = if ipv4 { (v4, QUOTE4) } else { (v6, QUOTE6) };
        let pointer = if !ipv4 && kind == u8::from(Icmpv6Message::ParamProblem) { 6 } else { 0 };
        let out = Outgoing {
            path,
            destination: header.source,
            protocol: if ipv4 { ICMP4 } else { ICMP6 },
            hop_limit: self.hop_limit(path.interface),
            traffic_class: 0,
            dont_fragment: false,
        };
        let head = [kind, code, 0, 0, 0, 0, 0, pointer];
        self.send_icmp_error(&out, head, packet.data.slice(0, quote));
    }

    pub(super) fn receive_icmp4_error(&mut self, header: &IpHeader, packet: &Received) {
        let bytes = packet.data.first().bytes();
        let message = bytes.get(header.length..).unwrap_or(&[]);
        let (Some(head), Some(quote)) = (message.get(..8), message.get(8..)) else {
            self.counters.bad_icmp += 1;
            return;
        };
        let Some(quoted) = read_quote4(quote) else {
            self.counters.bad_icmp += 1;
            return;
        };
        let unreachable = u8::from(Icmpv4Message::DstUnreachable);
        let trouble = match (head[0] == unreachable, Icmpv4DstUnreachable::from(head[1])) {
            (false, _) => Trouble::Passing,
            (true, Icmpv4DstUnreachable::FragRequired) => {
                let mtu = u32::from(u16::from_be_bytes([head[6], head[7]]));
                // Old routers say nothing (RFC 1191 §5): fall to a size nearly all paths carry.
                Trouble::TooBig(if mtu == 0 { 576 } else { mtu.max(552) })
            }
            (
                true,
                Icmpv4DstUnreachable::PortUnreachable | Icmpv4DstUnreachable::ProtoUnreachable,
            ) => Trouble::Refused,
            (
                true,
                Icmpv4DstUnreachable::NetUnreachable
                | Icmpv4DstUnreachable::DstNetUnknown
                | Icmpv4DstUnreachable::NetProhibited
                | Icmpv4DstUnreachable::NetUnreachToS,
            ) => Trouble::Network,
            (true, _) => Trouble::Host,
        };
        self.on_trouble(&quoted, trouble);
    }

    pub(super) fn receive_icmp6_error(&mut self, header: &IpHeader, packet: &Received) {
        let bytes = packet.data.first().bytes();
        let message = bytes.get(header.length..).unwrap_or(&[]);
        let (Some(head), Some(quote)) = (message.get(..8), message.get(8..)) else {
            self.counters.bad_icmp += 1;
            return;
        };
        let Some(quoted) = read_quote6(quote) else {
            self.counters.bad_icmp += 1;
            return;
        };
        let trouble = match Icmpv6Message::from(head[0]) {
            Icmpv6Message::PktTooBig => {
                let mtu = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
                Trouble::TooBig(mtu.max(1280))
            }
            Icmpv6Message::DstUnreachable => match Icmpv6DstUnreachable::from(head[1]) {
                Icmpv6DstUnreachable::PortUnreachable => Trouble::Refused,
                Icmpv6DstUnreachable::NoRoute => Trouble::Network,
                _ => Trouble::Host,
            },
            _ => Trouble::Passing,
        };
        self.on_trouble(&quoted, trouble);
    }

    /// Tells the socket whose packet was quoted, if there is one and the quote fits it
    /// (RFC 5927).
    fn on_trouble(&mut self, quoted: &Quoted, trouble: Trouble) {
        if self.config.owner(&quoted.source).is_none() {
            self.counters.bad_icmp += 1;
            return;
        }
        match quoted.protocol {
            TCP => self.on_tcp_trouble(quoted, trouble),
            UDP => {
                if let Trouble::TooBig(mtu) = trouble {
                    self.shared.set_path_mtu(quoted.destination, mtu, self.now);
                }
                let error = match trouble {
                    Trouble::Refused => SocketError::Refused,
                    Trouble::Host => SocketError::HostUnreachable,
                    Trouble::Network => SocketError::NetworkUnreachable,
                    Trouble::TooBig(mtu) => SocketError::TooLarge(mtu),
                    Trouble::Passing => return,
                };
                let local = SocketAddr::new(quoted.source, quoted.ports.0);
                let remote = SocketAddr::new(quoted.destination, quoted.ports.1);
                let interface = crate::config::InterfaceId::LOOPBACK;
                let found = self.shared.binds.datagram(Protocol::Udp, local, remote, interface, 0);
                // Errors reach connected sockets only, as in Linux.
                match found {
                    Some(socket) if socket.remote() == Some(remote) => {
                        if socket.fail(error) {
                            self.report(&socket.readiness().clone());
                        }
                    }
                    _ => self.counters.bad_icmp += 1,
                }
            }
            _ => {}
        }
    }

    fn on_tcp_trouble(&mut self, quoted: &Quoted, trouble: Trouble) {
        let key =
            FlowKey::from_parts(quoted.source, quoted.ports.0, quoted.destination, quoted.ports.1);
        let shard = self.shared.shard_of(key.hash_with(&self.shared.fold));
        let sequence = quoted.sequence;
        let failure = match trouble {
            Trouble::TooBig(mtu) => {
                if shard == self.index {
                    self.tcp_too_big(&key, sequence, mtu);
                } else {
                    self.send_letter(shard, Letter::TooBig(key, sequence, mtu));
                }
                return;
            }
            Trouble::Refused => Failure::Refused,
            Trouble::Host => Failure::HostUnreachable,
            Trouble::Network => Failure::NetworkUnreachable,
            Trouble::Passing => return,
        };
        if shard == self.index {
            self.tcp_unreachable(&key, sequence, failure);
        } else {
            self.send_letter(shard, Letter::Unreachable(key, sequence, failure));
        }
    }

    /// A frame whose neighbour does not answer: as if a router had said so.
    pub(super) fn undeliverable(&mut self, frame: &Frame) {
        let bytes = frame.header.as_slice();
        let quoted = match bytes.first().map(|byte| byte >> 4) {
            Some(4) => read_quote4(bytes),
            Some(6) => read_quote6(bytes),
            _ => None,
        };
        if let Some(quoted) = quoted {
            self.on_trouble(&quoted, Trouble::Host);
        }
    }
}

fn read_quote4(bytes: &[u8]) -> Option<Quoted> {
    if bytes.len() < 28 || bytes[0] >> 4 != 4 {
        return None;
    }
    let view = Ipv4Packet::new_unchecked(bytes);
    let length = usize::from(view.header_len());
    if length < 20 || view.frag_offset() != 0 {
        return None;
    }
    let (source, destination) = (view.src_addr().into(), view.dst_addr().into());
    quoted(source, destination, view.next_header().into(), bytes.get(length..)?)
}

fn read_quote6(bytes: &[u8]) -> Option<Quoted> {
    if bytes.len() < 48 || bytes[0] >> 4 != 6 {
        return None;
    }
    let view = Ipv6Packet::new_unchecked(bytes);
    let (source, destination) = (view.src_addr().into(), view.dst_addr().into());
    quoted(source, destination, view.next_header().into(), bytes.get(40..)?)
}

fn quoted(source: IpAddr, destination: IpAddr, protocol: u8, bytes: &[u8]) -> Option<Quoted> {
    let &[a, b, c, d, e, f, g, h, ..] = bytes else { return None };
    Some(Quoted {
        source,
        destination,
        protocol,
        ports: (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])),
        sequence: u32::from_be_bytes([e, f, g, h]),
    })
}

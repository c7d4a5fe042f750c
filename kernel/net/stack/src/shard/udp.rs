use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use drupe_net_base::{Chain, Instant};
use smoltcp::wire::UdpPacket;

use super::Stack;
use super::ip_input::{IpHeader, UDP};
use super::ip_output::{ChecksumPlace, Outgoing};
use crate::bind::{BindRequest, Protocol};
use crate::checksum::Sum;
use crate::config::InterfaceId;
use crate::datagram::{Ancillary, Datagram, DatagramKind, DatagramOptions, Message, SendError};
use crate::frame::{HeaderBytes, Received};

/// Octets of a UDP header.
const HEADER: usize = 8;

impl Stack {
    pub(super) fn ancillary(&self, header: &IpHeader) -> Ancillary {
        Ancillary {
            destination: header.destination,
            interface: header.interface,
            hop_limit: header.hop_limit,
            traffic_class: header.traffic_class,
            time: self.now,
            link: ([0; 6], 0),
            outgoing: false,
        }
    }

    pub(super) fn receive_udp(&mut self, header: &IpHeader, mut received: Received) {
        let packet = received.clone();
        received.data.advance(header.length);
        let bytes = received.data.first().bytes();
        let Some(bytes) = bytes.get(..HEADER) else {
            self.counters.bad_transport += 1;
            return;
        };
        let view = UdpPacket::new_unchecked(bytes);
        let (source, destination) = (view.src_port(), view.dst_port());
        let (length, checksum) = (usize::from(view.len()), view.checksum());
        if length < HEADER || length > received.data.len() || destination == 0 {
            self.counters.bad_transport += 1;
            return;
        }
        received.data.truncate(length);
        // Over IPv6 the checksum is mandatory (RFC 8200 §8.1).
        let unchecked = checksum == 0 && header.source.is_ipv4();
        if !unchecked && !received.meta.checksum_valid {
            let mut sum = Sum::pseudo_header(&header.source, &header.destination, UDP, length);
            sum.add_chain(&received.data);
            if checksum == 0 || !sum.is_valid() {
                self.counters.bad_checksum += 1;
                return;
            }
        }
        received.data.advance(HEADER);
        if self.receive_autoconf(header, destination, &received.data, &packet) {
            return;
        }
        if header.unconfigured {
            self.counters.not_local += 1;
            return;
        }
        let local = SocketAddr::new(header.destination, destination);
        let remote = SocketAddr::new(header.source, source);
        let data = self.keep(received.data);
        let group = header.destination.is_multicast()
            || self.config.is_broadcast(header.interface, &header.destination);
        if group {
            return self.deliver_group(header, local, remote, data);
        }
        let hash = (u64::from(source) << 32 | u64::from(destination)).wrapping_mul(0x9e37_79b9);
        let found =
            self.shared.binds.datagram(Protocol::Udp, local, remote, header.interface, hash);
        let Some(socket) = found else {
            self.counters.no_port += 1;
            if !header.link_group {
                self.port_unreachable(header, &packet);
            }
            return;
        };
        let ancillary = self.ancillary(header);
        self.deliver(&socket, Message { data, source: remote, ancillary });
    }

    /// Payload for a socket: small data does not keep a device's buffer.
    pub(super) fn keep(&self, data: Chain) -> Chain {
        if data.footprint() > 4 * data.len() {
            return data.copied(&*self.shared.pool).unwrap_or(data);
        }
        data
    }

    fn deliver_group(
        &mut self,
        header: &IpHeader,
        local: SocketAddr,
        remote: SocketAddr,
        data: Chain,
    ) {
        let multicast = header.destination.is_multicast();
        let ancillary = self.ancillary(header);
        let mut taken = false;
        for socket in self.shared.binds.all_datagrams(local, remote, header.interface) {
            let wanted = !multicast
                || header.interface == InterfaceId::LOOPBACK
                || socket.is_member(&header.destination, header.interface);
            if wanted {
                taken = true;
                self.deliver(&socket, Message { data: data.clone(), source: remote, ancillary });
            }
        }
        self.counters.no_port += u64::from(!taken);
    }

    pub(super) fn deliver(&mut self, socket: &Arc<Datagram>, message: Message) {
        match socket.deliver(message) {
            None => self.counters.socket_full += 1,
            Some(report) => {
                self.counters.datagrams_in += 1;
                if report {
                    self.report(socket.readiness());
                }
            }
        }
    }

    /// Connects a datagram socket: packets go to, and come from, only `remote`. `None` ends that.
    pub fn connect_datagram(
        &mut self,
        socket: &Arc<Datagram>,
        remote: Option<SocketAddr>,
        now: Instant,
    ) -> Result<(), SendError> {
        self.enter(now);
        let Some(remote) = remote else {
            socket.set_remote(None, None);
            return Ok(());
        };
        let remote = unmap(remote);
        let options = socket.options();
        let bound = socket.local().map(|local| local.ip());
        let path = self.config.path(&remote.ip(), bound, options.interface)?;
        self.bind_if_needed(socket, remote)?;
        socket.set_remote(Some(remote), Some(path.source));
        Ok(())
    }

    fn bind_if_needed(&self, socket: &Arc<Datagram>, remote: SocketAddr) -> Result<(), SendError> {
        let protocol = match (socket.kind(), remote) {
            (DatagramKind::Udp, _) => Protocol::Udp,
            (DatagramKind::Ping, SocketAddr::V4(_)) => Protocol::Ping4,
            (DatagramKind::Ping, SocketAddr::V6(_)) => Protocol::Ping6,
            _ => return Ok(()),
        };
        if socket.local().is_some() {
            return Ok(());
        }
        let any = match remote {
            SocketAddr::V4(_) => SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            SocketAddr::V6(_) => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0),
        };
        let binding =
            self.shared.bind(BindRequest::new(protocol, any)).map_err(|_| SendError::NoPort)?;
        socket.attach(binding);
        Ok(())
    }

    /// Sends a datagram through a UDP, ping or raw socket. `to` is needed unless the socket is
    /// connected. Any shard can do this.
    pub fn send_datagram(
        &mut self,
        socket: &Arc<Datagram>,
        data: Chain,
        to: Option<SocketAddr>,
        now: Instant,
    ) -> Result<usize, SendError> {
        self.enter(now);
        let (error, shut, remote, bound, options) = socket.with_state(|state| {
            let bound = state.binding.as_ref().map(|binding| binding.local());
            (state.error.take(), state.send_shut, state.remote, bound, state.options)
        });
        if let Some(error) = error {
            return Err(SendError::Earlier(error));
        }
        if shut {
            return Err(SendError::Shut);
        }
        let to = unmap(to.or(remote).ok_or(SendError::NoDestination)?);
        let length = data.len();
        let source = bound.map(|local| local.ip()).map(|ip| unmap(SocketAddr::new(ip, 0)).ip());
        let source = source.filter(|ip| !ip.is_unspecified());
        if source.is_some_and(|ip| ip.is_ipv4() != to.is_ipv4()) {
            return Err(SendError::Family);
        }
        let out = self.outgoing(socket.kind(), to, source, &options)?;
        let loops = out.destination.is_multicast() && options.multicast_loop;
        let copy = (loops && socket.kind() == DatagramKind::Udp).then(|| data.clone());
        if !self.has_transmit_room(out.path.interface) {
            return Err(SendError::WouldBlock);
        }
        match socket.kind() {
            DatagramKind::Udp => {
                self.bind_if_needed(socket, to)?;
                let port = socket.local().map_or(0, |local| local.port());
                self.send_udp(&out, port, to.port(), data)?;
            }
            DatagramKind::Ping => {
                self.bind_if_needed(socket, to)?;
                let ident = socket.local().map_or(0, |local| local.port());
                self.send_ping(&out, ident, data)?;
            }
            DatagramKind::Raw { header_included, .. } => {
                self.send_raw(&out, data, header_included)?;
            }
            DatagramKind::Packet { .. } => return Err(SendError::Invalid),
        }
        self.counters.datagrams_out += 1;
        if let Some(copy) = copy {
            let port = socket.local().map_or(0, |local| local.port());
            self.loop_multicast(&out, port, to, copy);
        }
        Ok(length)
    }

    fn outgoing(
        &mut self,
        kind: DatagramKind,
        to: SocketAddr,
        source: Option<IpAddr>,
        options: &DatagramOptions,
    ) -> Result<Outgoing, SendError> {
        let destination = to.ip();
        let multicast = destination.is_multicast();
        let interface = options
            .interface
            .or_else(|| options.multicast_interface.filter(|_| multicast))
            .or(scope(&to));
        let path = self.config.path(&destination, source, interface).inspect_err(|_| {
            self.counters.no_route += 1;
        })?;
        if self.config.is_broadcast(path.interface, &destination) && !options.broadcast {
            return Err(SendError::Broadcast);
        }
        let hop_limit = match (multicast, options.hop_limit) {
            (true, _) => options.multicast_hop_limit,
            (false, Some(limit)) => limit,
            (false, None) => self.hop_limit(path.interface),
        };
        let protocol = match (kind, destination) {
            (DatagramKind::Raw { protocol, .. }, _) => protocol,
            (DatagramKind::Ping, IpAddr::V4(_)) => super::ip_input::ICMP4,
            (DatagramKind::Ping, IpAddr::V6(_)) => super::ip_input::ICMP6,
            _ => UDP,
        };
        Ok(Outgoing {
            path,
            destination,
            protocol,
            hop_limit,
            traffic_class: options.traffic_class,
            dont_fragment: options.dont_fragment,
        })
    }

    /// Own packets of a group reach this machine's members as well.
    fn loop_multicast(&mut self, out: &Outgoing, port: u16, to: SocketAddr, data: Chain) {
        let header = IpHeader {
            source: out.path.source,
            destination: out.destination,
            protocol: UDP,
            hop_limit: out.hop_limit,
            traffic_class: out.traffic_class,
            length: 0,
            fragment: None,
            link_group: true,
            unconfigured: false,
            interface: out.path.interface,
        };
        let remote = SocketAddr::new(out.path.source, port);
        self.deliver_group(&header, SocketAddr::new(out.destination, to.port()), remote, data);
    }

    pub(super) fn send_udp(
        &mut self,
        out: &Outgoing,
        source: u16,
        destination: u16,
        data: Chain,
    ) -> Result<(), SendError> {
        let length = HEADER + data.len();
        if length > 65_535 {
            return Err(SendError::TooLarge);
        }
        let mut transport = HeaderBytes::new();
        let mut view = UdpPacket::new_unchecked(transport.prepend(HEADER));
        view.set_src_port(source);
        view.set_dst_port(destination);
        view.set_len(length as u16);
        view.set_checksum(0);
        let place = ChecksumPlace { offset: 6, pseudo: true };
        self.send_packet(out, transport, data, Some(place))
    }
}

/// The interface that a link-local IPv6 destination names.
fn scope(to: &SocketAddr) -> Option<InterfaceId> {
    match to {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => Some(InterfaceId(v6.scope_id())),
        _ => None,
    }
}

/// IPv4 addresses in IPv6 clothes become IPv4.
pub(super) fn unmap(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => address,
        },
        SocketAddr::V4(_) => address,
    }
}

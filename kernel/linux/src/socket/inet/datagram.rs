//! Sockets without connections: UDP, ICMP echo, raw.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::Ordering;

use errno::Errno;
use lock::SpinLock;
use net_service::stack::tcp::Ready;
use net_service::stack::{
    BindRequest, Datagram, DatagramKind, Group, InterfaceId, Message, Protocol, ReceiveError,
};
use net_service::{Observer, Token};

use super::address::{self, Family};
use super::convert::{bind_error, events_of, send_error, socket_error};
use super::ip_options::{IPPROTO_IP, IPPROTO_IPV6, IpOptions, exact, int, ip, ipv6, number};
use super::tcp_transfer::collect;
use super::{interfaces, ip_options};
use crate::abi::Layout;
use crate::error::{Fail, Result, fail};
use crate::file::events;
use crate::notifier::Notifier;
use crate::rank;
use crate::socket::options::option;
use crate::socket::{
    Control, Incoming, Outgoing, Socket, SocketOptions, kind, message_flags as flags,
};
use crate::thread::Thread;
use crate::user::{Sink, Source};

const RAW: u32 = 3;
/// The most that a datagram holds: what its length field can say.
const LARGEST: u64 = 65_535;

struct State {
    ip: IpOptions,
    /// Reading ended by `shutdown(2)`.
    connected: bool,
}

/// A socket without connections.
pub struct DatagramSocket {
    family: Family,
    protocol: u32,
    options: SocketOptions,
    inner: Arc<Datagram>,
    state: SpinLock<State>,
    notifier: Notifier,
    /// Names this socket in the stack's events.
    _token: Token,
}

impl Observer for DatagramSocket {
    fn changed(&self, changed: Ready) {
        self.notifier.notify_of(events_of(changed));
    }
}

impl DatagramSocket {
    /// A socket without name or peer.
    pub fn new(family: Family, kind: DatagramKind, protocol: u32) -> Arc<Self> {
        Arc::new_cyclic(|own: &Weak<Self>| {
            let token = Token::new(Weak::clone(own) as Weak<dyn Observer>);
            Self {
                family,
                protocol,
                options: SocketOptions::default(),
                inner: net_service::shared().datagram(kind, token.number()),
                state: SpinLock::new(
                    rank::STREAM,
                    State { ip: IpOptions::default(), connected: false },
                ),
                notifier: Notifier::new(),
                _token: token,
            }
        })
    }

    fn port_space(&self) -> Option<Protocol> {
        match (self.inner.kind(), self.family) {
            (DatagramKind::Udp, _) => Some(Protocol::Udp),
            (DatagramKind::Ping, Family::V4) => Some(Protocol::Ping4),
            (DatagramKind::Ping, Family::V6) => Some(Protocol::Ping6),
            _ => None,
        }
    }

    fn take_port(&self, address: SocketAddr) -> Result<()> {
        let Some(protocol) = self.port_space() else { return Ok(()) };
        let mut request = BindRequest::new(protocol, address);
        request.v6_only = self.state.lock().ip.v6_only;
        request.reuse_address = self.options.switch(option::REUSE_ADDRESS);
        request.reuse_port = self.options.switch(option::REUSE_PORT);
        request.interface = self.inner.options().interface;
        let binding = net_service::shared().bind(request).map_err(bind_error)?;
        self.inner.attach(binding);
        Ok(())
    }

    /// Brings the stack's options in line with the socket's.
    fn apply(&self) {
        let ip = self.state.lock().ip;
        let mut options = self.inner.options();
        options.traffic_class = ip.traffic_class;
        options.hop_limit = ip.hop_limit;
        options.dont_fragment = ip.mtu_discover == 2;
        options.broadcast = self.options.switch(option::BROADCAST);
        options.receive_buffer = self.options.receive_buffer();
        self.inner.set_options(options);
    }

    /// What a program asked to be told with each message.
    fn control_of(&self, message: &Message) -> Vec<Control> {
        let ip = self.state.lock().ip;
        let told = &message.ancillary;
        let mut all = Vec::new();
        let v4 = self.family == Family::V4;
        if ip.packet_info {
            let interface = told.interface.0.to_le_bytes();
            match told.destination {
                IpAddr::V4(destination) if v4 => {
                    let mut data = interface.to_vec();
                    data.extend_from_slice(&destination.octets());
                    data.extend_from_slice(&destination.octets());
                    all.push(Control { level: IPPROTO_IP, kind: ip::PKTINFO, data });
                }
                destination => {
                    let octets = match destination {
                        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                        IpAddr::V6(v6) => v6.octets(),
                    };
                    let mut data = octets.to_vec();
                    data.extend_from_slice(&interface);
                    all.push(Control { level: IPPROTO_IPV6, kind: PKTINFO_V6, data });
                }
            }
        }
        if ip.receive_hop_limit {
            let data = int(told.hop_limit);
            let (level, kind) =
                if v4 { (IPPROTO_IP, ip::TTL) } else { (IPPROTO_IPV6, HOPLIMIT_V6) };
            all.push(Control { level, kind, data });
        }
        if ip.receive_traffic_class {
            all.push(if v4 {
                let data = alloc::vec![told.traffic_class];
                Control { level: IPPROTO_IP, kind: ip::TOS, data }
            } else {
                let data = int(told.traffic_class);
                Control { level: IPPROTO_IPV6, kind: ipv6::TCLASS, data }
            });
        }
        if self.options.switch(option::TIMESTAMP) {
            let ago = hal::monotonic().saturating_sub(told.time.nanos());
            let time = hal::realtime().saturating_sub(ago);
            let mut data = (time / crate::abi::SECOND).to_le_bytes().to_vec();
            data.extend_from_slice(&(time % crate::abi::SECOND / 1000).to_le_bytes());
            all.push(Control { level: 1, kind: option::TIMESTAMP, data });
        }
        all
    }

    /// Joins or leaves a group.
    fn change_membership(&self, address: IpAddr, interface: u32, joins: bool) -> Result<()> {
        if !address.is_multicast() {
            return fail(Errno::EINVAL);
        }
        let config = net_service::shared().config();
        let interface = match interface {
            0 => {
                let first = config.interfaces.iter().find(|i| i.id != InterfaceId::LOOPBACK);
                first.map_or(InterfaceId::LOOPBACK, |interface| interface.id)
            }
            number => config.interface(InterfaceId(number)).ok_or(Errno::ENODEV)?.id,
        };
        let group = Group { address, interface };
        let is_member = self.inner_is_member(&group);
        if is_member == joins {
            return fail(if joins { Errno::EADDRINUSE } else { Errno::EADDRNOTAVAIL });
        }
        let done = net_service::with(hal::vcpu_current(), |stack, now| {
            if joins {
                stack.join(&self.inner, group, now)
            } else {
                stack.leave(&self.inner, group, now)
            }
        });
        done.map_err(|error| Fail::Errno(send_error(error)))
    }

    fn inner_is_member(&self, group: &Group) -> bool {
        self.inner.groups().contains(group)
    }

    fn set_membership(&self, level: u32, name: u32, value: &[u8]) -> Option<Result<()>> {
        let joins = match (level, name) {
            (IPPROTO_IP, ip::ADD_MEMBERSHIP) | (IPPROTO_IPV6, ipv6::ADD_MEMBERSHIP) => true,
            (IPPROTO_IP, ip::DROP_MEMBERSHIP) | (IPPROTO_IPV6, ipv6::DROP_MEMBERSHIP) => false,
            _ => return None,
        };
        if level == IPPROTO_IPV6 {
            let Some((group, rest)) = value.split_first_chunk::<16>() else {
                return Some(fail(Errno::EINVAL));
            };
            let index = rest.get(..4).map_or(0, u32::decode);
            return Some(self.change_membership(IpAddr::from(*group), index, joins));
        }
        // `struct ip_mreq`, or `struct ip_mreqn` with the interface's number.
        let Some((group, rest)) = value.split_first_chunk::<4>() else {
            return Some(fail(Errno::EINVAL));
        };
        let local = rest.first_chunk::<4>().map(|octets| IpAddr::from(*octets));
        let index = match rest.get(4..8) {
            Some(bytes) => u32::decode(bytes),
            None => {
                let named = local.filter(|ip| !ip.is_unspecified());
                named.and_then(|ip| net_service::shared().config().owner(&ip)).map_or(0, |id| id.0)
            }
        };
        Some(self.change_membership(IpAddr::from(*group), index, joins))
    }

    fn set_multicast(&self, level: u32, name: u32, value: &[u8]) -> Option<Result<()>> {
        let mut options = self.inner.options();
        let number = number(value).unwrap_or(0);
        match (level, name) {
            (IPPROTO_IP, ip::MULTICAST_TTL) | (IPPROTO_IPV6, ipv6::MULTICAST_HOPS) => {
                let Ok(limit) = u8::try_from(if number == -1 { 1 } else { number }) else {
                    return Some(fail(Errno::EINVAL));
                };
                options.multicast_hop_limit = limit;
            }
            (IPPROTO_IP, ip::MULTICAST_LOOP) | (IPPROTO_IPV6, ipv6::MULTICAST_LOOP) => {
                options.multicast_loop = number != 0;
            }
            (IPPROTO_IPV6, ipv6::MULTICAST_IF) => {
                options.multicast_interface = (number > 0).then_some(InterfaceId(number as u32));
            }
            (IPPROTO_IP, ip::MULTICAST_IF) => {
                let index = value.get(8..12).map_or(0, u32::decode);
                let local = value.get(..4).and_then(|bytes| bytes.first_chunk::<4>());
                let local = local.map(|octets| IpAddr::from(*octets));
                let owner = local.and_then(|ip| net_service::shared().config().owner(&ip));
                options.multicast_interface =
                    if index > 0 { Some(InterfaceId(index)) } else { owner };
            }
            (IPPROTO_IP, ip::MULTICAST_ALL) => {}
            _ => return None,
        }
        self.inner.set_options(options);
        Some(Ok(()))
    }
}

const PKTINFO_V6: u32 = 50;
const HOPLIMIT_V6: u32 = 52;

impl Socket for DatagramSocket {
    fn identity(&self) -> [u32; 3] {
        let type_ = match self.inner.kind() {
            DatagramKind::Raw { .. } => RAW,
            _ => kind::DATAGRAM,
        };
        [u32::from(self.family.number()), type_, self.protocol]
    }

    fn options(&self) -> &SocketOptions {
        &self.options
    }

    fn bind(&self, _thread: &Thread, address: &[u8]) -> Result<()> {
        let address = address::parse_to_bind(self.family, address)?;
        if self.inner.local().is_some() {
            return fail(Errno::EINVAL);
        }
        let v6_only = self.state.lock().ip.v6_only;
        if v6_only && self.family == Family::V6 && !address::is_only_v6(&address.ip()) {
            return fail(Errno::EINVAL);
        }
        self.take_port(address)
    }

    fn listen(&self, _thread: &Thread, _backlog: usize) -> Result<()> {
        fail(Errno::EOPNOTSUPP)
    }

    fn connect(&self, _thread: &Thread, address: &[u8]) -> Result<()> {
        let remote = match address::family_of(address)? {
            address::AF_UNSPEC => None,
            _ => Some(self.family.parse(address)?),
        };
        if remote.is_some() && self.inner.local().is_none() {
            self.take_port(self.family.unspecified())?;
        }
        let connected = net_service::with(hal::vcpu_current(), |stack, now| {
            stack.connect_datagram(&self.inner, remote, now)
        });
        connected.map_err(|error| Fail::Errno(send_error(error)))?;
        self.state.lock().connected = remote.is_some();
        Ok(())
    }

    fn accept(&self) -> Result<Arc<dyn Socket>> {
        fail(Errno::EOPNOTSUPP)
    }

    fn shutdown(&self, receiving: bool, sending: bool) -> Result<()> {
        if !self.state.lock().connected {
            return fail(Errno::ENOTCONN);
        }
        self.inner.shutdown(receiving, sending);
        self.notifier.notify();
        Ok(())
    }

    fn name(&self) -> Vec<u8> {
        self.family.encode(self.inner.local().unwrap_or(self.family.unspecified()))
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        match self.inner.remote() {
            Some(remote) => Ok(self.family.encode(remote)),
            None => fail(Errno::ENOTCONN),
        }
    }

    fn send(&self, from: &mut dyn Source, outgoing: &mut Outgoing<'_>) -> Result<usize> {
        if outgoing.flags & flags::OOB != 0 {
            return fail(Errno::EOPNOTSUPP);
        }
        let length = from.left();
        if length > LARGEST {
            return fail(Errno::EMSGSIZE);
        }
        let to = match outgoing.to.as_deref() {
            Some(bytes) => Some(self.family.parse(bytes)?),
            None => None,
        };
        if to.is_some_and(|to| to.port() == 0) && self.inner.kind() == DatagramKind::Udp {
            return fail(Errno::EINVAL);
        }
        if self.inner.local().is_none() && (to.is_some() || self.inner.remote().is_some()) {
            self.take_port(self.family.unspecified())?;
        }
        let data = collect(from, length as usize)?;
        if (data.len() as u64) < length {
            return fail(Errno::EFAULT);
        }
        let sent = net_service::with(hal::vcpu_current(), |stack, now| {
            stack.send_datagram(&self.inner, data, to, now)
        });
        sent.map_err(|error| Fail::Errno(send_error(error)))
    }

    fn receive(&self, to: &mut dyn Sink, options: u32) -> Result<Incoming> {
        if options & flags::ERRQUEUE != 0 {
            return fail(Errno::EAGAIN);
        }
        if options & flags::OOB != 0 {
            return fail(Errno::EOPNOTSUPP);
        }
        let message = match self.inner.receive(options & flags::PEEK != 0) {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(Incoming::default()),
            Err(ReceiveError::WouldBlock) => return fail(Errno::EAGAIN),
            Err(ReceiveError::Failed(error)) => return fail(socket_error(error)),
        };
        let length = message.data.len();
        let mut count = 0;
        for chunk in message.data.chunks() {
            let wanted = chunk.len().min(to.room() as usize);
            if wanted == 0 {
                break;
            }
            count += to.put(&chunk.bytes()[..wanted])?;
        }
        Ok(Incoming {
            count,
            length,
            from: Some(self.family.encode(message.source)),
            control: self.control_of(&message),
            flags: if count < length { flags::TRUNC } else { 0 },
            ..Incoming::default()
        })
    }

    fn ready(&self) -> u32 {
        let told = self.options.error.load(Ordering::Relaxed) != 0;
        events_of(self.inner.readiness().ready()) | if told { events::ERR } else { 0 }
    }

    fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>> {
        let options = self.inner.options();
        match (level, name) {
            (1, _) => return interfaces::socket_option(options.interface, name),
            (IPPROTO_IP, ip::MULTICAST_TTL) | (IPPROTO_IPV6, ipv6::MULTICAST_HOPS) => {
                return Ok(int(options.multicast_hop_limit));
            }
            (IPPROTO_IP, ip::MULTICAST_LOOP) | (IPPROTO_IPV6, ipv6::MULTICAST_LOOP) => {
                return Ok(int(options.multicast_loop));
            }
            (IPPROTO_IP, ip::HDRINCL) if matches!(options_kind(self), RAW) => {
                let DatagramKind::Raw { header_included, .. } = self.inner.kind() else {
                    return fail(Errno::ENOPROTOOPT);
                };
                return Ok(int(header_included));
            }
            _ => {}
        }
        let ip = self.state.lock().ip;
        let unknown = ip_options::unknown(self.family, level);
        ip.get(self.family, level, name).ok_or(unknown.into())
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<()> {
        if level == 1 {
            if let Some(interface) = interfaces::set_socket_option(name, value)? {
                let mut options = self.inner.options();
                options.interface = interface;
                self.inner.set_options(options);
            }
            return Ok(());
        }
        let special = self
            .set_membership(level, name, value)
            .or_else(|| self.set_multicast(level, name, value));
        if let Some(result) = special {
            return result;
        }
        if level == IPPROTO_IPV6 {
            exact(value)?;
        }
        let bound = self.inner.local().is_some();
        let set = self.state.lock().ip.set(self.family, level, name, value, bound);
        set.unwrap_or_else(|| fail(Errno::ENOPROTOOPT))?;
        self.apply();
        Ok(())
    }

    fn changed(&self, _name: u32) {
        self.apply();
    }

    fn take_error(&self) -> u32 {
        if let Err(Fail::Errno(errno)) = self.options.take_error() {
            return u32::from(errno.number());
        }
        self.inner.take_error().map_or(0, |error| u32::from(socket_error(error).number()))
    }

    fn queued(&self) -> [usize; 2] {
        [self.inner.pending().0, 0]
    }

    fn close(&self) {
        net_service::with(hal::vcpu_current(), |stack, now| {
            stack.close_datagram(&self.inner, now);
        });
        self.notifier.notify();
    }
}

fn options_kind(socket: &DatagramSocket) -> u32 {
    socket.identity()[1]
}

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use drupe_net_base::{Chain, Instant};
use drupe_net_tcp::Ready;
use lock::SpinLock;

use crate::bind::{Binding, Target};
use crate::config::InterfaceId;
use crate::readiness::Readiness;
use crate::shared::rank;

/// What a datagram socket carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramKind {
    /// UDP.
    Udp,
    /// ICMP echo without privilege.
    Ping,
    /// IP packets of one protocol (255: send only). `header_included`: sent packets bring their
    /// IPv4 header.
    Raw {
        /// Protocol number.
        protocol: u8,
        /// The socket is for IPv6.
        ipv6: bool,
        /// `IP_HDRINCL`.
        header_included: bool,
    },
    /// Whole frames of one Ethernet protocol (0x0003: all), as they pass an interface.
    Packet {
        /// EtherType.
        protocol: u16,
        /// Without the link header (`SOCK_DGRAM`).
        cooked: bool,
    },
}

/// Options of datagram sockets.
#[derive(Debug, Clone, Copy)]
pub struct DatagramOptions {
    /// Octets of memory that received datagrams may hold (`SO_RCVBUF`).
    pub receive_buffer: usize,
    /// May send to broadcast addresses (`SO_BROADCAST`).
    pub broadcast: bool,
    /// Hop limit of unicast packets; `None`: the interface's.
    pub hop_limit: Option<u8>,
    /// Hop limit of multicast packets.
    pub multicast_hop_limit: u8,
    /// Own multicast packets come back (`IP_MULTICAST_LOOP`).
    pub multicast_loop: bool,
    /// Interface of multicast packets.
    pub multicast_interface: Option<InterfaceId>,
    /// Type of service or traffic class.
    pub traffic_class: u8,
    /// Never fragment; packets that are too large fail (`IP_PMTUDISC_DO`).
    pub dont_fragment: bool,
    /// Takes only packets of this interface.
    pub interface: Option<InterfaceId>,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        DatagramOptions {
            receive_buffer: 212_992,
            broadcast: false,
            hop_limit: None,
            multicast_hop_limit: 1,
            multicast_loop: true,
            multicast_interface: None,
            traffic_class: 0,
            dont_fragment: false,
            interface: None,
        }
    }
}

/// A multicast membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// The group.
    pub address: IpAddr,
    /// The interface.
    pub interface: InterfaceId,
}

/// A received datagram.
#[derive(Debug, Clone)]
pub struct Message {
    /// The payload.
    pub data: Chain,
    /// Who sent it.
    pub source: SocketAddr,
    /// What is told beside it.
    pub ancillary: Ancillary,
}

/// What a datagram tells beside its payload (`IP_PKTINFO`, `IP_RECVTTL`, …).
#[derive(Debug, Clone, Copy)]
pub struct Ancillary {
    /// The destination address.
    pub destination: IpAddr,
    /// The interface it came in on.
    pub interface: InterfaceId,
    /// Hop limit.
    pub hop_limit: u8,
    /// Type of service or traffic class.
    pub traffic_class: u8,
    /// When it arrived.
    pub time: Instant,
    /// For packet sockets: link source address and EtherType.
    pub link: ([u8; 6], u16),
    /// For packet sockets: sent by this machine.
    pub outgoing: bool,
}

/// An error that waits on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketError {
    /// ECONNREFUSED.
    Refused,
    /// EHOSTUNREACH.
    HostUnreachable,
    /// ENETUNREACH.
    NetworkUnreachable,
    /// EMSGSIZE: the path carries only packets of this size.
    TooLarge(u32),
}

/// Why a datagram was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// No destination given (EDESTADDRREQ).
    NoDestination,
    /// The destination is of a family the socket does not speak (EAFNOSUPPORT).
    Family,
    /// ENETUNREACH.
    NetworkUnreachable,
    /// EHOSTUNREACH.
    HostUnreachable,
    /// No source address (EADDRNOTAVAIL).
    NoSource,
    /// A broadcast address without permission (EACCES).
    Broadcast,
    /// Too large for the protocol or the path (EMSGSIZE).
    TooLarge,
    /// The transmit queue is full (EAGAIN).
    WouldBlock,
    /// No memory (ENOBUFS).
    NoMemory,
    /// No free port (EAGAIN).
    NoPort,
    /// Malformed for a raw or ping socket (EINVAL).
    Invalid,
    /// The socket was shut for sending (EPIPE).
    Shut,
    /// An error of an earlier packet waited.
    Earlier(SocketError),
}

/// A socket without connections: UDP, ping, raw and packet. Shared by all shards; received from
/// without any of them.
#[derive(Debug)]
pub struct Datagram {
    kind: DatagramKind,
    state: SpinLock<State>,
    readiness: Arc<Readiness>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub binding: Option<Binding>,
    /// The bound address before connecting narrowed it.
    pub bound: Option<IpAddr>,
    pub remote: Option<SocketAddr>,
    pub options: DatagramOptions,
    pub groups: Vec<Group>,
    queue: VecDeque<Message>,
    held: usize,
    pub error: Option<SocketError>,
    receive_shut: bool,
    pub send_shut: bool,
    dropped: u64,
}

impl Datagram {
    pub(crate) fn new(kind: DatagramKind, token: u64) -> Arc<Self> {
        let datagram = Arc::new(Datagram {
            kind,
            state: SpinLock::new(rank::DATAGRAM, State::default()),
            readiness: Readiness::new(token),
        });
        datagram.readiness.update(Ready::WRITABLE, false);
        datagram
    }

    /// The kind.
    pub fn kind(&self) -> DatagramKind {
        self.kind
    }

    /// Attaches a bound port.
    pub fn attach(self: &Arc<Self>, binding: Binding) {
        binding.set_target(Target::Datagram(Arc::downgrade(self)));
        let mut state = self.state.lock();
        state.bound = Some(binding.local().ip());
        let old = state.binding.replace(binding);
        drop(state);
        drop(old);
    }

    /// The local address and port, if bound.
    pub fn local(&self) -> Option<SocketAddr> {
        self.state.lock().binding.as_ref().map(Binding::local)
    }

    /// The peer that the socket is connected to.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.state.lock().remote
    }

    /// Sets or clears the peer. `source` is the address that packets to it leave from.
    pub(crate) fn set_remote(&self, remote: Option<SocketAddr>, source: Option<IpAddr>) {
        // The port table ranks below the socket, so the binding is taken out meanwhile.
        let (binding, bound) = {
            let mut state = self.state.lock();
            state.remote = remote;
            state.error = None;
            (state.binding.take(), state.bound)
        };
        if let Some(mut binding) = binding {
            binding.set_remote(remote);
            if let Some(bound) = bound {
                let narrowed = source.filter(|_| bound.is_unspecified() && remote.is_some());
                binding.set_address(narrowed.unwrap_or(bound));
            }
            self.state.lock().binding = Some(binding);
        }
    }

    /// Where readiness shows.
    pub fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// The options.
    pub fn options(&self) -> DatagramOptions {
        self.state.lock().options
    }

    /// Changes the options.
    pub fn set_options(&self, options: DatagramOptions) {
        self.state.lock().options = options;
    }

    /// Takes the oldest message (`peek`: a copy of it, which shares memory). `Ok(None)` is the
    /// end after a shutdown.
    pub fn receive(&self, peek: bool) -> Result<Option<Message>, ReceiveError> {
        let mut state = self.state.lock();
        if let Some(error) = state.error.take() {
            self.refresh(&state, false);
            return Err(ReceiveError::Failed(error));
        }
        let message = if peek { state.queue.front().cloned() } else { state.queue.pop_front() };
        let Some(message) = message else {
            return if state.receive_shut { Ok(None) } else { Err(ReceiveError::WouldBlock) };
        };
        if !peek {
            state.held -= cost(&message.data);
            if state.queue.is_empty() && state.queue.capacity() > 16 {
                state.queue = VecDeque::new();
            }
        }
        self.refresh(&state, false);
        Ok(Some(message))
    }

    /// Octets in the next message and messages waiting, and how many were ever dropped.
    pub fn pending(&self) -> (usize, usize, u64) {
        let state = self.state.lock();
        let next = state.queue.front().map_or(0, |message| message.data.len());
        (next, state.queue.len(), state.dropped)
    }

    /// Shuts directions.
    pub fn shutdown(&self, receive: bool, send: bool) {
        let mut state = self.state.lock();
        state.receive_shut |= receive;
        state.send_shut |= send;
        self.refresh(&state, true);
    }

    /// Releases port and memory; the socket is of no more use.
    pub fn close(&self) {
        let old = core::mem::take(&mut *self.state.lock());
        drop(old);
    }

    /// The waiting error (`SO_ERROR`).
    pub fn take_error(&self) -> Option<SocketError> {
        let mut state = self.state.lock();
        let error = state.error.take();
        self.refresh(&state, false);
        error
    }

    pub(crate) fn with_state<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state.lock())
    }

    /// Whether the socket wants multicast packets of a group.
    pub(crate) fn is_member(&self, group: &IpAddr, interface: InterfaceId) -> bool {
        let state = self.state.lock();
        state.groups.iter().any(|own| own.address == *group && own.interface == interface)
    }

    /// Puts a message into the queue. `None`: it did not fit; else whether to report it.
    pub(crate) fn deliver(&self, message: Message) -> Option<bool> {
        let mut state = self.state.lock();
        if state.receive_shut {
            return None;
        }
        let size = cost(&message.data);
        if state.held + size > state.options.receive_buffer {
            state.dropped += 1;
            return None;
        }
        state.held += size;
        state.queue.push_back(message);
        Some(self.refresh(&state, true))
    }

    /// An error of a packet that this socket sent. Returns whether to report it.
    pub(crate) fn fail(&self, error: SocketError) -> bool {
        let mut state = self.state.lock();
        state.error = Some(error);
        self.refresh(&state, true)
    }

    fn refresh(&self, state: &State, edge: bool) -> bool {
        let readable = !state.queue.is_empty() || state.receive_shut || state.error.is_some();
        let ready = Ready::WRITABLE
            .with_if(Ready::READABLE, readable)
            .with_if(Ready::ERROR, state.error.is_some())
            .with_if(Ready::READ_HANGUP, state.receive_shut)
            .with_if(Ready::HANGUP, state.receive_shut && state.send_shut);
        self.readiness.update(ready, edge)
    }
}

/// Why nothing was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiveError {
    /// Nothing is there (EAGAIN).
    WouldBlock,
    /// A packet sent earlier failed.
    Failed(SocketError),
}

/// What a message counts against the receive buffer: its memory, and something for itself.
fn cost(data: &Chain) -> usize {
    data.footprint() + 256
}

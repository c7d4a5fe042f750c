use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};

use drupe_net_base::{Chain, Handle, Instant};
use drupe_net_tcp::{Config, Connection, Env, Failure, Info, IoError, Seq, State};

use super::udp::unmap;
use super::{Slot, Stack, TcpId, env};
use crate::address::FlowKey;
use crate::bind::{Binding, PortUse};
use crate::listener::Listener;
use crate::readiness::Readiness;
use crate::route::NoPath;
use crate::shared::Letter;

/// Why a connection could not be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectError {
    /// No route (ENETUNREACH).
    NetworkUnreachable,
    /// A route says unreachable (EHOSTUNREACH).
    HostUnreachable,
    /// No source address (EADDRNOTAVAIL).
    NoSource,
    /// The destination is no host (EINVAL or ENETUNREACH).
    BadDestination,
    /// Every ephemeral port is in use towards this destination (EADDRNOTAVAIL).
    NoPort,
    /// The same connection exists (EADDRINUSE or EADDRNOTAVAIL).
    Exists,
    /// The bound port makes the flow belong to another shard: call that one.
    OtherShard(usize),
    /// There are too many connections (ENOBUFS).
    Limit,
}

impl Stack {
    /// Begins a connection to `remote`. `binding` is the socket's port if it was bound; it comes
    /// back with [`ConnectError::OtherShard`] unchanged only by being borrowed, so pass it in an
    /// `Option` that is taken on success. `token` names the connection in events.
    pub fn connect(
        &mut self,
        binding: &mut Option<Binding>,
        remote: SocketAddr,
        config: Config,
        token: u64,
        now: Instant,
    ) -> Result<(TcpId, Arc<Readiness>), ConnectError> {
        self.enter(now);
        let mut remote = unmap(remote);
        if remote.ip().is_unspecified() {
            // Linux: the unspecified address means this machine.
            let local = match remote.ip() {
                IpAddr::V4(_) => IpAddr::V4(core::net::Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::V6(core::net::Ipv6Addr::LOCALHOST),
            };
            remote.set_ip(local);
        }
        let broadcast = matches!(remote.ip(), IpAddr::V4(v4) if v4.is_broadcast());
        if remote.ip().is_multicast() || broadcast || remote.port() == 0 {
            return Err(ConnectError::BadDestination);
        }
        if self.sockets.len() >= self.shared.limits.connections {
            self.counters.connection_limit += 1;
            return Err(ConnectError::Limit);
        }
        let bound = binding.as_ref().map(|binding| *binding.request());
        let source = bound.map(|request| unmap(SocketAddr::new(request.address, 0)).ip());
        let source = source.filter(|ip| !ip.is_unspecified());
        let interface = bound.and_then(|request| request.interface).or(match remote {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => {
                Some(crate::config::InterfaceId(v6.scope_id()))
            }
            _ => None,
        });
        let path = self.config.path(&remote.ip(), source, interface).map_err(|error| {
            self.counters.no_route += 1;
            match error {
                NoPath::Network => ConnectError::NetworkUnreachable,
                NoPath::Host => ConnectError::HostUnreachable,
                NoPath::Source => ConnectError::NoSource,
            }
        })?;
        let (key, port, beyond) = match bound {
            Some(request) => {
                let key = FlowKey::new(SocketAddr::new(path.source, request.port), remote);
                let shard = self.shared.shard_of(key.hash_with(&self.shared.fold));
                if shard != self.index {
                    return Err(ConnectError::OtherShard(shard));
                }
                let beyond = self.flow_is_free(&key).ok_or(ConnectError::Exists)?;
                (key, None, beyond)
            }
            None => {
                let (key, port, beyond) =
                    self.choose_port(path.source, remote).ok_or(ConnectError::NoPort)?;
                (key, Some(port), beyond)
            }
        };
        let route = self.flow_route(&path, &remote.ip());
        let words = key.words();
        let secrets = self.shared.secrets;
        let iss = beyond.unwrap_or_else(|| secrets.initial_sequence(&words, self.now));
        let offset = secrets.timestamp_offset(&words);
        let mss = route.path_mss(remote.is_ipv4());
        let connection = Connection::connect(config, iss, offset, mss, env!(self));
        let readiness = Readiness::new(token);
        let handle = self.add_socket(key, connection, route, readiness.clone());
        if let Some(socket) = self.sockets.get_mut(handle) {
            socket.binding = binding.take();
            socket.port = port;
        }
        self.after_tcp(handle);
        Ok((TcpId { shard: self.index as u16, handle }, readiness))
    }

    /// Whether a flow may begin, and beyond which sequence number if it follows one in
    /// TIME-WAIT.
    fn flow_is_free(&mut self, key: &FlowKey) -> Option<Option<Seq>> {
        let hash = key.hash_with(&self.shared.fold);
        match self.find_flow(hash, key) {
            None => Some(None),
            Some(Slot::TimeWait(handle)) => {
                let beyond = self.time_waits.get(handle)?.entry.reuse_for_connect(self.now)?;
                self.tcp_counters.time_wait_reused += 1;
                self.remove_time_wait(handle);
                Some(Some(beyond))
            }
            Some(_) => None,
        }
    }

    /// An ephemeral port (RFC 6056 §3.3.3) whose flow is new and belongs to this shard.
    fn choose_port(
        &mut self,
        source: IpAddr,
        remote: SocketAddr,
    ) -> Option<(FlowKey, PortUse, Option<Seq>)> {
        let probe = FlowKey::from_parts(source, 0, remote.ip(), remote.port());
        let offset = self.shared.secrets.port_offset(&probe.words());
        for port in self.shared.binds.ephemeral(offset) {
            let key = FlowKey::from_parts(source, port, remote.ip(), remote.port());
            if self.shared.shard_of(key.hash_with(&self.shared.fold)) != self.index {
                continue;
            }
            let Some(beyond) = self.flow_is_free(&key) else { continue };
            if let Some(port) = self.shared.binds.use_port(source, port) {
                return Some((key, port, beyond));
            }
        }
        None
    }

    fn with_tcp<R>(
        &mut self,
        id: TcpId,
        now: Instant,
        call: impl FnOnce(&mut Connection, &mut Env<'_>) -> R,
    ) -> Option<R> {
        debug_assert_eq!(usize::from(id.shard), self.index, "a call to the wrong shard");
        self.enter(now);
        let socket = self.sockets.get_mut(id.handle)?;
        let result = call(&mut socket.connection, env!(self));
        socket.readiness.update(socket.connection.ready(), false);
        self.after_tcp(id.handle);
        Some(result)
    }

    /// Octets that can be given now. Build a chain of at most that many outside of the shard,
    /// then hand it over with [`Stack::tcp_send_chain`].
    pub fn tcp_send_room(&mut self, id: TcpId, now: Instant) -> Result<usize, IoError> {
        self.with_tcp(id, now, |connection, _| connection.send_room()).unwrap_or(Err(GONE))
    }

    /// Takes data over; what does not fit stays in `data`.
    pub fn tcp_send_chain(
        &mut self,
        id: TcpId,
        data: &mut Chain,
        now: Instant,
    ) -> Result<usize, IoError> {
        self.with_tcp(id, now, |connection, _| connection.send_chain(data)).unwrap_or(Err(GONE))
    }

    /// Copies data in, as much as fits.
    pub fn tcp_send(&mut self, id: TcpId, data: &[u8], now: Instant) -> Result<usize, IoError> {
        self.with_tcp(id, now, |connection, env| connection.send(data, env)).unwrap_or(Err(GONE))
    }

    /// Sends data whose last octet is urgent (`MSG_OOB`).
    pub fn tcp_send_urgent(
        &mut self,
        id: TcpId,
        data: &[u8],
        now: Instant,
    ) -> Result<usize, IoError> {
        self.with_tcp(id, now, |connection, env| {
            let sent = connection.send(data, env)?;
            connection.mark_urgent();
            Ok(sent)
        })
        .unwrap_or(Err(GONE))
    }

    /// Takes up to `limit` octets without copying; empty is the end of the stream.
    pub fn tcp_receive(&mut self, id: TcpId, limit: usize, now: Instant) -> Result<Chain, IoError> {
        self.with_tcp(id, now, |connection, env| connection.receive(limit, env))
            .unwrap_or(Err(GONE))
    }

    /// Like [`Stack::tcp_receive`], from `offset` and leaving the data (`MSG_PEEK`).
    pub fn tcp_peek(
        &mut self,
        id: TcpId,
        offset: usize,
        limit: usize,
        now: Instant,
    ) -> Result<Chain, IoError> {
        self.with_tcp(id, now, |connection, _| connection.peek(offset, limit)).unwrap_or(Err(GONE))
    }

    /// Shows received data in place; `visit` says how much it took.
    pub fn tcp_receive_with(
        &mut self,
        id: TcpId,
        visit: &mut dyn FnMut(&[u8]) -> usize,
        now: Instant,
    ) -> Result<usize, IoError> {
        self.with_tcp(id, now, |connection, env| connection.receive_with(visit, env))
            .unwrap_or(Err(GONE))
    }

    /// The urgent octet, once.
    pub fn tcp_receive_urgent(&mut self, id: TcpId, now: Instant) -> Option<u8> {
        self.with_tcp(id, now, |connection, _| connection.receive_urgent()).flatten()
    }

    /// Shuts directions (`shutdown(2)`).
    pub fn tcp_shutdown(&mut self, id: TcpId, receive: bool, send: bool, now: Instant) {
        self.with_tcp(id, now, |connection, _| {
            if receive {
                connection.shut_receive();
            }
            if send {
                connection.shut_send();
            }
        });
    }

    /// Lets go of a connection; it ends on its own. `hard`: with a reset (SO_LINGER of zero).
    pub fn tcp_close(&mut self, id: TcpId, hard: bool, now: Instant) {
        self.enter(now);
        let Some(socket) = self.sockets.get_mut(id.handle) else { return };
        socket.readiness.set_token(0);
        socket.connection.close(hard, env!(self));
        if socket.connection.state() == State::Closed && !socket.connection.wants_output() {
            self.remove_socket(id.handle);
        } else {
            self.after_tcp(id.handle);
        }
    }

    /// Ends and sends what is queued; true when nothing is left unacknowledged (`SO_LINGER`).
    pub fn tcp_is_drained(&self, id: TcpId) -> bool {
        let socket = self.sockets.get(id.handle);
        socket.is_none_or(|socket| socket.connection.unsent_octets().0 == 0)
    }

    /// Closes a listener: no one else can connect, and connections nobody accepted are reset.
    pub fn close_listener(&mut self, listener: &Listener, now: Instant) {
        self.enter(now);
        for accepted in listener.close() {
            let shard = usize::from(accepted.id.shard);
            if shard == self.index {
                self.abort_unaccepted(accepted.id.handle);
            } else {
                self.send_letter(shard, Letter::Abort(accepted.id.handle));
            }
        }
    }

    /// Both ends of a connection.
    pub fn tcp_ends(&self, id: TcpId) -> Option<(SocketAddr, SocketAddr)> {
        let key = self.sockets.get(id.handle)?.key;
        Some((key.local(), key.remote()))
    }

    /// Options of a connection.
    pub fn tcp_config(&self, id: TcpId) -> Option<Config> {
        Some(*self.sockets.get(id.handle)?.connection.config())
    }

    /// Changes options of a connection.
    pub fn tcp_set_config(&mut self, id: TcpId, config: Config, now: Instant) {
        self.with_tcp(id, now, |connection, env| connection.set_config(config, env));
    }

    /// Hop limit and type of service of a connection's packets.
    pub fn tcp_set_ip_options(&mut self, id: TcpId, hop_limit: Option<u8>, traffic_class: u8) {
        if let Some(socket) = self.sockets.get_mut(id.handle) {
            socket.hop_limit = hop_limit.unwrap_or(socket.hop_limit);
            socket.traffic_class = traffic_class;
        }
    }

    /// What `TCP_INFO` tells.
    pub fn tcp_info(&self, id: TcpId) -> Option<Info> {
        Some(self.sockets.get(id.handle)?.connection.info())
    }

    /// Readable octets, and unacknowledged and unsent ones (`FIONREAD`, `SIOCOUTQ`).
    pub fn tcp_queues(&self, id: TcpId) -> Option<(usize, usize, usize)> {
        let connection = &self.sockets.get(id.handle)?.connection;
        let (unacknowledged, unsent) = connection.unsent_octets();
        Some((connection.readable_octets(), unacknowledged, unsent))
    }

    /// The failure that waits (`SO_ERROR`).
    pub fn tcp_take_failure(&mut self, id: TcpId, now: Instant) -> Option<Failure> {
        self.with_tcp(id, now, |connection, _| connection.take_failure()).flatten()
    }

    /// All connections of this shard with their state: for `/proc/net/tcp` and `ss`.
    pub fn tcp_list(&self) -> impl Iterator<Item = (TcpId, SocketAddr, SocketAddr, State)> {
        self.sockets.iter().map(|(handle, socket)| {
            let id = TcpId { shard: self.index as u16, handle };
            (id, socket.key.local(), socket.key.remote(), socket.connection.state())
        })
    }
}

/// What calls on a connection that does not exist report.
const GONE: IoError = IoError::NotConnected;

impl TcpId {
    /// The handle within the shard, as a number for tables of the caller.
    pub fn handle(self) -> Handle {
        self.handle
    }
}

//! TCP sockets: how they come to be connected, and how they end.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::sync::atomic::Ordering;

use errno::Errno;
use lock::SpinLock;
use net_service::stack::base::{Chain, Instant};
use net_service::stack::tcp::{Config, Ready};
use net_service::stack::{
    Accepted, BindRequest, Binding, ConnectError, InterfaceId, Listener, Protocol, Readiness,
    Stack, TcpId,
};
use net_service::{Observer, Token};

use super::address::{self, Family};
use super::convert::{bind_error, connect_error, events_of, failure};
use super::ip_options::IpOptions;
use super::{IPPROTO_TCP, tcp_options};
use crate::error::{Fail, Result, fail};
use crate::file::events;
use crate::notifier::Notifier;
use crate::rank;
use crate::socket::options::option;
use crate::socket::{Incoming, Outgoing, Socket, SocketOptions, kind};
use crate::thread::Thread;
use crate::user::{Sink, Source};

/// A connection, made or in the making.
#[derive(Clone)]
pub(super) struct Open {
    pub id: TcpId,
    readiness: Arc<Readiness>,
    local: SocketAddr,
    remote: SocketAddr,
    /// `connect(2)` has not said yet how it went.
    connecting: bool,
}

/// How far a socket is.
enum Stage {
    /// Neither connected nor listening.
    Fresh,
    /// It takes connections.
    Listening(Arc<Listener>),
    /// It is connected, or is being connected.
    Open(Open),
}

pub(super) struct State {
    stage: Stage,
    binding: Option<Binding>,
    /// The last `connect(2)` was the one that began the connection.
    begun: bool,
    pub config: Config,
    pub ip: IpOptions,
    /// Bound to this interface (`SO_BINDTODEVICE`).
    pub interface: Option<InterfaceId>,
    /// Received data that user memory could not take.
    pub rest: Chain,
}

/// A TCP socket.
pub struct TcpSocket {
    pub(super) family: Family,
    pub(super) options: SocketOptions,
    pub(super) state: SpinLock<State>,
    pub(super) receiving: sched::Mutex<()>,
    pub(super) sending: sched::Mutex<()>,
    pub(super) notifier: Notifier,
    token: Token,
}

impl Observer for TcpSocket {
    fn changed(&self, changed: Ready) {
        self.notifier.notify_of(events_of(changed));
    }
}

/// What `getsockopt(2)` says of buffers at first (`tcp_wmem`, `tcp_rmem`).
const BUFFERS: [u32; 2] = [16_384, 131_072];

impl TcpSocket {
    /// A socket without name or peer.
    pub fn new(family: Family) -> Arc<Self> {
        Self::with(family, Stage::Fresh, Config::default(), IpOptions::default())
    }

    fn with(family: Family, stage: Stage, config: Config, ip: IpOptions) -> Arc<Self> {
        Arc::new_cyclic(|own: &Weak<Self>| Self {
            family,
            options: SocketOptions::with_buffers(BUFFERS),
            state: SpinLock::new(
                rank::STREAM,
                State {
                    stage,
                    binding: None,
                    begun: false,
                    config,
                    ip,
                    interface: None,
                    rest: Chain::new(),
                },
            ),
            receiving: sched::Mutex::new(()),
            sending: sched::Mutex::new(()),
            notifier: Notifier::new(),
            token: Token::new(Weak::clone(own) as Weak<dyn Observer>),
        })
    }

    /// The connection; fails with `otherwise` where there is none.
    pub(super) fn open(&self, otherwise: Errno) -> Result<TcpId> {
        match &self.state.lock().stage {
            Stage::Open(open) => Ok(open.id),
            _ => fail(otherwise),
        }
    }

    /// Calls into the shard of the connection, if there is one.
    pub(super) fn with_open<R>(
        &self,
        call: impl FnOnce(&mut Stack, TcpId, Instant) -> R,
    ) -> Option<R> {
        let id = self.open(Errno::ENOTCONN).ok()?;
        Some(net_service::with(usize::from(id.shard), |stack, now| call(stack, id, now)))
    }

    /// The listener, if it listens.
    pub(super) fn listener(&self) -> Option<Arc<Listener>> {
        match &self.state.lock().stage {
            Stage::Listening(listener) => Some(Arc::clone(listener)),
            _ => None,
        }
    }

    /// Changes the options of the connection, of those to come, and of a listener.
    pub(super) fn change(&self, change: impl Fn(&mut Config)) {
        change(&mut self.state.lock().config);
        if let Some(listener) = self.listener() {
            let mut config = listener.config();
            change(&mut config);
            listener.set_config(config);
        }
        self.with_open(|stack, id, now| {
            if let Some(mut config) = stack.tcp_config(id) {
                change(&mut config);
                stack.tcp_set_config(id, config, now);
            }
        });
    }

    /// Applies the options of the Internet Protocol to the connection.
    pub(super) fn apply_ip_options(&self) {
        let ip = self.state.lock().ip;
        self.with_open(|stack, id, _| {
            stack.tcp_set_ip_options(id, ip.hop_limit, ip.traffic_class);
        });
    }

    /// Lets others have the port, or not, as the options say now.
    pub(super) fn share_port(&self) {
        let address = self.options.switch(option::REUSE_ADDRESS);
        let port = self.options.switch(option::REUSE_PORT);
        if let Some(binding) = &self.state.lock().binding {
            binding.set_reuse(address, port);
        }
    }

    /// Whether it has an address of its own.
    pub(super) fn is_bound(&self) -> bool {
        let state = self.state.lock();
        state.binding.is_some() || !matches!(state.stage, Stage::Fresh)
    }

    fn request(&self, address: SocketAddr) -> BindRequest {
        let (v6_only, interface) = {
            let state = self.state.lock();
            (state.ip.v6_only, state.interface)
        };
        let mut request = BindRequest::new(Protocol::Tcp, address);
        request.v6_only = v6_only;
        request.reuse_address = self.options.switch(option::REUSE_ADDRESS);
        request.reuse_port = self.options.switch(option::REUSE_PORT);
        request.interface = interface;
        request
    }

    /// Begins a connection.
    fn begin(&self, remote: SocketAddr) -> Result<()> {
        let (mut binding, config) = {
            let mut state = self.state.lock();
            (state.binding.take(), state.config)
        };
        let mut shard = hal::vcpu_current();
        let begun = loop {
            let begun = net_service::with(shard, |stack, now| {
                let token = self.token.number();
                let (id, readiness) = stack.connect(&mut binding, remote, config, token, now)?;
                let (local, remote) = stack.tcp_ends(id).unwrap_or((remote, remote));
                Ok(Open { id, readiness, local, remote, connecting: true })
            });
            match begun {
                Err(ConnectError::OtherShard(other)) if other != shard => shard = other,
                other => break other,
            }
        };
        let mut state = self.state.lock();
        match begun {
            Ok(open) => {
                state.stage = Stage::Open(open);
                state.begun = true;
            }
            Err(error) => {
                state.binding = binding;
                return fail(connect_error(error));
            }
        }
        drop(state);
        self.apply_ip_options();
        fail(Errno::EAGAIN)
    }

    /// How the connection that is being made goes.
    fn go_on(&self, open: &Open) -> Result<()> {
        let ready = open.readiness.ready();
        if ready.is_empty() {
            self.state.lock().begun = false;
            return fail(Errno::EAGAIN);
        }
        let failed = ready.has(Ready::ERROR) || ready.has(Ready::HANGUP);
        let mut state = self.state.lock();
        let Stage::Open(now) = &mut state.stage else { return fail(Errno::ECONNABORTED) };
        if !failed {
            now.connecting = false;
            return Ok(());
        }
        // Another attempt may be made with the same socket.
        state.stage = Stage::Fresh;
        drop(state);
        let why = net_service::with(usize::from(open.id.shard), |stack, now| {
            let why = stack.tcp_take_failure(open.id, now);
            stack.tcp_close(open.id, true, now);
            why
        });
        fail(why.map_or(Errno::ECONNABORTED, failure))
    }

    /// Dissolves the connection (`connect(2)` with an address of no family).
    fn dissolve(&self) {
        let stage = {
            let mut state = self.state.lock();
            state.rest = Chain::new();
            state.binding = None;
            core::mem::replace(&mut state.stage, Stage::Fresh)
        };
        end(stage, true);
    }

    /// Waits until all is acknowledged, but no longer than the program wants.
    fn linger(&self, seconds: u32) {
        /// Nanoseconds between two looks.
        const STEP: u64 = 2_000_000;
        let deadline = hal::monotonic().saturating_add(u64::from(seconds) * crate::abi::SECOND);
        self.with_open(|stack, id, now| stack.tcp_shutdown(id, false, true, now));
        while self.with_open(|stack, id, _| stack.tcp_is_drained(id)) == Some(false) {
            let now = hal::monotonic();
            if now >= deadline {
                return;
            }
            sched::park_until(deadline.min(now + STEP));
        }
    }

    fn accepted(&self, accepted: Accepted) -> Arc<Self> {
        let (config, ip) = {
            let state = self.state.lock();
            (state.config, state.ip)
        };
        let Accepted { id, local, remote, readiness } = accepted;
        let open = Open { id, readiness, local, remote, connecting: false };
        let socket = Self::with(self.family, Stage::Open(open.clone()), config, ip);
        socket.options.inherit(&self.options);
        open.readiness.set_token(socket.token.number());
        if ip.traffic_class != 0 || ip.hop_limit.is_some() {
            socket.apply_ip_options();
        }
        socket
    }
}

/// Lets go of what a socket was.
fn end(stage: Stage, hard: bool) {
    match stage {
        Stage::Fresh => {}
        Stage::Listening(listener) => net_service::with(hal::vcpu_current(), |stack, now| {
            stack.close_listener(&listener, now);
        }),
        Stage::Open(open) => net_service::with(usize::from(open.id.shard), |stack, now| {
            stack.tcp_close(open.id, hard, now);
        }),
    }
}

impl Socket for TcpSocket {
    fn identity(&self) -> [u32; 3] {
        [u32::from(self.family.number()), kind::STREAM, IPPROTO_TCP]
    }

    fn options(&self) -> &SocketOptions {
        &self.options
    }

    fn bind(&self, _thread: &Thread, address: &[u8]) -> Result<()> {
        let address = address::parse_to_bind(self.family, address)?;
        if self.is_bound() {
            return fail(Errno::EINVAL);
        }
        let v6_only = self.state.lock().ip.v6_only;
        if v6_only && self.family == Family::V6 && !address::is_only_v6(&address.ip()) {
            return fail(Errno::EINVAL);
        }
        let binding = net_service::shared().bind(self.request(address)).map_err(bind_error)?;
        self.state.lock().binding = Some(binding);
        Ok(())
    }

    fn listen(&self, _thread: &Thread, backlog: usize) -> Result<()> {
        let backlog = backlog as u32;
        let (binding, config) = {
            let mut state = self.state.lock();
            match &state.stage {
                Stage::Fresh => {}
                Stage::Listening(listener) => {
                    listener.set_backlog(backlog);
                    return Ok(());
                }
                Stage::Open(_) => return fail(Errno::EINVAL),
            }
            (state.binding.take(), state.config)
        };
        let shared = net_service::shared();
        let binding = match binding {
            Some(binding) => binding,
            None => {
                let request = self.request(self.family.unspecified());
                shared.bind(request).map_err(bind_error)?
            }
        };
        let listener =
            shared.listen(binding, backlog, config, self.token.number()).map_err(bind_error)?;
        self.state.lock().stage = Stage::Listening(listener);
        self.options.listens.store(true, Ordering::Relaxed);
        self.notifier.notify();
        Ok(())
    }

    fn connect(&self, _thread: &Thread, address: &[u8]) -> Result<()> {
        if address::family_of(address)? == address::AF_UNSPEC {
            self.dissolve();
            return Ok(());
        }
        let _one = self.sending.lock();
        let remote = self.family.parse(address)?;
        let open = match &self.state.lock().stage {
            Stage::Fresh => None,
            Stage::Open(open) if open.connecting => Some(open.clone()),
            Stage::Open(_) | Stage::Listening(_) => return fail(Errno::EISCONN),
        };
        match open {
            None => self.begin(remote),
            Some(open) => self.go_on(&open),
        }
    }

    fn connect_pending(&self) -> Errno {
        if self.state.lock().begun { Errno::EINPROGRESS } else { Errno::EALREADY }
    }

    fn accept(&self) -> Result<Arc<dyn Socket>> {
        let Some(listener) = self.listener() else { return fail(Errno::EINVAL) };
        match listener.accept() {
            Some(accepted) => Ok(self.accepted(accepted)),
            None => fail(Errno::EAGAIN),
        }
    }

    fn shutdown(&self, receiving: bool, sending: bool) -> Result<()> {
        let stage = {
            let mut state = self.state.lock();
            match &state.stage {
                Stage::Fresh => return fail(Errno::ENOTCONN),
                Stage::Open(_) => None,
                // A listener that takes nothing more is none.
                Stage::Listening(_) if receiving => {
                    Some(core::mem::replace(&mut state.stage, Stage::Fresh))
                }
                Stage::Listening(_) => return Ok(()),
            }
        };
        match stage {
            Some(stage) => {
                self.options.listens.store(false, Ordering::Relaxed);
                end(stage, false);
            }
            None => {
                self.with_open(|stack, id, now| stack.tcp_shutdown(id, receiving, sending, now));
            }
        }
        self.notifier.notify();
        Ok(())
    }

    fn name(&self) -> Vec<u8> {
        let local = {
            let state = self.state.lock();
            match &state.stage {
                Stage::Open(open) => Some(open.local),
                Stage::Listening(listener) => Some(listener.local()),
                Stage::Fresh => state.binding.as_ref().map(Binding::local),
            }
        };
        self.family.encode(local.unwrap_or(self.family.unspecified()))
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        match &self.state.lock().stage {
            // Before the handshake and after a failure there is no peer.
            Stage::Open(open)
                if !open.readiness.ready().is_empty()
                    && !open.readiness.ready().has(Ready::HANGUP.with(Ready::ERROR)) =>
            {
                Ok(self.family.encode(open.remote))
            }
            Stage::Open(open) if !open.connecting => Ok(self.family.encode(open.remote)),
            _ => fail(Errno::ENOTCONN),
        }
    }

    fn send(&self, from: &mut dyn Source, outgoing: &mut Outgoing<'_>) -> Result<usize> {
        self.send_bytes(from, outgoing.flags)
    }

    fn receive(&self, to: &mut dyn Sink, flags: u32) -> Result<Incoming> {
        self.receive_bytes(to, flags)
    }

    fn ready(&self) -> u32 {
        let state = self.state.lock();
        let ready = match &state.stage {
            Stage::Fresh => Ready::WRITABLE.with(Ready::HANGUP),
            Stage::Listening(listener) => listener.readiness().ready(),
            Stage::Open(open) => {
                open.readiness.ready().with_if(Ready::READABLE, !state.rest.is_empty())
            }
        };
        drop(state);
        let told = self.options.error.load(Ordering::Relaxed) != 0;
        events_of(ready) | if told { events::ERR } else { 0 }
    }

    fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>> {
        tcp_options::get(self, level, name)
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<()> {
        tcp_options::set(self, level, name, value)
    }

    fn changed(&self, name: u32) {
        tcp_options::follow(self, name);
    }

    fn take_error(&self) -> u32 {
        if let Err(Fail::Errno(errno)) = self.options.take_error() {
            return u32::from(errno.number());
        }
        let why = self.with_open(|stack, id, now| stack.tcp_take_failure(id, now)).flatten();
        why.map_or(0, |why| u32::from(failure(why).number()))
    }

    fn queued(&self) -> [usize; 2] {
        let rest = self.state.lock().rest.len();
        let queues = self.with_open(|stack, id, _| stack.tcp_queues(id)).flatten();
        let (readable, unacknowledged, _) = queues.unwrap_or_default();
        [rest + readable, unacknowledged]
    }

    fn close(&self) {
        let (lingers, seconds) = self.options.linger();
        if lingers && seconds > 0 {
            self.linger(seconds);
        }
        let (stage, rest, binding) = {
            let mut state = self.state.lock();
            let stage = core::mem::replace(&mut state.stage, Stage::Fresh);
            (stage, core::mem::take(&mut state.rest), state.binding.take())
        };
        // Data that nobody will read is answered with a reset (RFC 2525 section 2.17).
        end(stage, (lingers && seconds == 0) || !rest.is_empty());
        drop(binding);
        self.notifier.notify();
    }
}

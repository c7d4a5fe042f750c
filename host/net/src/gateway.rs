//! The gateway: its event loop.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use drupe_net_stack::base::{Handle, HeapPool, Instant, SECOND, Slab};
use drupe_net_stack::tcp::Config;
use drupe_net_stack::{
    BindRequest, Event, Interface, InterfaceAddress, Limits, Listener, Medium, Offloads, Prefix,
    Protocol as StackProtocol, Route, Shared, Stack,
};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::addresses::{Addresses, GATEWAY_MAC, MTU, may_leave};
use crate::error::{Error, Result};
use crate::flow::{Flow, GuestSide, Progress};
use crate::frames::{self, Seen};
use crate::link::{GUEST, Intercepted, Link};
use crate::publish::{Protocol, Published};
use crate::resolver;
use crate::udp::Datagrams;

/// The most connections at a time; further ones are refused.
const MOST_FLOWS: usize = 16_384;
/// The most memory of packets and of data on its way.
const MEMORY: usize = 256 << 20;
/// How often silent ends of datagrams are looked for.
const SWEEP: u64 = 10 * SECOND;

/// What a gateway is to be like.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Ports of the host that lead to the guest.
    pub published: Vec<Published>,
    /// The addresses of the network.
    pub addresses: Addresses,
}

/// What an event of the host is about.
enum Source {
    /// The guest's frames.
    Guest,
    /// The end was asked for.
    Stop,
    /// A published port with connections, by its place.
    Connections(usize),
    /// A published port with datagrams, by its place.
    Published(usize),
    /// A connection.
    Flow(Box<Flow>),
    /// An end of the guest that has datagrams.
    Datagrams(SocketAddr),
}

/// A gateway that is about to run: its ports are open.
pub struct Gateway {
    addresses: Addresses,
    epoll: OwnedFd,
    sources: Slab<Source>,
    /// Connections that the guest began, by its end and whom it reaches.
    begun: HashMap<(SocketAddr, SocketAddr), Handle>,
    flows: usize,
    ports: Vec<(OwnedFd, u16)>,
    datagrams: Datagrams,
    resolver: Option<SocketAddr>,
    stack: Stack,
    pool: Arc<HeapPool>,
    listener: Arc<Listener>,
    link: Link,
    events: Vec<Event>,
    start: std::time::Instant,
    swept: Instant,
    stopped: bool,
}

/// A gateway that runs in a thread, until this is dropped or the guest's end of the link is closed.
pub struct Running {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The token of the stack's events for connections: above those of sources.
fn token(handle: Handle) -> u64 {
    handle.to_bits() + 1
}

impl Gateway {
    /// Opens everything that a gateway needs, with `link` to the guest ([`crate::link()`]).
    ///
    /// # Errors
    /// When a port cannot be published, or the host has no descriptors left.
    pub fn open(settings: &Settings, link: OwnedFd) -> Result<Self> {
        let failed = |errno: Errno| Error::new("cannot start the guest's network").because(errno);
        let addresses = settings.addresses;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(failed)?;
        let mut seed = [0; 16];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
            .map_err(failed)?;
        let (low, high) = seed.split_at(8);
        let word = |bytes: &[u8]| bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        let pool = HeapPool::new(MEMORY);
        let shared = Shared::new(1, Limits::default(), pool.clone(), [word(low), word(high)]);
        configure(&shared, &addresses);
        let any = SocketAddr::new(IpAddr::V4(addresses.gateway), 0);
        let listener = shared
            .bind(BindRequest::new(StackProtocol::Tcp, any))
            .and_then(|binding| shared.listen(binding, 4096, config(), u64::MAX))
            .map_err(|_| Error::new("cannot start the guest's network: no port is free"))?;
        shared.intercept(&listener);
        let resolver = resolver::of_host().into_iter().next();
        let mut gateway = Self {
            addresses,
            epoll,
            sources: Slab::new(),
            begun: HashMap::new(),
            flows: 0,
            ports: Vec::new(),
            datagrams: Datagrams::new(addresses, resolver),
            resolver,
            stack: Stack::new(shared, 0, Instant::ZERO),
            link: Link::new(link, pool.clone()),
            pool,
            listener,
            events: Vec::new(),
            start: std::time::Instant::now(),
            swept: Instant::ZERO,
            stopped: false,
        };
        for published in &settings.published {
            let socket = published.open()?;
            gateway.publish(socket, published).map_err(failed)?;
        }
        let guest = gateway.sources.insert(Source::Guest);
        let both = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        watch(&gateway.epoll, gateway.link.descriptor(), guest, both).map_err(failed)?;
        Ok(gateway)
    }

    fn publish(&mut self, socket: OwnedFd, published: &Published) -> rustix::io::Result<()> {
        match published.protocol {
            Protocol::Tcp => {
                let source = self.sources.insert(Source::Connections(self.ports.len()));
                watch(&self.epoll, socket.as_fd(), source, EventFlags::IN)?;
                self.ports.push((socket, published.guest));
            }
            Protocol::Udp => {
                let port = self.datagrams.publish(socket, published.guest);
                let source = self.sources.insert(Source::Published(port));
                if let Some(socket) = self.datagrams.port_socket(port) {
                    watch(&self.epoll, socket, source, EventFlags::IN)?;
                }
            }
        }
        Ok(())
    }

    /// Runs it in a thread of its own.
    ///
    /// # Errors
    /// When the host has no thread or descriptor left.
    pub fn start(mut self) -> Result<Running> {
        let failed = |errno: Errno| Error::new("cannot start the guest's network").because(errno);
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(failed)?;
        let source = self.sources.insert(Source::Stop);
        watch(&self.epoll, stop.as_fd(), source, EventFlags::IN).map_err(failed)?;
        let thread = std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || self.run())
            .map_err(|error| Error::new("cannot start the guest's network").because(error))?;
        Ok(Running { stop, thread: Some(thread) })
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.start.elapsed().as_nanos() as u64 + 1)
    }

    fn run(&mut self) {
        let mut ready = Vec::with_capacity(256);
        while !self.stopped && !self.link.closed {
            let deadline = self.settle();
            let left = deadline.min(self.swept + SWEEP).since(self.now());
            let timeout =
                Timespec { tv_sec: (left / SECOND) as i64, tv_nsec: (left % SECOND) as i64 };
            ready.clear();
            let buffer = rustix::buffer::spare_capacity(&mut ready);
            match epoll::wait(&self.epoll, buffer, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            for event in &ready {
                let (flags, data) = (event.flags, event.data);
                self.host_event(Handle::from_bits(data.u64()), flags);
            }
            self.sweep();
        }
    }

    /// Lets stack and flows work until nothing more can be done; gives the stack's next deadline.
    fn settle(&mut self) -> Instant {
        loop {
            let now = self.now();
            let poll = self.stack.poll(now, &mut self.link);
            let intercepted = std::mem::take(&mut self.link.intercepted);
            let mut progress = !intercepted.is_empty() || poll.more;
            for intercepted in intercepted {
                self.intercept(intercepted);
            }
            progress |= self.accept_from_guest();
            let mut events = std::mem::take(&mut self.events);
            self.stack.take_events(&mut events);
            for event in events.drain(..) {
                if let Some(bits) = event.token.checked_sub(1)
                    && event.token != u64::MAX
                {
                    self.pump(Handle::from_bits(bits));
                }
            }
            self.events = events;
            if !progress && !self.stack.has_work() && self.link.injected.is_empty() {
                return poll.deadline;
            }
            if self.link.closed {
                return Instant::NEVER;
            }
            if self.stack.has_work() && !self.link_has_room() && !progress {
                return poll.deadline;
            }
        }
    }

    fn link_has_room(&mut self) -> bool {
        use drupe_net_stack::Devices;
        self.link.has_room(GUEST)
    }

    fn intercept(&mut self, intercepted: Intercepted) {
        let now = self.now();
        match intercepted.seen {
            Seen::Udp { source, destination, start, end } => {
                if !self.is_guest(&source.ip()) {
                    return;
                }
                let mut data = vec![0; end - start];
                intercepted.frame.data.copy_to(start, &mut data);
                let (epoll, sources) = (&self.epoll, &mut self.sources);
                self.datagrams.send(source, destination, &data, now, |socket, end| {
                    let source = sources.insert(Source::Datagrams(end));
                    match watch(epoll, socket, source, EventFlags::IN) {
                        Ok(()) => Some(source),
                        Err(_) => {
                            sources.remove(source);
                            None
                        }
                    }
                });
            }
            Seen::Syn { source, destination, sequence } => {
                if self.begun.contains_key(&(source, destination)) {
                    // Sent again while the host's side is being connected, or for the stack.
                    self.link.injected.push_back(intercepted.frame);
                } else {
                    self.begin(source, destination, sequence, intercepted);
                }
            }
            Seen::Other => self.link.injected.push_back(intercepted.frame),
        }
    }

    fn is_guest(&self, address: &IpAddr) -> bool {
        *address == IpAddr::V4(self.addresses.guest)
            || *address == IpAddr::V6(self.addresses.guest6)
    }

    /// The guest begins a connection.
    fn begin(
        &mut self,
        source: SocketAddr,
        destination: SocketAddr,
        sequence: u32,
        intercepted: Intercepted,
    ) {
        let name_server = SocketAddr::new(self.addresses.name_server.into(), 53);
        let to = match self.resolver {
            Some(resolver) if destination == name_server => Some(resolver),
            _ => Some(destination).filter(|to| {
                may_leave(&to.ip()) && !self.addresses.is_own(&to.ip()) && !self.is_guest(&to.ip())
            }),
        };
        let host = to
            .filter(|_| self.flows < MOST_FLOWS && self.is_guest(&source.ip()))
            .and_then(|to| connect(to).ok());
        let Some(host) = host else {
            return self.link.send(frames::refusal(source, destination, sequence));
        };
        let mut flow = Flow::new(GuestSide::Waiting(intercepted.frame), host, false);
        flow.ends = Some((source, destination));
        flow.sequence = sequence;
        if let Some(handle) = self.add_flow(flow) {
            self.begun.insert((source, destination), handle);
        }
    }

    fn add_flow(&mut self, flow: Flow) -> Option<Handle> {
        let handle = self.sources.insert(Source::Flow(Box::new(flow)));
        let Some(Source::Flow(flow)) = self.sources.get(handle) else { return None };
        let all = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        if watch(&self.epoll, flow.host.as_fd(), handle, all).is_err() {
            self.sources.remove(handle);
            return None;
        }
        self.flows += 1;
        Some(handle)
    }

    fn remove_flow(&mut self, handle: Handle) {
        if let Some(Source::Flow(flow)) = self.sources.remove(handle) {
            self.flows -= 1;
            if let Some(ends) = flow.ends {
                self.begun.remove(&ends);
            }
        }
    }

    /// Takes connections that the guest began and the stack answered.
    fn accept_from_guest(&mut self) -> bool {
        let mut any = false;
        while let Some(accepted) = self.listener.accept() {
            any = true;
            let now = self.now();
            let handle = self.begun.get(&(accepted.remote, accepted.local)).copied();
            let source = handle.and_then(|handle| self.sources.get_mut(handle));
            let (Some(handle), Some(Source::Flow(flow))) = (handle, source) else {
                // Nobody asked for it: to a port of the gateway itself.
                self.stack.tcp_close(accepted.id, true, now);
                continue;
            };
            accepted.readiness.set_token(token(handle));
            flow.guest = GuestSide::Open(accepted.id, accepted.readiness);
            self.pump(handle);
        }
        any
    }

    fn pump(&mut self, handle: Handle) {
        let now = self.now();
        let Some(Source::Flow(flow)) = self.sources.get_mut(handle) else { return };
        if flow.pump(&mut self.stack, &*self.pool, now) == Progress::Done {
            self.remove_flow(handle);
        }
    }

    fn host_event(&mut self, handle: Handle, flags: EventFlags) {
        match self.sources.get_mut(handle) {
            Some(Source::Guest) => {
                self.link.readable = true;
                self.link.drain();
            }
            Some(Source::Stop) => self.stopped = true,
            Some(Source::Connections(port)) => {
                let port = *port;
                self.accept_from_host(port);
            }
            Some(Source::Published(port)) => {
                let (datagrams, link) = (&mut self.datagrams, &mut self.link);
                datagrams.receive_published(*port, |frame| link.send(frame));
            }
            Some(Source::Datagrams(guest)) => {
                let guest = *guest;
                let now = self.now();
                let (datagrams, link) = (&mut self.datagrams, &mut self.link);
                datagrams.receive(guest, now, |frame| link.send(frame));
            }
            Some(Source::Flow(_)) => self.flow_event(handle, flags),
            None => {}
        }
    }

    fn flow_event(&mut self, handle: Handle, flags: EventFlags) {
        let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        let Some(Source::Flow(flow)) = self.sources.get_mut(handle) else { return };
        flow.host_readable |= flags.intersects(EventFlags::IN | ended);
        flow.host_writable |= flags.intersects(EventFlags::OUT | ended);
        if !flow.host_connected {
            match sockopt::socket_error(&flow.host) {
                Ok(Ok(())) if flags.intersects(EventFlags::OUT) => flow.host_connected = true,
                Ok(Ok(())) => return,
                _ => {
                    let refusal =
                        flow.ends.map(|(source, to)| frames::refusal(source, to, flow.sequence));
                    self.link_refuse(refusal);
                    self.remove_flow(handle);
                    return;
                }
            }
            if let GuestSide::Waiting(frame) =
                std::mem::replace(&mut flow.guest, GuestSide::Answered)
            {
                self.link.injected.push_back(frame);
            }
        }
        self.pump(handle);
    }

    fn link_refuse(&mut self, refusal: Option<Vec<u8>>) {
        if let Some(refusal) = refusal {
            self.link.send(refusal);
        }
    }

    /// Takes connections from a published port and begins them with the guest.
    fn accept_from_host(&mut self, port: usize) {
        for _ in 0..64 {
            let Some((socket, guest)) = self.ports.get(port) else { return };
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let (host, from) = match rustix::net::acceptfrom_with(socket, flags) {
                Ok((host, from)) => (host, from),
                Err(_) => return,
            };
            if self.flows >= MOST_FLOWS {
                continue;
            }
            let from = from.and_then(|from| SocketAddr::try_from(from).ok());
            let like = from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |from| from.ip());
            let to = SocketAddr::new(self.addresses.guest_like(&like), *guest);
            let Some(handle) = self.add_flow(Flow::new(GuestSide::Answered, host, true)) else {
                continue;
            };
            let now = self.now();
            let connected = self.stack.connect(&mut None, to, config(), token(handle), now);
            match (connected, self.sources.get_mut(handle)) {
                (Ok((id, readiness)), Some(Source::Flow(flow))) => {
                    flow.guest = GuestSide::Open(id, readiness);
                }
                _ => self.remove_flow(handle),
            }
        }
    }

    fn sweep(&mut self) {
        let now = self.now();
        if now.since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        for source in self.datagrams.expire(now) {
            self.sources.remove(source);
        }
    }
}

/// Options of connections with the guest: small segments go on at once.
fn config() -> Config {
    Config { no_delay: true, ..Config::default() }
}

fn configure(shared: &Shared, addresses: &Addresses) {
    shared.configure(|config| {
        let mut interface = Interface::new(GUEST, "guest", Medium::Ethernet, GATEWAY_MAC, MTU);
        interface.speaks_for_all = true;
        interface.offloads =
            Offloads { checksum: true, segmentation_v4: false, segmentation_v6: false };
        config.interfaces.push(interface);
        let own = [
            (IpAddr::V4(addresses.gateway), addresses.prefix),
            (IpAddr::V4(addresses.name_server), addresses.prefix),
            (IpAddr::V6(addresses.gateway6), addresses.prefix6),
        ];
        for (address, prefix) in own {
            config.add_address(GUEST, InterfaceAddress::fixed(Prefix::new(address, prefix)));
        }
        // Connections of others are answered in their name: the way back is the guest's.
        config.add_route(Route::default_via(addresses.guest.into(), GUEST));
    });
}

/// Begins a connection of the host.
fn connect(to: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    match rustix::net::connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

fn watch(
    epoll: &OwnedFd,
    descriptor: BorrowedFd<'_>,
    source: Handle,
    flags: EventFlags,
) -> rustix::io::Result<()> {
    epoll::add(epoll, descriptor, EventData::new_u64(source.to_bits()), flags)
}

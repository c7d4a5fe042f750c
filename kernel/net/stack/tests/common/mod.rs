//! Hosts on a link in virtual time.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use drupe_net_base::{Chain, Chunk, HeapPool, Instant, Random, SECOND};
use drupe_net_stack::*;

/// Milliseconds in nanoseconds.
pub const MS: u64 = 1_000_000;
/// The interface of every host.
pub const ETH: InterfaceId = InterfaceId(2);

/// What the link does, in parts per thousand and nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    pub loss: u64,
    pub duplicate: u64,
    pub reorder: u64,
    pub corrupt: u64,
    pub delay: u64,
    pub jitter: u64,
    /// Octets per second; 0: unlimited.
    pub rate: u64,
}

pub const PERFECT: Link =
    Link { loss: 0, duplicate: 0, reorder: 0, corrupt: 0, delay: MS, jitter: 0, rate: 0 };

/// The queues of one shard.
#[derive(Default)]
pub struct Port {
    pub receive: VecDeque<Received>,
    pub sent: VecDeque<Frame>,
}

impl Devices for Port {
    fn receive(&mut self) -> Option<(InterfaceId, Received)> {
        self.receive.pop_front().map(|received| (ETH, received))
    }

    fn has_room(&mut self, interface: InterfaceId) -> bool {
        assert_eq!(interface, ETH);
        true
    }

    fn transmit(&mut self, _interface: InterfaceId, frame: Frame) {
        self.sent.push_back(frame);
    }
}

pub struct Host {
    pub shared: Arc<Shared>,
    pub stacks: Vec<Stack>,
    pub ports: Vec<Port>,
    pub pool: Arc<HeapPool>,
    pub mac: [u8; 6],
    pub deadlines: Vec<Instant>,
    events: Vec<Event>,
}

type Filter = Box<dyn FnMut(usize, &[u8]) -> bool>;

pub struct World {
    pub now: Instant,
    pub hosts: Vec<Host>,
    pub link: Link,
    pub random: Random,
    wire: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    order: u64,
    busy: Vec<Instant>,
    /// Sees every frame that is put on the wire; false drops it.
    pub filter: Filter,
    pub frames: u64,
}

pub fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn sock(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A host with 10.0.0.`n`/24 and fd00::`n`/64.
pub fn host(n: u8, shards: usize, limits: Limits, offloads: Offloads, now: Instant) -> Host {
    let pool = HeapPool::new(256 << 20);
    let shared = Shared::new(shards, limits, pool.clone(), [u64::from(n), 7]);
    let mac = [2, 0, 0, 0, 0, n];
    shared.configure(|config| {
        let mut eth = Interface::new(ETH, "eth0", Medium::Ethernet, mac, 1500);
        eth.offloads = offloads;
        config.interfaces.push(eth);
        for (text, length) in [(format!("10.0.0.{n}"), 24), (format!("fd00::{n}"), 64)] {
            config.add_address(ETH, InterfaceAddress::fixed(Prefix::new(addr(&text), length)));
        }
    });
    let stacks = (0..shards).map(|index| Stack::new(shared.clone(), index, now)).collect();
    Host {
        shared,
        stacks,
        ports: (0..shards).map(|_| Port::default()).collect(),
        pool,
        mac,
        deadlines: vec![Instant::ZERO; shards],
        events: Vec::new(),
    }
}

impl World {
    pub fn new(seed: u64, link: Link) -> Self {
        World::with(seed, link, 1, Limits::default(), Offloads::default())
    }

    pub fn with(seed: u64, link: Link, shards: usize, limits: Limits, offloads: Offloads) -> Self {
        let now = Instant::from_millis(10_000);
        World {
            now,
            hosts: [1, 2].map(|n| host(n, shards, limits, offloads, now)).into(),
            link,
            random: Random::new([seed, 3]),
            wire: BTreeMap::new(),
            order: 0,
            busy: vec![Instant::ZERO; 2],
            filter: Box::new(|_, _| true),
            frames: 0,
        }
    }

    /// Polls all hosts until nothing happens at this time.
    pub fn settle(&mut self) {
        for index in 0..self.hosts.len() {
            self.settle_host(index);
        }
    }

    fn settle_host(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let mut todo: u64 = (1 << host.stacks.len()) - 1;
        for _ in 0..10_000 {
            if todo == 0 {
                break;
            }
            let shard = todo.trailing_zeros() as usize;
            todo &= !(1 << shard);
            let poll = host.stacks[shard].poll(self.now, &mut host.ports[shard]);
            host.deadlines[shard] = poll.deadline;
            host.stacks[shard].take_events(&mut host.events);
            todo |= poll.kick | u64::from(poll.more) << shard;
        }
        assert_eq!(todo, 0, "a host does not come to rest");
        let mut out = Vec::new();
        for port in &mut host.ports {
            while let Some(frame) = port.sent.pop_front() {
                for mut part in frame.cut() {
                    part.complete_checksum();
                    assert!(
                        part.len() <= 1514,
                        "{} octets: {:x?}",
                        part.len(),
                        part.header.as_slice()
                    );
                    let mut bytes = part.header.as_slice().to_vec();
                    bytes.extend(part.payload.to_vec());
                    out.push(bytes);
                }
            }
        }
        for bytes in out {
            self.carry(index, bytes);
        }
    }

    /// Puts a frame on the wire to all other hosts.
    pub fn carry(&mut self, from: usize, mut bytes: Vec<u8>) {
        self.frames += 1;
        if !(self.filter)(from, &bytes) {
            return;
        }
        let mut chance = |permille| self.random.below(1000) < permille;
        if chance(self.link.loss) {
            return;
        }
        let copies = 1 + usize::from(chance(self.link.duplicate));
        let late = chance(self.link.reorder);
        if chance(self.link.corrupt) {
            let at = self.random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << self.random.below(8);
        }
        let mut at = self.now;
        if let Some(time) = (bytes.len() as u64 * SECOND).checked_div(self.link.rate) {
            at = at.max(self.busy[from]) + time;
            self.busy[from] = at;
        }
        at += self.link.delay;
        if late {
            at += self.random.below(self.link.jitter + 1);
        }
        for to in (0..self.hosts.len()).filter(|to| *to != from) {
            for _ in 0..copies {
                self.order += 1;
                self.wire.insert((at.nanos(), self.order), (to, bytes.clone()));
            }
        }
    }

    /// Gives a frame to a host, on some shard's queue.
    pub fn deliver(&mut self, to: usize, bytes: Vec<u8>) {
        let host = &mut self.hosts[to];
        let shard = self.random.below(host.ports.len() as u64) as usize;
        // Devices may split a frame anywhere.
        let mut data = Chain::new();
        let mut rest = bytes;
        while self.random.below(3) == 0 && rest.len() > 1 {
            let tail = rest.split_off(1 + self.random.below(rest.len() as u64 - 1) as usize);
            data.push(Chunk::from_vec(rest));
            rest = tail;
        }
        data.push(Chunk::from_vec(rest));
        let meta = ReceivedMeta::default();
        host.ports[shard].receive.push_back(Received { data, meta });
    }

    pub fn next_event(&self) -> Instant {
        let wire = self
            .wire
            .first_key_value()
            .map_or(Instant::NEVER, |((at, _), _)| Instant::from_nanos(*at));
        let deadlines = self.hosts.iter().flat_map(|host| &host.deadlines);
        deadlines.fold(wire, |at, deadline| at.min(*deadline))
    }

    /// Goes to the next event; false if there is none.
    pub fn step(&mut self) -> bool {
        self.settle();
        let at = self.next_event();
        if !at.is_armed() {
            return false;
        }
        self.now = self.now.max(at);
        while let Some(entry) = self.wire.first_entry()
            && entry.key().0 <= self.now.nanos()
        {
            let (to, bytes) = entry.remove();
            self.deliver(to, bytes);
        }
        self.settle();
        true
    }

    pub fn run_for(&mut self, nanoseconds: u64) {
        let end = self.now + nanoseconds;
        self.settle();
        let (mut last, mut still) = (self.now, 0);
        while self.next_event() <= end && self.step() {
            still = if self.now == last { still + 1 } else { 0 };
            last = self.now;
            assert!(still < 1000, "time stands still");
        }
        self.now = self.now.max(end);
        self.settle();
    }

    pub fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut World) -> bool) {
        let end = self.now + 600 * SECOND;
        self.settle();
        while !done(self) {
            assert!(self.step(), "nothing happens any more: {what}");
            assert!(self.now < end, "takes too long: {what}");
        }
    }

    pub fn wire_len(&self) -> usize {
        self.wire.len()
    }

    pub fn clear_wire(&mut self) {
        self.wire.clear();
    }

    /// The shard of a host that owns a connection.
    pub fn stack(&mut self, host: usize, id: TcpId) -> &mut Stack {
        &mut self.hosts[host].stacks[usize::from(id.shard)]
    }

    pub fn listen(&mut self, host: usize, local: &str, backlog: u32) -> Arc<Listener> {
        self.listen_with(host, local, backlog, tcp::Config::default())
    }

    pub fn listen_with(
        &mut self,
        host: usize,
        local: &str,
        backlog: u32,
        config: tcp::Config,
    ) -> Arc<Listener> {
        let shared = &self.hosts[host].shared;
        let binding = shared.bind(BindRequest::new(Protocol::Tcp, sock(local))).unwrap();
        shared.listen(binding, backlog, config, 1).unwrap()
    }

    pub fn connect(&mut self, host: usize, to: &str) -> TcpId {
        self.connect_with(host, to, tcp::Config::default())
    }

    pub fn connect_with(&mut self, host: usize, to: &str, config: tcp::Config) -> TcpId {
        let shard = self.random.below(self.hosts[host].stacks.len() as u64) as usize;
        let now = self.now;
        let stack = &mut self.hosts[host].stacks[shard];
        let (id, _) = stack.connect(&mut None, sock(to), config, 5, now).unwrap();
        id
    }

    /// Makes a connection from host 0 to host 1.
    pub fn pair(&mut self, to: &str) -> (TcpId, TcpId, Arc<Listener>) {
        let listener = self.listen(1, to, 16);
        let client = self.connect(0, to);
        let mut server = None;
        self.run_until("connecting", |_| {
            server = listener.accept().map(|accepted| accepted.id);
            server.is_some()
        });
        (client, server.unwrap(), listener)
    }

    pub fn send(&mut self, host: usize, id: TcpId, bytes: &[u8]) -> Result<usize, tcp::IoError> {
        let now = self.now;
        self.stack(host, id).tcp_send(id, bytes, now)
    }

    pub fn receive(&mut self, host: usize, id: TcpId) -> Result<Vec<u8>, tcp::IoError> {
        let now = self.now;
        self.stack(host, id).tcp_receive(id, 1 << 20, now).map(|chain| chain.to_vec())
    }

    pub fn close(&mut self, host: usize, id: TcpId, hard: bool) {
        let now = self.now;
        self.stack(host, id).tcp_close(id, hard, now);
    }

    pub fn events(&mut self, host: usize) -> Vec<Event> {
        std::mem::take(&mut self.hosts[host].events)
    }

    /// Moves a stream in each direction and closes; checks what arrives.
    pub fn transfer(
        &mut self,
        client: TcpId,
        server: TcpId,
        lengths: [usize; 2],
        piece: usize,
    ) -> u64 {
        let start = self.now;
        let ends = [(0, client), (1, server)];
        let data = [pattern(lengths[0], 1), pattern(lengths[1], 2)];
        let mut given = [0; 2];
        let mut taken = [Vec::new(), Vec::new()];
        let mut shut = [false; 2];
        let mut finished = [false; 2];
        self.run_until("transfer", |world| {
            for (side, (host, id)) in ends.into_iter().enumerate() {
                while given[side] < data[side].len() {
                    let rest = &data[side][given[side]..];
                    match world.send(host, id, &rest[..rest.len().min(piece)]) {
                        Ok(count) => given[side] += count,
                        Err(tcp::IoError::WouldBlock | tcp::IoError::NotConnected) => break,
                        Err(error) => panic!("send on {side}: {error:?}"),
                    }
                }
                if given[side] == data[side].len() && !shut[side] {
                    shut[side] = true;
                    let now = world.now;
                    world.stack(host, id).tcp_shutdown(id, false, true, now);
                }
                while !finished[side] {
                    match world.receive(host, id) {
                        Ok(bytes) if bytes.is_empty() => finished[side] = true,
                        Ok(bytes) => taken[side].extend(bytes),
                        Err(tcp::IoError::WouldBlock | tcp::IoError::NotConnected) => break,
                        Err(error) => panic!("receive on {side}: {error:?}"),
                    }
                }
            }
            finished[0] && finished[1]
        });
        assert!(taken[1] == data[0] && taken[0] == data[1], "the streams differ");
        self.close(0, client, false);
        self.close(1, server, false);
        self.now.since(start)
    }

    /// Nothing is left: no connections, no memory. Call after everything was closed.
    pub fn assert_clean(&mut self) {
        self.run_for(1000 * SECOND);
        for host in &mut self.hosts {
            for stack in &host.stacks {
                assert_eq!(stack.population(), (0, 0, 0));
                assert_eq!(stack.reassembly_octets(), 0);
            }
            assert_eq!(host.pool.usage().used, 0, "memory came back");
        }
    }
}

pub fn pattern(length: usize, salt: usize) -> Vec<u8> {
    (0..length).map(|n| (n.wrapping_mul(31) >> 3 ^ n ^ salt) as u8).collect()
}

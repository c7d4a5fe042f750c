//! One CPU's part of the stack.

mod autoconf;
mod dhcp;
mod ethernet;
mod icmp;
mod icmp_error;
mod ip_input;
mod ip_output;
mod ipv6_config;
mod multicast;
mod ndp;
mod poll;
mod raw;
mod reassembly;
mod tcp_api;
mod tcp_input;
mod tcp_output;
mod udp;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

use drupe_net_base::{Handle, Instant, Random, Slab, TimerId, Wheel};
use drupe_net_tcp::{ChallengeLimit, Connection, Embryo, TimeWait};
use hashbrown::HashTable;

use crate::address::FlowKey;
use crate::bind::{Binding, PortUse};
use crate::config::{InterfaceId, NetConfig};
use crate::counters::Counters;
use crate::frame::{Frame, Received};
use crate::listener::Listener;
use crate::readiness::{Event, Readiness};
use crate::shared::{Letter, Shared};

pub use autoconf::Autoconf;
pub use poll::Poll;
pub use tcp_api::ConnectError;

use autoconf::AutoconfState;
use reassembly::Reassembly;

/// Names a TCP connection: its shard and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TcpId {
    /// The shard that owns it; its other calls go to that shard.
    pub shard: u16,
    handle: Handle,
}

/// Where a flow's packets go; looked up again when configuration or neighbours change.
#[derive(Debug, Clone, Copy)]
struct FlowRoute {
    interface: InterfaceId,
    next_hop: IpAddr,
    mtu: u32,
    mac: Option<[u8; 6]>,
    mac_until: Instant,
    config_generation: u32,
    neighbour_generation: u32,
}

/// A connection with what the stack needs to carry it.
#[derive(Debug)]
struct TcpSocket {
    key: FlowKey,
    connection: Connection,
    route: FlowRoute,
    readiness: Arc<Readiness>,
    binding: Option<Binding>,
    port: Option<PortUse>,
    timer: Option<TimerId>,
    timer_at: Instant,
    /// It stands in the list of connections with something to send.
    queued: bool,
    /// The flow table leads here (not to a TIME-WAIT entry that succeeded it).
    listed: bool,
    hop_limit: u8,
    traffic_class: u8,
}

#[derive(Debug)]
struct EmbryoEntry {
    key: FlowKey,
    embryo: Embryo,
    listener: Arc<Listener>,
    route: FlowRoute,
    timer: TimerId,
}

impl Drop for EmbryoEntry {
    fn drop(&mut self) {
        self.listener.handshakes.fetch_sub(1, core::sync::atomic::Ordering::AcqRel);
    }
}

#[derive(Debug)]
struct TimeWaitEntry {
    key: FlowKey,
    entry: TimeWait,
    timer: TimerId,
    _port: Option<PortUse>,
}

/// What the flow table leads to.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Tcp(Handle),
    Embryo(Handle),
    TimeWait(Handle),
}

#[derive(Debug)]
struct FlowEntry {
    key: FlowKey,
    slot: Slot,
}

#[derive(Debug)]
struct TransmitQueue {
    interface: InterfaceId,
    frames: VecDeque<Frame>,
}

/// A limit per second.
#[derive(Debug)]
struct RateLimit {
    limit: ChallengeLimit,
}

/// One shard; see the crate's description.
pub struct Stack {
    shared: Arc<Shared>,
    index: usize,
    now: Instant,
    config: Arc<NetConfig>,
    random: Random,
    flows: HashTable<FlowEntry>,
    sockets: Slab<Box<TcpSocket>>,
    embryos: Slab<Box<EmbryoEntry>>,
    time_waits: Slab<TimeWaitEntry>,
    time_wait_order: VecDeque<Handle>,
    wheel: Wheel<Slot>,
    /// Connections with something to send.
    pending: VecDeque<Handle>,
    loopback: VecDeque<Received>,
    transmit: Vec<TransmitQueue>,
    reassembly: Reassembly,
    events: Vec<Arc<Readiness>>,
    /// Shards whose inboxes got something, as bits.
    kicks: u64,
    letters: VecDeque<Letter>,
    counters: Counters,
    tcp_counters: drupe_net_tcp::Counters,
    challenges: ChallengeLimit,
    errors: RateLimit,
    next_ident: u32,
    autoconf: Vec<AutoconfState>,
    /// When that is due, as of a generation of the configuration.
    autoconf_due: (u32, Instant),
    /// When an address or route next expires; computed for this generation.
    expiry: (u32, Instant),
}

impl core::fmt::Debug for Stack {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stack")
            .field("index", &self.index)
            .field("now", &self.now)
            .field("connections", &self.sockets.len())
            .finish_non_exhaustive()
    }
}

/// Borrows what a connection needs, leaving the socket tables free.
macro_rules! env {
    ($stack:expr) => {
        &mut drupe_net_tcp::Env {
            now: $stack.now,
            pool: &*$stack.shared.pool,
            counters: &mut $stack.tcp_counters,
            challenges: &mut $stack.challenges,
        }
    };
}
use env;

impl Stack {
    /// Shard number `index` of a stack.
    pub fn new(shared: Arc<Shared>, index: usize, now: Instant) -> Self {
        let mut random = Random::new(shared.seed_for(index));
        let limits = &shared.limits;
        Stack {
            index: index.min(shared.shards() - 1),
            now,
            config: shared.config(),
            flows: HashTable::new(),
            sockets: Slab::new(),
            embryos: Slab::new(),
            time_waits: Slab::new(),
            time_wait_order: VecDeque::new(),
            wheel: Wheel::new(now),
            pending: VecDeque::new(),
            loopback: VecDeque::new(),
            transmit: Vec::new(),
            reassembly: Reassembly::new(limits.reassembly, shared.fold),
            events: Vec::new(),
            kicks: 0,
            letters: VecDeque::new(),
            counters: Counters::default(),
            tcp_counters: drupe_net_tcp::Counters::default(),
            challenges: ChallengeLimit::new(limits.challenges_per_second),
            errors: RateLimit { limit: ChallengeLimit::new(limits.errors_per_second) },
            next_ident: random.bits() as u32,
            autoconf: Vec::new(),
            autoconf_due: (u32::MAX, Instant::ZERO),
            expiry: (u32::MAX, Instant::NEVER),
            random,
            shared,
        }
    }

    /// What the shards share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Number of this shard.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Packets below TCP.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// TCP's counters.
    pub fn tcp_counters(&self) -> &drupe_net_tcp::Counters {
        &self.tcp_counters
    }

    /// Connections, handshakes and TIME-WAIT entries.
    pub fn population(&self) -> (usize, usize, usize) {
        (self.sockets.len(), self.embryos.len(), self.time_waits.len())
    }

    /// Octets of fragments that wait for others.
    pub fn reassembly_octets(&self) -> usize {
        self.reassembly.octets()
    }

    /// Events since the last call, in order. Call after every poll and every call that may have
    /// caused some.
    pub fn take_events(&mut self, into: &mut Vec<Event>) {
        into.extend(self.events.drain(..).map(|readiness| readiness.take()));
    }

    fn report(&mut self, readiness: &Arc<Readiness>) {
        self.events.push(readiness.clone());
    }

    /// Sees changes of the configuration.
    fn refresh(&mut self) {
        if self.shared.generation() != self.config.generation {
            self.config = self.shared.config();
        }
    }

    /// Begins an API call at `now`.
    fn enter(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.refresh();
    }

    /// Whether an error message may be sent now.
    fn may_send_error(&mut self) -> bool {
        let allowed = self.errors.limit.allow(self.now);
        self.counters.icmp_limited += u64::from(!allowed);
        allowed
    }

    fn send_letter(&mut self, shard: usize, letter: Letter) {
        let limit = self.shared.limits.inbox;
        match self.shared.inboxes.get(shard) {
            Some(inbox) if inbox.push(letter, limit) => self.kicks |= 1 << shard,
            _ => self.counters.inbox_full += 1,
        }
    }

    fn find_flow(&self, hash: u64, key: &FlowKey) -> Option<Slot> {
        self.flows.find(hash, |entry| entry.key == *key).map(|entry| entry.slot)
    }

    fn insert_flow(&mut self, key: FlowKey, slot: Slot) {
        let fold = self.shared.fold;
        let hash = key.hash_with(&fold);
        if let Some(entry) = self.flows.find_mut(hash, |entry| entry.key == key) {
            entry.slot = slot;
            return;
        }
        self.flows.insert_unique(hash, FlowEntry { key, slot }, |entry| entry.key.hash_with(&fold));
    }

    fn remove_flow(&mut self, key: &FlowKey) {
        let fold = self.shared.fold;
        let hash = key.hash_with(&fold);
        if let Ok(entry) = self.flows.find_entry(hash, |entry| entry.key == *key) {
            entry.remove();
        }
        if self.flows.is_empty() && self.flows.capacity() > 1024 {
            self.flows = HashTable::new();
        }
    }
}

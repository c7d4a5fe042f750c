use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};

use drupe_net_base::hash::Fold;
use drupe_net_base::{BufferPool, Handle, Instant, Random};
use drupe_net_tcp::{Config, Failure, Secrets};
use hashbrown::HashMap;
use lock::SpinLock;

use crate::address::FlowKey;
use crate::bind::{BindError, BindRequest, BindTable, Binding};
use crate::config::{Interface, InterfaceId, NetConfig};
use crate::datagram::{Datagram, DatagramKind};
use crate::frame::Received;
use crate::listener::Listener;
use crate::neighbour::Neighbours;

pub(crate) type Hashing = Fold;

/// Ranks of the locks inside the stack, in the order in which they are taken. A lock around a
/// shard ranks below all of them; the pool's and the heap's above.
pub mod rank {
    use lock::Rank;

    /// Changing the configuration.
    pub const CONFIG: Rank = Rank::new(120, "net config");
    /// A part of the port table.
    pub const BINDS: Rank = Rank::new(121, "net binds");
    /// A datagram socket.
    pub const DATAGRAM: Rank = Rank::new(122, "net datagram");
    /// A listener's options.
    pub const LISTENER_CONFIG: Rank = Rank::new(123, "net listener options");
    /// A listener's queue.
    pub const LISTENER: Rank = Rank::new(124, "net listener");
    /// The list of raw sockets.
    pub const RAW: Rank = Rank::new(125, "net raw sockets");
    /// The neighbours.
    pub const NEIGHBOURS: Rank = Rank::new(126, "net neighbours");
    /// Path MTUs.
    pub const PATH_MTU: Rank = Rank::new(127, "net path mtu");
    /// A shard's inbox.
    pub const INBOX: Rank = Rank::new(128, "net inbox");
}

/// How much of everything, per stack unless said otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// TCP connections per shard.
    pub connections: usize,
    /// Compact TIME-WAIT entries per shard; the oldest go first.
    pub time_waits: usize,
    /// Handshakes under way per shard, beyond which there are only SYN cookies.
    pub handshakes: usize,
    /// Octets of fragments per shard.
    pub reassembly: usize,
    /// Neighbours.
    pub neighbours: usize,
    /// Packets that wait in a shard's inbox, or in its loopback queue.
    pub inbox: usize,
    /// Frames that wait for a full device, per interface and shard.
    pub transmit: usize,
    /// ICMP errors and resets to unknown flows per second and shard.
    pub errors_per_second: u32,
    /// Challenge acknowledgments per second and shard (RFC 5961).
    pub challenges_per_second: u32,
    /// First and last ephemeral port.
    pub ephemeral: (u16, u16),
    /// Frames that one poll takes from devices at most.
    pub budget: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 1 << 20,
            time_waits: 32_768,
            handshakes: 4096,
            reassembly: 4 << 20,
            neighbours: 1024,
            inbox: 4096,
            transmit: 1024,
            errors_per_second: 1000,
            challenges_per_second: 1000,
            ephemeral: (32_768, 60_999),
            budget: 256,
        }
    }
}

/// Something one shard tells another.
#[derive(Debug)]
pub(crate) enum Letter {
    /// An IP packet of a flow that belongs to the receiver.
    Packet(InterfaceId, Received),
    /// Reset this connection: its listener was closed.
    Abort(Handle),
    /// The network reported something about a flow.
    Unreachable(FlowKey, u32, Failure),
    /// The path of a flow carries only packets of this size.
    TooBig(FlowKey, u32, u32),
}

#[derive(Debug)]
pub(crate) struct Inbox {
    letters: SpinLock<VecDeque<Letter>>,
    count: AtomicU32,
}

impl Inbox {
    /// Puts a letter in; false if there are too many packets already.
    pub fn push(&self, letter: Letter, limit: usize) -> bool {
        let mut letters = self.letters.lock();
        if matches!(letter, Letter::Packet(..)) && letters.len() >= limit {
            return false;
        }
        letters.push_back(letter);
        self.count.store(letters.len() as u32, Ordering::Release);
        true
    }

    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Takes everything; `into` is empty and becomes the new store.
    pub fn take(&self, into: &mut VecDeque<Letter>) {
        let mut letters = self.letters.lock();
        core::mem::swap(&mut *letters, into);
        self.count.store(0, Ordering::Release);
    }
}

/// What the shards of one stack have in common.
pub struct Shared {
    pub(crate) limits: Limits,
    pub(crate) pool: Arc<dyn BufferPool>,
    pub(crate) secrets: Secrets,
    pub(crate) fold: Fold,
    config: SpinLock<Arc<NetConfig>>,
    generation: AtomicU32,
    pub(crate) binds: Arc<BindTable>,
    pub(crate) neighbours: Neighbours,
    pub(crate) inboxes: Vec<Inbox>,
    path_mtu: SpinLock<HashMap<IpAddr, (u32, Instant), Hashing>>,
    path_mtu_count: AtomicU32,
    raw: SpinLock<Vec<Weak<Datagram>>>,
    raw_count: AtomicU32,
    seed: [u64; 2],
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// How long a path MTU counts (RFC 8201 §4).
const PATH_MTU_LIFE: u64 = 600 * drupe_net_base::SECOND;
const PATH_MTUS: usize = 4096;

impl Shared {
    /// A stack for `shards` CPUs with the loopback interface only. `seed` is 128 bits of entropy;
    /// all unpredictable numbers come from it.
    pub fn new(
        shards: usize,
        limits: Limits,
        pool: Arc<dyn BufferPool>,
        seed: [u64; 2],
    ) -> Arc<Self> {
        let mut random = Random::new(seed);
        let secrets = Secrets::new(&mut random);
        let fold = Fold::new(random.key());
        let inbox = || Inbox {
            letters: SpinLock::new(rank::INBOX, VecDeque::new()),
            count: AtomicU32::new(0),
        };
        let mut config = NetConfig::default();
        config.interfaces.push(Interface::loopback());
        Arc::new(Shared {
            binds: Arc::new(BindTable::new(limits.ephemeral, random.key(), fold)),
            neighbours: Neighbours::new(limits.neighbours, fold),
            inboxes: (0..shards.clamp(1, 64)).map(|_| inbox()).collect(),
            path_mtu: SpinLock::new(rank::PATH_MTU, HashMap::with_hasher(fold)),
            path_mtu_count: AtomicU32::new(0),
            raw: SpinLock::new(rank::RAW, Vec::new()),
            raw_count: AtomicU32::new(0),
            config: SpinLock::new(rank::CONFIG, Arc::new(config)),
            generation: AtomicU32::new(0),
            seed: [random.bits(), random.bits()],
            limits,
            pool,
            secrets,
            fold,
        })
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.inboxes.len()
    }

    pub(crate) fn seed_for(&self, shard: usize) -> [u64; 2] {
        [self.seed[0], self.seed[1].wrapping_add(shard as u64)]
    }

    /// The configuration as it is now.
    pub fn config(&self) -> Arc<NetConfig> {
        self.config.lock().clone()
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Changes the configuration. Shards see it at their next poll or call.
    pub fn configure<R>(&self, change: impl FnOnce(&mut NetConfig) -> R) -> R {
        let mut current = self.config.lock();
        let mut next = NetConfig::clone(&current);
        let result = change(&mut next);
        next.generation = next.generation.wrapping_add(1);
        self.generation.store(next.generation, Ordering::Release);
        *current = Arc::new(next);
        result
    }

    /// The neighbour table.
    pub fn neighbours(&self) -> &Neighbours {
        &self.neighbours
    }

    /// The pool that payload comes from.
    pub fn pool(&self) -> &Arc<dyn BufferPool> {
        &self.pool
    }

    /// Takes a port.
    pub fn bind(&self, request: BindRequest) -> Result<Binding, BindError> {
        let address = &request.address;
        let config = self.config();
        let local = address.is_unspecified()
            || address.is_multicast()
            || config.owner(address).is_some()
            || config.interfaces.iter().any(|interface| config.is_broadcast(interface.id, address));
        if !local {
            return Err(BindError::NotLocal);
        }
        self.binds.bind(request)
    }

    /// Makes a listener on a bound TCP port. `config` is what connections start with, `backlog`
    /// how many may wait to be accepted, `token` names the listener in events.
    pub fn listen(
        &self,
        binding: Binding,
        backlog: u32,
        config: Config,
        token: u64,
    ) -> Result<Arc<Listener>, BindError> {
        Listener::new(binding, backlog, config, token)
    }

    /// Makes a datagram socket; it receives once it is bound (UDP, ping) or at once (raw,
    /// packet).
    pub fn datagram(&self, kind: DatagramKind, token: u64) -> Arc<Datagram> {
        let datagram = Datagram::new(kind, token);
        if matches!(kind, DatagramKind::Raw { .. } | DatagramKind::Packet { .. }) {
            let mut raw = self.raw.lock();
            raw.retain(|socket| socket.strong_count() > 0);
            raw.push(Arc::downgrade(&datagram));
            self.raw_count.store(raw.len() as u32, Ordering::Release);
        }
        datagram
    }

    /// The raw and packet sockets; costs one load when there are none.
    pub(crate) fn raw_sockets(&self) -> Vec<Arc<Datagram>> {
        if self.raw_count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut raw = self.raw.lock();
        raw.retain(|socket| socket.strong_count() > 0);
        self.raw_count.store(raw.len() as u32, Ordering::Release);
        raw.iter().filter_map(Weak::upgrade).collect()
    }

    /// Whether there are raw or packet sockets: a cheap test.
    pub(crate) fn has_raw_sockets(&self) -> bool {
        self.raw_count.load(Ordering::Acquire) != 0
    }

    /// The learned path MTU to a destination.
    pub(crate) fn path_mtu(&self, destination: &IpAddr, now: Instant) -> Option<u32> {
        if self.path_mtu_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut table = self.path_mtu.lock();
        let (mtu, until) = *table.get(destination)?;
        if until <= now {
            table.remove(destination);
            self.path_mtu_count.store(table.len() as u32, Ordering::Release);
            return None;
        }
        Some(mtu)
    }

    pub(crate) fn set_path_mtu(&self, destination: IpAddr, mtu: u32, now: Instant) {
        let mut table = self.path_mtu.lock();
        if table.len() >= PATH_MTUS {
            // Whoever floods this table gains nothing but that it is learned anew.
            table.clear();
        }
        table.insert(destination, (mtu, now + PATH_MTU_LIFE));
        self.path_mtu_count.store(table.len() as u32, Ordering::Release);
    }

    pub(crate) fn shard_of(&self, hash: u64) -> usize {
        ((u128::from(hash.rotate_left(32)) * self.inboxes.len() as u128) >> 64) as usize
    }
}

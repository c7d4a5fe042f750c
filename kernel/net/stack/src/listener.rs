use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use drupe_net_tcp::{Config, Ready};
use lock::SpinLock;

use crate::bind::{BindError, Binding};
use crate::readiness::Readiness;
use crate::shard::TcpId;
use crate::shared::rank;

/// A connection that waits to be accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The connection; its shard is in the id.
    pub id: TcpId,
    /// This end.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
    /// Where its readiness shows; set a token to get events.
    pub readiness: Arc<Readiness>,
}

/// Handshakes that every listener may have under way, whatever its backlog: a burst of clients is
/// no flood yet.
const LEAST_HANDSHAKES: u32 = 128;

/// A listening socket, shared by all shards.
///
/// As in Linux there are two queues: handshakes under way, which each shard keeps and this object
/// counts, and established connections, which wait here. A SYN is dropped while the second is
/// full; when the first is full, SYN cookies take its place.
#[derive(Debug)]
pub struct Listener {
    local: SocketAddr,
    binding: SpinLock<Option<Binding>>,
    config: SpinLock<Config>,
    backlog: AtomicU32,
    pub(crate) handshakes: AtomicU32,
    queue: SpinLock<VecDeque<Accepted>>,
    queued: AtomicU32,
    closed: AtomicBool,
    readiness: Arc<Readiness>,
}

impl Listener {
    pub(crate) fn new(
        binding: Binding,
        backlog: u32,
        config: Config,
        token: u64,
    ) -> Result<Arc<Self>, BindError> {
        let listener = Arc::new(Listener {
            local: binding.local(),
            binding: SpinLock::new(rank::LISTENER_CONFIG, None),
            config: SpinLock::new(rank::LISTENER_CONFIG, config),
            backlog: AtomicU32::new(backlog.max(1)),
            handshakes: AtomicU32::new(0),
            queue: SpinLock::new(rank::LISTENER, VecDeque::new()),
            queued: AtomicU32::new(0),
            closed: AtomicBool::new(false),
            readiness: Readiness::new(token),
        });
        if !binding.listen(&listener) {
            return Err(BindError::InUse);
        }
        *listener.binding.lock() = Some(binding);
        Ok(listener)
    }

    /// Where it listens.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Takes the connection that has waited longest.
    pub fn accept(&self) -> Option<Accepted> {
        let mut queue = self.queue.lock();
        let accepted = queue.pop_front();
        self.queued.store(queue.len() as u32, Ordering::Release);
        if queue.is_empty() {
            self.readiness.update(Ready::NONE, false);
            if queue.capacity() > 64 {
                *queue = VecDeque::new();
            }
        }
        accepted
    }

    /// Readable while a connection waits.
    pub fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// Changes the backlog (`listen(2)` called again).
    pub fn set_backlog(&self, backlog: u32) {
        self.backlog.store(backlog.max(1), Ordering::Release);
    }

    /// Options that new connections start with.
    pub fn config(&self) -> Config {
        *self.config.lock()
    }

    /// Changes the options of connections to come.
    pub fn set_config(&self, config: Config) {
        *self.config.lock() = config;
    }

    /// Connections waiting and the backlog, for `TCP_INFO`.
    pub fn backlog(&self) -> (u32, u32) {
        (self.queued.load(Ordering::Acquire), self.backlog.load(Ordering::Acquire))
    }

    /// Whether a connection more would exceed the backlog; the limit is exclusive, as in Linux.
    pub(crate) fn is_full(&self) -> bool {
        let (queued, backlog) = self.backlog();
        queued > backlog
    }

    /// Whether the queue of handshakes is full.
    pub(crate) fn is_flooded(&self) -> bool {
        self.handshakes.load(Ordering::Acquire)
            >= self.backlog.load(Ordering::Acquire).max(LEAST_HANDSHAKES)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Puts an established connection into the queue. `Err` if the listener was closed, else
    /// whether the readiness is to be reported.
    pub(crate) fn push(&self, accepted: Accepted) -> Result<bool, Accepted> {
        let mut queue = self.queue.lock();
        if self.is_closed() {
            return Err(accepted);
        }
        queue.push_back(accepted);
        self.queued.store(queue.len() as u32, Ordering::Release);
        Ok(self.readiness.update(Ready::READABLE, true))
    }

    /// Closes; returns the connections that nobody will accept.
    pub(crate) fn close(&self) -> VecDeque<Accepted> {
        // Handshakes under way keep this object alive; the port is free at once.
        let binding = self.binding.lock().take();
        drop(binding);
        let mut queue = self.queue.lock();
        self.closed.store(true, Ordering::Release);
        self.queued.store(0, Ordering::Release);
        core::mem::take(&mut *queue)
    }
}

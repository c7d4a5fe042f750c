use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use drupe_net_tcp::Ready;

/// What a socket is ready for, readable by any CPU without a lock.
///
/// The generation counts edges: it moves whenever something arrives or room appears, also if the
/// level stays the same. That is what an edge-triggered wait compares.
#[derive(Debug, Default)]
pub struct Readiness {
    ready: AtomicU32,
    generation: AtomicU32,
    token: AtomicU64,
    queued: AtomicBool,
}

/// Something happened to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// What the owner of the socket chose; see [`Readiness::set_token`].
    pub token: u64,
    /// Readiness when the event was taken.
    pub ready: Ready,
    /// Generation when the event was taken.
    pub generation: u32,
}

impl Readiness {
    pub(crate) fn new(token: u64) -> Arc<Self> {
        Arc::new(Readiness { token: AtomicU64::new(token), ..Readiness::default() })
    }

    /// The current level.
    pub fn ready(&self) -> Ready {
        Ready(self.ready.load(Ordering::Acquire) as u16)
    }

    /// The number of edges so far, modulo 2^32.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Sets the token under which events are reported; 0: report none. Look at
    /// [`Readiness::ready`] after setting it, for what happened before.
    pub fn set_token(&self, token: u64) {
        self.token.store(token, Ordering::Release);
    }

    /// Sets the level. Returns whether the socket is to be reported: there was an edge, someone
    /// wants to know, and it is not reported already.
    pub(crate) fn update(&self, ready: Ready, edge: bool) -> bool {
        let before = self.ready.swap(u32::from(ready.0), Ordering::AcqRel);
        let rising = u32::from(ready.0) & !before != 0;
        if !edge && !rising {
            return false;
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.token.load(Ordering::Acquire) != 0 && !self.queued.swap(true, Ordering::AcqRel)
    }

    /// The event to report, after which new edges are reported again.
    pub(crate) fn take(&self) -> Event {
        self.queued.store(false, Ordering::Release);
        Event {
            token: self.token.load(Ordering::Acquire),
            ready: self.ready(),
            generation: self.generation(),
        }
    }
}

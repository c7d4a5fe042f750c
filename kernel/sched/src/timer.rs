//! Timers: what is to happen at a time. Each vCPU keeps those that were set there.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use hal::{PerCpu, per_cpu};
use lock::SpinLock;
use trace::Event;

use crate::rank;
use crate::task::Task;

/// Something that waits for a time.
pub trait Expire: Send + Sync {
    /// Called once when the time has come, by a vCPU at a yield point, without locks held.
    fn expire(self: Arc<Self>, now: u64);
}

enum Action {
    Wake(Arc<Task>),
    Call(Arc<dyn Expire>),
}

struct Timers {
    pending: SpinLock<BTreeMap<(u64, u64), Action>>,
    next: AtomicU64,
}

static TIMERS: PerCpu<Timers> = per_cpu!(Timers {
    pending: SpinLock::new(rank::TIMERS, BTreeMap::new()),
    next: AtomicU64::new(u64::MAX),
});

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Names a timer that was set.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    vcpu: usize,
    key: (u64, u64),
}

fn set(deadline: u64, action: Action) -> Timer {
    let vcpu = hal::vcpu_current();
    let timers = TIMERS.of(vcpu);
    let key = (deadline, NUMBERS.fetch_add(1, Ordering::Relaxed));
    let mut pending = timers.pending.lock();
    pending.insert(key, action);
    timers.next.fetch_min(deadline, Ordering::Relaxed);
    Timer { vcpu, key }
}

/// Wakes a task at the deadline.
pub(crate) fn wake_at(deadline: u64, task: Arc<Task>) -> Timer {
    set(deadline, Action::Wake(task))
}

/// Removes a timer; `false` when it has expired already or is expiring.
pub(crate) fn cancel(timer: Timer) -> bool {
    let timers = TIMERS.of(timer.vcpu);
    let mut pending = timers.pending.lock();
    let action = pending.remove(&timer.key);
    // Too early a wake-up of the vCPU does no harm; too late a one would.
    let next = pending.first_key_value().map_or(u64::MAX, |(key, _)| key.0);
    timers.next.store(next, Ordering::Relaxed);
    drop(pending);
    action.is_some()
}

impl Timer {
    /// Calls `what.expire` at the deadline (nanoseconds, [`hal::monotonic`]).
    pub fn new(deadline: u64, what: Arc<dyn Expire>) -> Self {
        set(deadline, Action::Call(what))
    }

    /// Removes the timer; `false` when it has expired already or is expiring.
    pub fn cancel(self) -> bool {
        cancel(self)
    }
}

/// When the next timer of this vCPU expires.
#[inline]
pub(crate) fn next() -> u64 {
    TIMERS.this().next.load(Ordering::Relaxed)
}

/// Runs the expired timers of this vCPU.
pub(crate) fn run() {
    if next() == u64::MAX {
        return;
    }
    let timers = TIMERS.this();
    loop {
        let now = hal::monotonic();
        let mut pending = timers.pending.lock();
        let due = pending.first_entry().filter(|entry| entry.key().0 <= now);
        let Some(entry) = due else {
            let next = pending.first_key_value().map_or(u64::MAX, |(key, _)| key.0);
            timers.next.store(next, Ordering::Relaxed);
            return;
        };
        let ((deadline, _), action) = entry.remove_entry();
        drop(pending);
        trace::record(Event::Timer, deadline, 0);
        match action {
            Action::Wake(task) => task.unpark(),
            Action::Call(what) => what.expire(now),
        }
    }
}

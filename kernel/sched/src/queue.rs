//! Run queues: one per vCPU, with work stealing.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hal::{PerCpu, per_cpu};
use lock::SpinLock;
use trace::Event;

use crate::rank;
use crate::task::Task;

struct RunQueue {
    tasks: SpinLock<VecDeque<Arc<Task>>>,
    len: AtomicUsize,
}

static QUEUES: PerCpu<RunQueue> = per_cpu!(RunQueue {
    tasks: SpinLock::new(rank::RUN_QUEUE, VecDeque::new()),
    len: AtomicUsize::new(0),
});

/// vCPUs that wait for something to do, a bit each.
pub(crate) static IDLE: AtomicU64 = AtomicU64::new(0);

/// A task whose runs are longer than this on average is worth waking a vCPU for.
const LONG_BURST: u64 = 100_000;

/// Tasks that wait on this vCPU.
#[inline]
pub(crate) fn waiting_here() -> usize {
    QUEUES.this().len.load(Ordering::Relaxed)
}

fn push(vcpu: usize, task: Arc<Task>) -> usize {
    let queue = QUEUES.of(vcpu);
    let mut tasks = queue.tasks.lock();
    tasks.push_back(task);
    let len = tasks.len();
    queue.len.store(len, Ordering::SeqCst);
    len
}

/// Makes a task wait for a vCPU. `fresh` says that it has not run before.
pub(crate) fn enqueue(task: Arc<Task>, fresh: bool) {
    let here = hal::vcpu_current();
    let affinity = task.affinity();
    if affinity & 1 << here == 0 {
        let allowed = affinity & ((1u128 << hal::vcpu_count()) - 1) as u64;
        let vcpu = if allowed == 0 { here } else { allowed.trailing_zeros() as usize };
        push(vcpu, task);
        if vcpu != here {
            hal::vcpu_kick(vcpu);
        }
        return;
    }
    let long = fresh || task.burst.load(Ordering::Relaxed) > LONG_BURST;
    let len = push(here, task);
    let idle = IDLE.load(Ordering::SeqCst) & affinity & !(1 << here);
    let here_idle = IDLE.load(Ordering::Relaxed) & 1 << here != 0;
    if idle != 0 && !here_idle && (long || len > 1) {
        let vcpu = idle.trailing_zeros() as usize;
        // Only one waker tells it.
        if IDLE.fetch_and(!(1 << vcpu), Ordering::SeqCst) & 1 << vcpu != 0 {
            hal::vcpu_kick(vcpu);
        }
    }
}

/// Puts a task back at the end of this vCPU's queue, after a slice.
pub(crate) fn requeue(task: Arc<Task>) {
    enqueue(task, false);
}

/// The next task for this vCPU: its own oldest, or one of another vCPU's.
pub(crate) fn next() -> Option<Arc<Task>> {
    let here = hal::vcpu_current();
    let own = QUEUES.of(here);
    if own.len.load(Ordering::SeqCst) > 0 {
        let mut tasks = own.tasks.lock();
        let task = tasks.pop_front();
        own.len.store(tasks.len(), Ordering::SeqCst);
        if task.is_some() {
            return task;
        }
    }
    let count = hal::vcpu_count();
    for offset in 1..count {
        let victim = (here + offset) % count;
        let queue = QUEUES.of(victim);
        if queue.len.load(Ordering::SeqCst) == 0 {
            continue;
        }
        let mut tasks = queue.tasks.lock();
        let found = tasks.iter().position(|task| task.affinity() & 1 << here != 0);
        if let Some(task) = found.and_then(|index| tasks.remove(index)) {
            queue.len.store(tasks.len(), Ordering::SeqCst);
            trace::record(Event::Steal, task.id, victim as u64);
            return Some(task);
        }
    }
    None
}

/// Whether any vCPU has tasks waiting that this one may run.
pub(crate) fn work_anywhere() -> bool {
    (0..hal::vcpu_count()).any(|vcpu| QUEUES.of(vcpu).len.load(Ordering::SeqCst) > 0)
}

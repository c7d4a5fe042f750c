//! What a vCPU does when it has nothing to do, and how vCPUs start.

use core::sync::atomic::{AtomicU64, Ordering};

use hal::{PerCpu, per_cpu};
use lock::{Held, Hooks};
use trace::Event;

use crate::queue::{self, IDLE};
use crate::task::Task;
use crate::{device, reaper, switch, timer};

/// An idle vCPU looks around this often while others are busy: a task that waits behind a long
/// run is picked up then.
const LOOK_AROUND: u64 = 1_000_000;

static HELD: PerCpu<Held> = per_cpu!(Held::new());
static RELAXED: PerCpu<AtomicU64> = per_cpu!(AtomicU64::new(0));

/// Makes this the first vCPU of the scheduler, starts the others, and calls `first` in a task.
/// Never returns.
pub fn start(first: impl FnOnce() + Send + 'static) -> ! {
    lock::register(Hooks {
        relax: || {
            let rounds = RELAXED.this().fetch_add(1, Ordering::Relaxed);
            hal::vcpu_relax(rounds as u32 & 0xff);
        },
        held: || Some(HELD.this()),
    });
    trace::start();
    switch::adopt_idle(Task::adopt("idle"));
    hal::vcpu_start(further);
    if crate::spawn("reaper", reaper::run).is_none() || crate::spawn("init", first).is_none() {
        panic!("no memory for the first task");
    }
    idle()
}

fn further() -> ! {
    trace::start();
    switch::adopt_idle(Task::adopt("idle"));
    idle()
}

fn idle() -> ! {
    let here = 1u64 << hal::vcpu_current();
    loop {
        device::serve();
        timer::run();
        if let Some(task) = queue::next() {
            switch::run_from_idle(task);
            continue;
        }
        // Say that this vCPU is idle, then look once more: whoever enqueues after the look sees
        // it and kicks.
        IDLE.fetch_or(here, Ordering::SeqCst);
        if !queue::work_anywhere() {
            let all = u64::MAX >> (64 - hal::vcpu_count());
            let others_busy = IDLE.load(Ordering::Relaxed) & all != all;
            let mut deadline = timer::next();
            if others_busy {
                deadline = deadline.min(hal::monotonic() + LOOK_AROUND);
            }
            trace::record(Event::Idle, deadline, 0);
            hal::vcpu_wait(deadline);
        }
        IDLE.fetch_and(!here, Ordering::SeqCst);
    }
}

//! Switching between tasks, and running a program.

use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use hal::{PerCpu, UserExit, per_cpu};
use trace::Event;

use crate::task::{Entry, Task};
use crate::{device, queue, reaper, task, timer};

/// How long a program runs while others wait, in nanoseconds.
const SLICE: u64 = 4_000_000;

/// What becomes of the task that was switched away from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// It sleeps until somebody wakes it.
    Park,
    /// It waits for its next turn.
    Requeue,
    /// It waits on another vCPU.
    Move,
    /// It is a vCPU's idle task, which is in no queue.
    Idle,
    /// It never runs again.
    Exit,
}

struct Cpu {
    current: UnsafeCell<Option<Arc<Task>>>,
    idle: UnsafeCell<Option<Arc<Task>>>,
    /// The task that was switched away from, until the next one has taken note.
    previous: UnsafeCell<Option<(Arc<Task>, After)>>,
    /// When the running task got the vCPU.
    since: AtomicU64,
    /// Switches so far.
    switches: AtomicU64,
    /// Identity of the running task, for other vCPUs.
    current_id: AtomicU64,
}

// SAFETY: the cells of a vCPU are used by code on that vCPU only, between two yield points.
unsafe impl Sync for Cpu {}

static CPUS: PerCpu<Cpu> = per_cpu!(Cpu {
    current: UnsafeCell::new(None),
    idle: UnsafeCell::new(None),
    previous: UnsafeCell::new(None),
    since: AtomicU64::new(0),
    switches: AtomicU64::new(0),
    current_id: AtomicU64::new(0),
});

/// Calls `with` with the running task.
#[inline]
pub(crate) fn with_current<T>(with: impl FnOnce(&Arc<Task>) -> T) -> T {
    // SAFETY: this vCPU's; a switch replaces it only when this task no longer runs, and what
    // `with` does on the way (an activation, a copy) keeps the task current.
    let current = unsafe { &*CPUS.this().current.get() };
    match current {
        Some(task) => with(task),
        None => panic!("no task runs on this vCPU yet"),
    }
}

/// The identity of the running task; 0 for idle ones and before there are tasks.
#[inline]
pub(crate) fn current_id() -> u64 {
    CPUS.this().current_id.load(Ordering::Relaxed)
}

/// Whether a task runs on a vCPU right now.
pub(crate) fn runs_on(task: &Task, vcpu: usize) -> bool {
    CPUS.of(vcpu).current_id.load(Ordering::SeqCst) == task.id
}

/// Switches between tasks so far, on all vCPUs.
pub fn switch_count() -> u64 {
    (0..hal::vcpu_count()).map(|vcpu| CPUS.of(vcpu).switches.load(Ordering::Relaxed)).sum()
}

/// Nanoseconds of the task's present run; 0 when it does not run.
pub(crate) fn present_run(task: &Task) -> u64 {
    let vcpu = task.vcpu.load(Ordering::Acquire);
    let since = CPUS.of(vcpu).since.load(Ordering::Relaxed);
    if runs_on(task, vcpu) { hal::monotonic().saturating_sub(since) } else { 0 }
}

/// Makes the running code this vCPU's idle task.
pub(crate) fn adopt_idle(idle: Arc<Task>) {
    let cpu = CPUS.this();
    // SAFETY: this vCPU's, before any switch.
    unsafe {
        *cpu.current.get() = Some(Arc::clone(&idle));
        *cpu.idle.get() = Some(idle);
    }
}

/// Sleeps until [`Task::unpark`]. May return early; callers look again at what they wait for.
pub fn park() {
    lock::assert_none_held();
    let notified = with_current(|task| task.parking.take());
    if !notified {
        switch_away(After::Park);
    }
}

/// Sleeps until [`Task::unpark`] or the deadline (`u64::MAX`: none). May return early.
pub fn park_until(deadline: u64) {
    if deadline == u64::MAX {
        return park();
    }
    let timer = timer::wake_at(deadline, task::current());
    park();
    timer::cancel(timer);
}

/// Lets others run first.
pub fn yield_now() {
    lock::assert_none_held();
    if queue::waiting_here() > 0 || queue::work_anywhere() {
        switch_away(After::Requeue);
    }
}

/// Moves the running task to a vCPU that its affinity allows.
pub fn move_away() {
    lock::assert_none_held();
    switch_away(After::Move);
}

/// Ends the running task.
pub fn exit() -> ! {
    lock::assert_none_held();
    trace::record(Event::TaskExit, current_id(), 0);
    task::set_space(None);
    switch_away(After::Exit);
    panic!("a task ran on after its end");
}

/// Switches to the idle task's successor, or from the idle task to `next`.
pub(crate) fn run_from_idle(next: Arc<Task>) {
    switch_to(next, After::Idle);
}

fn switch_away(after: After) {
    // SAFETY: this vCPU's; set before the first task runs.
    let idle = unsafe { &*CPUS.this().idle.get() };
    let next = queue::next();
    match (next, idle) {
        (Some(next), _) => switch_to(next, after),
        // Nobody else wants the vCPU: go on.
        (None, _) if after == After::Requeue => {}
        (None, Some(idle)) => switch_to(Arc::clone(idle), after),
        (None, None) => panic!("no idle task"),
    }
}

fn switch_to(next: Arc<Task>, after: After) {
    let cpu = CPUS.this();
    let now = hal::monotonic();
    let (save, resume) = with_current(|current| {
        trace::record(Event::Switch, current.id, next.id);
        current.save_context();
        let ran = now.saturating_sub(cpu.since.load(Ordering::Relaxed));
        current.ran.fetch_add(ran, Ordering::Relaxed);
        current.switches[usize::from(after != After::Park)].fetch_add(1, Ordering::Relaxed);
        let burst = current.burst.load(Ordering::Relaxed);
        current.burst.store((burst * 3 + ran) / 4, Ordering::Relaxed);
        (current.stack_pointer.get(), next.stack_pointer.get())
    });
    next.vcpu.store(hal::vcpu_current(), Ordering::Release);
    cpu.current_id.store(next.id, Ordering::SeqCst);
    cpu.since.store(now, Ordering::Relaxed);
    cpu.switches.fetch_add(1, Ordering::Relaxed);
    // SAFETY: this vCPU's; `next` came from a queue, so nobody else runs it, and its registers
    // are saved, since only `finish` puts a task where it can be found.
    unsafe {
        let current = (*cpu.current.get()).replace(next);
        *cpu.previous.get() = current.map(|task| (task, after));
        arch::switch_stacks(save, *resume, 0);
    }
    finish();
}

/// The first steps of a task that was switched to: the previous one is off its stack now.
fn finish() {
    // SAFETY: this vCPU's, set by the switch.
    let previous = unsafe { (*CPUS.this().previous.get()).take() };
    match previous {
        Some((task, After::Park)) => {
            if task.parking.commit() {
                drop(task);
            } else {
                queue::requeue(task);
            }
        }
        Some((task, After::Requeue | After::Move)) => queue::requeue(task),
        Some((task, After::Exit)) => reaper::take(task),
        Some((task, After::Idle)) => drop(task),
        None => {}
    }
    // Making another space active may move this stack to another host thread, but not to
    // another vCPU.
    with_current(|task| task.activate_space());
}

/// The first function on a task's stack.
pub(crate) extern "C" fn first(_carry: usize, _argument: usize) -> ! {
    finish();
    let task = with_current(Arc::as_ptr);
    // SAFETY: a task that runs is kept by its vCPU.
    let task = unsafe { &*task };
    match (task.take_entry(), task.extension()) {
        (Some(Entry::Once(entry)), _) => entry(),
        (Some(Entry::Extension(entry)), Some(extension)) => entry(extension),
        _ => {}
    }
    exit()
}

/// Runs the program of the running task until it needs the kernel. The vCPU's timer ends user
/// mode when a timer expires or, with others waiting, at the end of the slice.
#[inline]
pub fn run_user() -> UserExit {
    let deadline = if queue::waiting_here() > 0 {
        CPUS.this().since.load(Ordering::Relaxed).saturating_add(SLICE).min(timer::next())
    } else {
        timer::next()
    };
    hal::vcpu_timer(deadline);
    task::context().run()
}

/// What follows [`UserExit::Interrupted`]: devices are served and expired timers run, and others, if
/// the slice is over.
pub fn preempt() {
    device::serve();
    timer::run();
    let now = hal::monotonic();
    let since = CPUS.this().since.load(Ordering::Relaxed);
    if queue::waiting_here() > 0 && now >= since.saturating_add(SLICE) {
        switch_away(After::Requeue);
    }
}

//! Tasks: run queues, switching, sleeping and waking, timers, sleeping locks.
//!
//! - A task has a kernel stack and runs until it parks, yields or exits: kernel code is not
//!   preempted. User mode is: it ends at the end of its slice when others wait.
//! - Waking is sticky: [`Task::unpark`] on a task that is not parked makes its next [`park`]
//!   return at once. Waiters therefore check their condition in a loop, and nothing is lost.
//! - Every vCPU has a run queue; an idle one steals from others. A woken task goes to the
//!   waker's queue, where hand-offs are cheapest; an idle vCPU is told when that would delay
//!   work that could run at once.
//! - A task that runs a program has its registers and its address space here, so that a switch
//!   can save the one and activate the other.
//!
//! Refused: priorities (all tasks are equal) and switching while a spin lock is held (checked in
//! debug builds).
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod device;
mod idle;
mod mutex;
mod queue;
mod reaper;
mod switch;
mod task;
mod timer;
mod wait;

pub use device::on_device_event;
pub use idle::start;
pub use mutex::{Mutex, MutexGuard};
pub use switch::{exit, move_away, park, park_until, preempt, run_user, switch_count, yield_now};
pub use task::{
    ContextGuard, Extension, Task, all, context, current, deepest_stack, measure_stacks, set_space,
    spawn, spawn_user, try_each,
};
pub use timer::{Expire, Timer};
pub use wait::WaitQueue;

/// Ranks of the scheduler's locks; see [`lock::Rank`].
mod rank {
    use lock::Rank;

    pub const WAIT_QUEUE: Rank = Rank::new(180, "wait queue");
    pub const REAPER: Rank = Rank::new(185, "ended tasks");
    pub const TASKS: Rank = Rank::new(190, "task list");
    pub const TIMERS: Rank = Rank::new(200, "timers");
    pub const RUN_QUEUE: Rank = Rank::new(210, "run queue");
    pub const SPACE: Rank = Rank::new(220, "task's address space");
}

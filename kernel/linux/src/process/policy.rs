//! Scheduling policies and priorities. All tasks have one priority here: what a program asks for
//! is checked, remembered and reported, but changes nothing.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use errno::Errno;

use super::by_tid;
use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::user;

const SCHED_OTHER: u32 = 0;
const SCHED_FIFO: u32 = 1;
const SCHED_RR: u32 = 2;
const SCHED_BATCH: u32 = 3;
const SCHED_IDLE: u32 = 5;
const SCHED_DEADLINE: u32 = 6;
const SCHED_RESET_ON_FORK: u32 = 0x4000_0000;

/// What a thread asked for.
#[derive(Default)]
pub struct Policy {
    policy: AtomicU32,
    priority: AtomicU32,
    io_priority: AtomicU32,
    nice: AtomicU32,
}

impl Policy {
    /// Nice value, -20 to 19.
    pub fn nice(&self) -> i32 {
        self.nice.load(Ordering::Relaxed) as i32
    }
}

fn target(thread: &Thread, tid: u64) -> Result<Option<Arc<Thread>>> {
    match tid as i32 {
        tid if tid < 0 => fail(Errno::EINVAL),
        0 => Ok(None),
        tid if tid as u32 == thread.tid() => Ok(None),
        tid => Ok(Some(by_tid(tid as u32).ok_or(Errno::ESRCH)?)),
    }
}

fn with_policy<T>(thread: &Thread, tid: u64, with: impl FnOnce(&Policy) -> T) -> Result<T> {
    Ok(match target(thread, tid)? {
        Some(other) => with(&other.policy),
        None => with(&thread.policy),
    })
}

/// Highest and lowest priority of a policy.
fn priorities(policy: u64) -> Result<(u32, u32)> {
    match policy as u32 {
        SCHED_FIFO | SCHED_RR => Ok((99, 1)),
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE => Ok((0, 0)),
        _ => fail(Errno::EINVAL),
    }
}

/// `sched_get_priority_max(2)`.
pub fn sched_get_priority_max(_thread: &Thread, [policy, ..]: [u64; 6]) -> Result {
    priorities(policy).map(|(highest, _)| u64::from(highest))
}

/// `sched_get_priority_min(2)`.
pub fn sched_get_priority_min(_thread: &Thread, [policy, ..]: [u64; 6]) -> Result {
    priorities(policy).map(|(_, lowest)| u64::from(lowest))
}

/// `sched_getscheduler(2)`.
pub fn sched_getscheduler(thread: &Thread, [tid, ..]: [u64; 6]) -> Result {
    with_policy(thread, tid, |policy| u64::from(policy.policy.load(Ordering::Relaxed)))
}

/// `sched_getparam(2)`.
pub fn sched_getparam(thread: &Thread, [tid, parameters, ..]: [u64; 6]) -> Result {
    if parameters == 0 {
        return fail(Errno::EINVAL);
    }
    let priority = with_policy(thread, tid, |policy| policy.priority.load(Ordering::Relaxed))?;
    user::write(parameters, &priority)?;
    Ok(0)
}

/// `sched_setscheduler(2)`.
pub fn sched_setscheduler(thread: &Thread, [tid, policy, parameters, ..]: [u64; 6]) -> Result {
    if (policy as i32) < 0 || parameters == 0 || (tid as i32) < 0 {
        return fail(Errno::EINVAL);
    }
    let priority: u32 = user::read(parameters)?;
    let kept = policy as u32;
    set(thread, tid, Some(kept), priority)
}

/// `sched_setparam(2)`.
pub fn sched_setparam(thread: &Thread, [tid, parameters, ..]: [u64; 6]) -> Result {
    if parameters == 0 || (tid as i32) < 0 {
        return fail(Errno::EINVAL);
    }
    let priority: u32 = user::read(parameters)?;
    set(thread, tid, None, priority)
}

fn set(thread: &Thread, tid: u64, policy: Option<u32>, priority: u32) -> Result {
    let privileged = thread.has_capability(23);
    let change = |kept: &Policy| {
        let policy = policy.unwrap_or_else(|| kept.policy.load(Ordering::Relaxed));
        let plain = policy & !SCHED_RESET_ON_FORK;
        let (highest, lowest) = match plain {
            SCHED_FIFO | SCHED_RR => (99, 1),
            SCHED_OTHER | SCHED_BATCH | SCHED_IDLE => (0, 0),
            _ => return fail(Errno::EINVAL),
        };
        if !(lowest..=highest).contains(&priority) {
            return fail(Errno::EINVAL);
        }
        if highest > 0 && !privileged {
            return fail(Errno::EPERM);
        }
        kept.policy.store(policy, Ordering::Relaxed);
        kept.priority.store(priority, Ordering::Relaxed);
        Ok(0)
    };
    with_policy(thread, tid, change)?
}

/// `sched_rr_get_interval(2)`.
pub fn sched_rr_get_interval(thread: &Thread, [tid, to, ..]: [u64; 6]) -> Result {
    let policy = with_policy(thread, tid, |policy| policy.policy.load(Ordering::Relaxed))?;
    let slice = if policy & !SCHED_RESET_ON_FORK == SCHED_RR { 100_000_000 } else { 4_000_000 };
    user::write(to, &crate::abi::Timespec::from_nanoseconds(slice))?;
    Ok(0)
}

const PRIO_PROCESS: u64 = 0;
const PRIO_PGRP: u64 = 1;
const PRIO_USER: u64 = 2;

/// The threads that `getpriority` and `setpriority` mean.
fn threads_of(thread: &Thread, which: u64, who: u64) -> Result<alloc::vec::Vec<Arc<Thread>>> {
    let own = || thread.process.thread(thread.tid());
    let threads: alloc::vec::Vec<Arc<Thread>> = match which {
        PRIO_PROCESS if who as u32 == 0 => own().into_iter().collect(),
        PRIO_PROCESS => by_tid(who as u32).into_iter().collect(),
        PRIO_PGRP => {
            let group = if who as u32 == 0 { thread.process.group() } else { who as u32 };
            let members = super::tree().group(group);
            members.iter().flat_map(|process| process.threads()).collect()
        }
        PRIO_USER => {
            let uid = if who as u32 == 0 { thread.identity().uid } else { who as u32 };
            let all: alloc::vec::Vec<_> = super::tree().iter().cloned().collect();
            let own = all.iter().filter(|process| process.identity().uid == uid);
            own.flat_map(|process| process.threads()).collect()
        }
        _ => return fail(Errno::EINVAL),
    };
    if threads.is_empty() { fail(Errno::ESRCH) } else { Ok(threads) }
}

/// `getpriority(2)`: 20 minus the lowest nice value.
pub fn getpriority(thread: &Thread, [which, who, ..]: [u64; 6]) -> Result {
    let threads = threads_of(thread, which, who)?;
    let lowest = threads.iter().map(|thread| thread.policy.nice()).min().unwrap_or(0);
    Ok((20 - lowest) as u64)
}

/// `setpriority(2)`.
pub fn setpriority(thread: &Thread, [which, who, nice, ..]: [u64; 6]) -> Result {
    let nice = (nice as i32).clamp(-20, 19);
    let privileged = thread.has_capability(23);
    for target in threads_of(thread, which, who)? {
        if nice < target.policy.nice() && !privileged {
            return fail(Errno::EACCES);
        }
        target.policy.nice.store(nice as u32, Ordering::Relaxed);
    }
    Ok(0)
}

const IOPRIO_WHO_PROCESS: u64 = 1;

/// `ioprio_get(2)`.
pub fn ioprio_get(thread: &Thread, [which, who, ..]: [u64; 6]) -> Result {
    if !(1..=3).contains(&which) {
        return fail(Errno::EINVAL);
    }
    let who = if which == IOPRIO_WHO_PROCESS { who } else { 0 };
    with_policy(thread, who, |policy| u64::from(policy.io_priority.load(Ordering::Relaxed)))
}

/// `ioprio_set(2)`.
pub fn ioprio_set(thread: &Thread, [which, who, value, ..]: [u64; 6]) -> Result {
    let (class, level) = (value >> 13 & 7, value & 0x1fff);
    let valid = match class {
        0 => level == 0,
        1 | 2 => level & 7 == level,
        3 => true,
        _ => false,
    };
    if !(1..=3).contains(&which) || !valid {
        return fail(Errno::EINVAL);
    }
    if class == 1 && !thread.has_capability(21) && !thread.has_capability(23) {
        return fail(Errno::EPERM);
    }
    let who = if which == IOPRIO_WHO_PROCESS { who } else { 0 };
    with_policy(thread, who, |policy| policy.io_priority.store(value as u32, Ordering::Relaxed))?;
    Ok(0)
}

/// `personality(2)`: remembered; only the default one changes how a program runs.
pub fn personality(thread: &Thread, [persona, ..]: [u64; 6]) -> Result {
    let kept = &thread.process.personality;
    let old = kept.load(Ordering::Relaxed);
    if persona as u32 != u32::MAX {
        kept.store(persona & 0xffff_ffff, Ordering::Relaxed);
    }
    Ok(old)
}

//! Scheduling policies and priorities. All tasks have one priority here: what a program asks for
//! is checked, remembered and reported, but changes nothing.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

use errno::Errno;

use super::by_tid;
use crate::abi::Layout;
use crate::error::{Result, fail};
use crate::layout;
use crate::thread::Thread;
use crate::user;

const SCHED_OTHER: u32 = 0;
const SCHED_FIFO: u32 = 1;
const SCHED_RR: u32 = 2;
const SCHED_BATCH: u32 = 3;
const SCHED_IDLE: u32 = 5;
const SCHED_DEADLINE: u32 = 6;
const SCHED_EXT: u32 = 7;
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
    /// What a new thread gets from the one that makes it.
    pub fn inherited(&self) -> Self {
        let value = |from: &AtomicU32| AtomicU32::new(from.load(Ordering::Relaxed));
        let policy = self.policy.load(Ordering::Relaxed);
        if policy & SCHED_RESET_ON_FORK == 0 {
            let [policy, priority] = [&self.policy, &self.priority].map(value);
            let [io_priority, nice] = [&self.io_priority, &self.nice].map(value);
            return Self { policy, priority, io_priority, nice };
        }
        let is_urgent = matches!(policy & !SCHED_RESET_ON_FORK, SCHED_FIFO | SCHED_RR);
        let policy = if is_urgent { SCHED_OTHER } else { policy & !SCHED_RESET_ON_FORK };
        Self {
            policy: AtomicU32::new(policy),
            priority: AtomicU32::new(0),
            io_priority: value(&self.io_priority),
            nice: AtomicU32::new(self.nice().max(0) as u32),
        }
    }

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
        SCHED_OTHER | SCHED_BATCH | SCHED_IDLE | SCHED_DEADLINE | SCHED_EXT => Ok((0, 0)),
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

layout! {
    /// `struct sched_attr`, in its second size.
    pub struct Attributes {
        pub size: u32,
        pub policy: u32,
        pub flags: u64,
        pub nice: i32,
        pub priority: u32,
        pub runtime: u64,
        pub deadline: u64,
        pub period: u64,
        pub clamp_least: u32,
        pub clamp_most: u32,
    }
}

/// Bytes of `struct sched_attr` in its first size, without the clamps.
const FIRST_SIZE: u32 = 48;

/// Flags of `struct sched_attr`.
mod attribute {
    pub const RESET_ON_FORK: u64 = 1;
    pub const KEEP_POLICY: u64 = 8;
    pub const KEEP_PARAMETERS: u64 = 16;
    pub const KNOWN: u64 = 0x7f;
}

/// `sched_getattr(2)`.
pub fn sched_getattr(thread: &Thread, [tid, to, size, flags, ..]: [u64; 6]) -> Result {
    const PAGE: u32 = 4096;
    let size = size as u32;
    let known = (FIRST_SIZE..=PAGE).contains(&size);
    if to == 0 || (tid as i32) < 0 || !known || flags as u32 != 0 {
        return fail(Errno::EINVAL);
    }
    let attributes = with_policy(thread, tid, |kept| {
        let policy = kept.policy.load(Ordering::Relaxed);
        let urgent = matches!(policy & !SCHED_RESET_ON_FORK, SCHED_FIFO | SCHED_RR);
        Attributes {
            size: size.min(Attributes::SIZE as u32),
            policy: policy & !SCHED_RESET_ON_FORK,
            flags: u64::from(policy & SCHED_RESET_ON_FORK != 0),
            nice: if urgent { 0 } else { kept.nice() },
            priority: kept.priority.load(Ordering::Relaxed),
            clamp_most: 1024,
            ..Attributes::default()
        }
    })?;
    let mut bytes = [0; Attributes::SIZE];
    attributes.encode(&mut bytes);
    user::write_bytes(to, &bytes[..attributes.size as usize])?;
    Ok(0)
}

/// `sched_setattr(2)`.
pub fn sched_setattr(thread: &Thread, [tid, from, flags, ..]: [u64; 6]) -> Result {
    if from == 0 || (tid as i32) < 0 || flags as u32 != 0 {
        return fail(Errno::EINVAL);
    }
    let size: u32 = user::read(from)?;
    let size = if size == 0 { FIRST_SIZE } else { size };
    if !(FIRST_SIZE..=4096).contains(&size) {
        user::write(from, &(Attributes::SIZE as u32))?;
        return fail(Errno::E2BIG);
    }
    let mut bytes = user::read_bytes(from, size as usize)?;
    if bytes.iter().skip(Attributes::SIZE).any(|&byte| byte != 0) {
        user::write(from, &(Attributes::SIZE as u32))?;
        return fail(Errno::E2BIG);
    }
    bytes.resize(Attributes::SIZE, 0);
    let wanted = Attributes::decode(&bytes);
    if wanted.flags & !attribute::KNOWN != 0 || (wanted.policy as i32) < 0 {
        return fail(Errno::EINVAL);
    }
    let keep_policy = wanted.flags & attribute::KEEP_POLICY != 0;
    let reset = if wanted.flags & attribute::RESET_ON_FORK != 0 { SCHED_RESET_ON_FORK } else { 0 };
    if wanted.policy & SCHED_RESET_ON_FORK != 0 && !keep_policy {
        return fail(Errno::EINVAL);
    }
    if wanted.flags & attribute::KEEP_PARAMETERS != 0 {
        return with_policy(thread, tid, |_| 0);
    }
    let policy = (!keep_policy).then_some(wanted.policy | reset);
    if matches!(wanted.policy, SCHED_OTHER | SCHED_BATCH) && !keep_policy {
        let nice = wanted.nice.clamp(-20, 19);
        let old = with_policy(thread, tid, Policy::nice)?;
        if nice < old && !thread.has_capability(23) {
            return fail(Errno::EPERM);
        }
        set(thread, tid, policy, wanted.priority)?;
        with_policy(thread, tid, |kept| kept.nice.store(nice as u32, Ordering::Relaxed))?;
        return Ok(0);
    }
    set(thread, tid, policy, wanted.priority)
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

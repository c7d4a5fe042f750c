//! `sched_yield(2)`, affinity, and where a thread runs.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use errno::Errno;

use super::by_tid;
use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::user;

/// `sched_yield(2)`.
pub fn sched_yield(_thread: &Thread, _: [u64; 6]) -> Result {
    sched::yield_now();
    Ok(0)
}

fn task_of(thread: &Thread, tid: u64) -> Result<Arc<sched::Task>> {
    let task = match tid as u32 {
        0 => thread.task(),
        tid => by_tid(tid).ok_or(Errno::ESRCH)?.task(),
    };
    Ok(task.ok_or(Errno::ESRCH)?)
}

pub fn all_vcpus() -> u64 {
    u64::MAX >> (64 - hal::vcpu_count())
}

/// `sched_setaffinity(2)`.
pub fn sched_setaffinity(thread: &Thread, [tid, length, mask, ..]: [u64; 6]) -> Result {
    let task = task_of(thread, tid)?;
    let bytes = user::read_bytes(mask, length.min(128) as usize)?;
    let mut word = [0; 8];
    let used = bytes.len().min(8);
    word[..used].copy_from_slice(&bytes[..used]);
    let wanted = u64::from_le_bytes(word) & all_vcpus();
    if wanted == 0 {
        return fail(Errno::EINVAL);
    }
    task.set_affinity(wanted);
    if wanted & 1 << hal::vcpu_current() == 0 && Arc::ptr_eq(&task, &sched::current()) {
        sched::move_away();
    }
    Ok(0)
}

/// `sched_getaffinity(2)`.
pub fn sched_getaffinity(thread: &Thread, [tid, length, mask, ..]: [u64; 6]) -> Result {
    if length < 8 || !length.is_multiple_of(8) {
        return fail(Errno::EINVAL);
    }
    let task = task_of(thread, tid)?;
    user::write(mask, &(task.affinity() & all_vcpus()))?;
    Ok(8)
}

/// `getcpu(2)`.
pub fn getcpu(_thread: &Thread, [cpu, node, ..]: [u64; 6]) -> Result {
    user::write_if(cpu, &(hal::vcpu_current() as u32))?;
    user::write_if(node, &0u32)?;
    Ok(0)
}

/// `set_tid_address(2)`.
pub fn set_tid_address(thread: &Thread, [address, ..]: [u64; 6]) -> Result {
    thread.clear_on_exit.store(address, Ordering::Relaxed);
    Ok(u64::from(thread.tid()))
}

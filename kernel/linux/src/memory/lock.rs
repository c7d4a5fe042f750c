//! `mlock(2)` and its kin. Nothing is ever swapped; what is locked is counted, limited, and kept
//! from being discarded.

use core::sync::atomic::Ordering;

use errno::Errno;
use hal::{PAGE_SIZE, Range};

use super::{Memory, page_down};
use crate::error::{Result, fail};
use crate::process::Resource;
use crate::thread::Thread;

/// `CAP_IPC_LOCK`.
const CAP_IPC_LOCK: u32 = 14;
const MCL_CURRENT: u64 = 1;
const MCL_FUTURE: u64 = 2;
const MCL_ONFAULT: u64 = 4;

/// How many bytes the caller may lock.
fn limit(thread: &Thread) -> u64 {
    if thread.has_capability(CAP_IPC_LOCK) {
        u64::MAX
    } else {
        thread.process.limits.soft(Resource::LockedMemory) & !(PAGE_SIZE - 1)
    }
}

/// Whether a new mapping of `length` bytes is to be locked, because it is asked for or because
/// all future ones are.
///
/// # Errors
/// `EPERM` if the caller may lock nothing; `EAGAIN` if not so much.
pub fn check_new(
    thread: &Thread,
    memory: &Memory,
    locked: u64,
    length: u64,
    asked: bool,
) -> Result<bool> {
    if asked && limit(thread) == 0 {
        return fail(Errno::EPERM);
    }
    let locks = asked || memory.locks_future.load(Ordering::Relaxed);
    if locks && locked.saturating_add(length) > limit(thread) {
        return fail(Errno::EAGAIN);
    }
    Ok(locks)
}

fn set_locked(thread: &Thread, address: u64, length: u64, locked: bool) -> Result {
    let start = page_down(address);
    // As on Linux, a length that wraps to nothing is nothing.
    let length = length.wrapping_add(address - start).wrapping_add(PAGE_SIZE - 1);
    let length = length & !(PAGE_SIZE - 1);
    let end = start.checked_add(length).ok_or(Errno::EINVAL)?;
    let limit = limit(thread);
    if locked && limit == 0 {
        return fail(Errno::EPERM);
    }
    if start == end {
        return Ok(0);
    }
    let range = Range { start, end };
    let memory = thread.memory();
    let mut areas = memory.areas.lock();
    if locked && areas.locked() - areas.locked_in(range) + length > limit {
        return fail(Errno::ENOMEM);
    }
    if !areas.covers(range) {
        return fail(Errno::ENOMEM);
    }
    areas.update(range, |area| area.locked = locked);
    Ok(0)
}

/// `mlock(2)`.
pub fn mlock(thread: &Thread, [address, length, ..]: [u64; 6]) -> Result {
    set_locked(thread, address, length, true)
}

/// `mlock2(2)`.
pub fn mlock2(thread: &Thread, [address, length, flags, ..]: [u64; 6]) -> Result {
    const ON_FAULT: u64 = 1;
    if flags as u32 as u64 & !ON_FAULT != 0 {
        return fail(Errno::EINVAL);
    }
    set_locked(thread, address, length, true)
}

/// `munlock(2)`.
pub fn munlock(thread: &Thread, [address, length, ..]: [u64; 6]) -> Result {
    set_locked(thread, address, length, false)
}

/// `mlockall(2)`.
pub fn mlockall(thread: &Thread, [flags, ..]: [u64; 6]) -> Result {
    if flags == 0 || flags & !7 != 0 || flags == MCL_ONFAULT {
        return fail(Errno::EINVAL);
    }
    let limit = limit(thread);
    if limit == 0 {
        return fail(Errno::EPERM);
    }
    let memory = thread.memory();
    let mut areas = memory.areas.lock();
    if flags & MCL_CURRENT != 0 {
        if areas.total() > limit {
            return fail(Errno::ENOMEM);
        }
        areas.update(Range { start: 0, end: super::TASK_END }, |area| area.locked = true);
    }
    memory.locks_future.store(flags & MCL_FUTURE != 0, Ordering::Relaxed);
    Ok(0)
}

/// `munlockall(2)`.
pub fn munlockall(thread: &Thread, _: [u64; 6]) -> Result {
    let memory = thread.memory();
    memory.locks_future.store(false, Ordering::Relaxed);
    let whole = Range { start: 0, end: super::TASK_END };
    memory.areas.lock().update(whole, |area| area.locked = false);
    Ok(0)
}

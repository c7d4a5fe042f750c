//! `futex(2)`.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use errno::Errno;
use lock::SpinLock;
use sched::Task;

use crate::abi::Timespec;
use crate::error::{Fail, Result, fail};
use crate::memory::{Content, Memory};
use crate::rank;
use crate::thread::Thread;
use crate::user;

const FUTEX_WAIT: u64 = 0;
const FUTEX_WAKE: u64 = 1;
const FUTEX_REQUEUE: u64 = 3;
const FUTEX_CMP_REQUEUE: u64 = 4;
const FUTEX_WAKE_OP: u64 = 5;
const FUTEX_LOCK_PI: u64 = 6;
const FUTEX_UNLOCK_PI: u64 = 7;
const FUTEX_TRYLOCK_PI: u64 = 8;
const FUTEX_WAIT_BITSET: u64 = 9;
const FUTEX_WAKE_BITSET: u64 = 10;
const FUTEX_LOCK_PI2: u64 = 13;
const PRIVATE: u64 = 128;
const CLOCK_REALTIME: u64 = 256;

const ANY: u32 = u32::MAX;

const WAITERS: u32 = 0x8000_0000;
const OWNER_DIED: u32 = 0x4000_0000;
const TID: u32 = 0x3fff_ffff;

/// What identifies a futex: a word of a process's private memory, or of shared memory.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key {
    space: usize,
    address: u64,
}

/// Somebody who waits on a futex.
struct Waiter {
    task: Arc<Task>,
    key: SpinLock<Key>,
    mask: u32,
    woken: AtomicBool,
    /// For priority-inheriting futexes: the thread's identity.
    tid: u32,
    sequence: AtomicU64,
}

const BUCKETS: usize = 256;

type Bucket = SpinLock<VecDeque<Arc<Waiter>>>;
static BUCKET: [Bucket; BUCKETS] = [const { SpinLock::new(rank::FUTEX, VecDeque::new()) }; BUCKETS];

fn index(key: Key) -> usize {
    let hash = (key.address >> 2 ^ (key.space as u64 >> 6)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 56) as usize % BUCKETS
}

fn key_of(thread: &Thread, address: u64, flags: u64) -> Result<Key> {
    if !address.is_multiple_of(4) {
        return fail(Errno::EINVAL);
    }
    let memory = thread.memory();
    if flags & PRIVATE == 0 {
        shared_key(&memory, address)
    } else {
        Ok(Key { space: Arc::as_ptr(&memory).addr(), address })
    }
}

/// The key of a word that other processes may see at other addresses.
fn shared_key(memory: &Arc<Memory>, address: u64) -> Result<Key> {
    let areas = memory.areas.lock();
    let Some((start, area)) = areas.find(address) else { return fail(Errno::EFAULT) };
    Ok(match &area.content {
        Content::File { file, offset, .. } if area.shared => Key {
            space: Arc::as_ptr(&file.inode).cast::<()>().addr(),
            address: offset + (address - start),
        },
        _ => Key { space: Arc::as_ptr(memory).addr(), address },
    })
}

fn remove(waiter: &Arc<Waiter>) {
    loop {
        let key = *waiter.key.lock();
        let mut bucket = BUCKET[index(key)].lock();
        // It may have been requeued between the two locks.
        if *waiter.key.lock() == key {
            bucket.retain(|other| !Arc::ptr_eq(other, waiter));
            return;
        }
    }
}

/// Waits until it is woken; the waiter is queued already.
fn sleep(thread: &Thread, waiter: &Arc<Waiter>, deadline: u64) -> Result<()> {
    loop {
        if waiter.woken.load(Ordering::SeqCst) {
            return Ok(());
        }
        let late = deadline != u64::MAX && hal::monotonic() >= deadline;
        if late || thread.is_interrupted() {
            remove(waiter);
            // Woken at the last moment: the wake-up must not be lost.
            if waiter.woken.load(Ordering::SeqCst) {
                return Ok(());
            }
            return if late { fail(Errno::ETIMEDOUT) } else { Err(Fail::Restart) };
        }
        sched::park_until(deadline);
    }
}

fn new_waiter(thread: &Thread, key: Key, mask: u32) -> Arc<Waiter> {
    Arc::new(Waiter {
        task: sched::current(),
        key: SpinLock::new(rank::FUTEX_WAITER, key),
        mask,
        woken: AtomicBool::new(false),
        tid: thread.tid(),
        sequence: AtomicU64::new(0),
    })
}

fn wait(
    thread: &Thread,
    key: Key,
    address: u64,
    expected: u32,
    mask: u32,
    deadline: u64,
) -> Result {
    if mask == 0 {
        return fail(Errno::EINVAL);
    }
    // Queue first, look then: a waker that changes the word after the look finds us.
    let waiter = new_waiter(thread, key, mask);
    BUCKET[index(key)].lock().push_back(Arc::clone(&waiter));
    let found = user::read::<u32>(address);
    if found != Ok(expected) {
        remove(&waiter);
        found?;
        // A wake-up that was meant for a waiter that saw its value goes to the next one.
        if waiter.woken.load(Ordering::SeqCst) {
            wake(key, 1, mask);
        }
        return fail(Errno::EAGAIN);
    }
    sleep(thread, &waiter, deadline).map(|()| 0)
}

/// Wakes up to `count` waiters whose mask meets `mask`; gives how many.
fn wake(key: Key, count: u32, mask: u32) -> u32 {
    let mut woken = 0;
    while woken < count {
        let mut bucket = BUCKET[index(key)].lock();
        let found =
            bucket.iter().position(|waiter| *waiter.key.lock() == key && waiter.mask & mask != 0);
        let Some(waiter) = found.and_then(|index| bucket.remove(index)) else { break };
        waiter.woken.store(true, Ordering::SeqCst);
        drop(bucket);
        waiter.task.unpark();
        woken += 1;
    }
    woken
}

/// Wakes one waiter of a word, as at the end of a thread: the word may be shared.
pub fn wake_one(thread: &Thread, address: u64) {
    if let Ok(key) = key_of(thread, address, PRIVATE) {
        wake(key, 1, ANY);
    }
    if let Ok(key) = key_of(thread, address, 0) {
        wake(key, 1, ANY);
    }
}

fn requeue(from: Key, to: Key, wake_count: u32, move_count: u32) -> u64 {
    let woken = wake(from, wake_count, ANY);
    let mut moved = 0;
    while moved < move_count {
        let mut bucket = BUCKET[index(from)].lock();
        let found = bucket.iter().position(|waiter| *waiter.key.lock() == from);
        let Some(waiter) = found.and_then(|index| bucket.remove(index)) else { break };
        *waiter.key.lock() = to;
        drop(bucket);
        BUCKET[index(to)].lock().push_back(waiter);
        moved += 1;
    }
    u64::from(woken + moved)
}

/// Reads, changes and compares a word as `FUTEX_WAKE_OP` asks; gives the comparison's result.
fn operate(address: u64, operation: u32) -> Result<bool> {
    let (code, comparison) = (operation >> 28 & 15, operation >> 24 & 15);
    let sign_extend = |value: u32| (value << 20) as i32 >> 20;
    let (mut argument, compared) = (sign_extend(operation >> 12), sign_extend(operation));
    if code & 8 != 0 {
        argument = 1i32.wrapping_shl(argument as u32 & 31);
    }
    let mut old: u32 = user::read(address)?;
    loop {
        let argument = argument as u32;
        let new = match code & 7 {
            0 => argument,
            1 => old.wrapping_add(argument),
            2 => old | argument,
            3 => old & !argument,
            4 => old ^ argument,
            _ => return fail(Errno::ENOSYS),
        };
        let found = user::compare_exchange(address, old, new)?;
        if found == old {
            break;
        }
        old = found;
    }
    let old = old as i32;
    Ok(match comparison {
        0 => old == compared,
        1 => old != compared,
        2 => old < compared,
        3 => old <= compared,
        4 => old > compared,
        5 => old >= compared,
        _ => return fail(Errno::ENOSYS),
    })
}

fn deadline_of(timeout: u64, absolute: bool, realtime: bool) -> Result<u64> {
    if timeout == 0 {
        return Ok(u64::MAX);
    }
    let time: Timespec = user::read(timeout)?;
    let time = time.nanoseconds().ok_or(Errno::EINVAL)?;
    Ok(match (absolute, realtime) {
        (false, _) => hal::monotonic().saturating_add(time),
        (true, false) => time,
        (true, true) => hal::monotonic().saturating_add(time.saturating_sub(hal::realtime())),
    })
}

/// `futex(2)`.
pub fn futex(
    thread: &Thread,
    [address, operation, value, timeout, address_2, value_3]: [u64; 6],
) -> Result {
    let command = operation & 0x7f;
    let realtime = operation & CLOCK_REALTIME != 0;
    if operation & !(0x7f | PRIVATE | CLOCK_REALTIME) != 0 {
        return fail(Errno::ENOSYS);
    }
    if realtime && !matches!(command, FUTEX_WAIT | FUTEX_WAIT_BITSET | FUTEX_LOCK_PI2) {
        return fail(Errno::ENOSYS);
    }
    let key = || key_of(thread, address, operation);
    let value = value as u32;
    let counts_valid = value as i32 >= 0 && timeout as i32 >= 0;
    match command {
        FUTEX_WAIT => {
            let deadline = deadline_of(timeout, false, false)?;
            let result = wait(thread, key()?, address, value, ANY, deadline);
            // A relative wait does not start again with its full length.
            match result {
                Err(Fail::Restart) if timeout != 0 => Err(Fail::RestartUnlessHandled),
                other => other,
            }
        }
        FUTEX_WAIT_BITSET => {
            let deadline = deadline_of(timeout, true, realtime)?;
            wait(thread, key()?, address, value, value_3 as u32, deadline)
        }
        FUTEX_WAKE => Ok(u64::from(wake(key()?, value.max(1), ANY))),
        FUTEX_WAKE_BITSET => {
            if value_3 as u32 == 0 {
                return fail(Errno::EINVAL);
            }
            Ok(u64::from(wake(key()?, value.max(1), value_3 as u32)))
        }
        FUTEX_REQUEUE | FUTEX_CMP_REQUEUE => {
            if !counts_valid {
                return fail(Errno::EINVAL);
            }
            let (from, to) = (key()?, key_of(thread, address_2, operation)?);
            if command == FUTEX_CMP_REQUEUE && user::read::<u32>(address)? != value_3 as u32 {
                return fail(Errno::EAGAIN);
            }
            Ok(requeue(from, to, value, timeout as u32))
        }
        FUTEX_WAKE_OP => {
            let (first, second) = (key()?, key_of(thread, address_2, operation)?);
            let matched = operate(address_2, value_3 as u32)?;
            let mut woken = wake(first, value.max(1), ANY);
            if matched {
                woken += wake(second, (timeout as u32).max(1), ANY);
            }
            Ok(u64::from(woken))
        }
        FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => {
            let deadline = deadline_of(timeout, true, command == FUTEX_LOCK_PI || realtime)?;
            lock_inheriting(thread, key()?, address, Some(deadline))
        }
        FUTEX_TRYLOCK_PI => lock_inheriting(thread, key()?, address, None),
        FUTEX_UNLOCK_PI => unlock_inheriting(thread, key()?, address),
        _ => fail(Errno::ENOSYS),
    }
}

/// Takes a priority-inheriting lock. All tasks have one priority, so there is none to inherit;
/// what remains is that the kernel hands the lock over.
fn lock_inheriting(thread: &Thread, key: Key, address: u64, deadline: Option<u64>) -> Result {
    loop {
        let word: u32 = user::read(address)?;
        if word & TID == thread.tid() {
            return fail(Errno::EDEADLK);
        }
        if word & TID == 0 {
            let new = word & OWNER_DIED | thread.tid() | word & WAITERS;
            if user::compare_exchange(address, word, new)? == word {
                return Ok(0);
            }
            continue;
        }
        let Some(deadline) = deadline else { return fail(Errno::EAGAIN) };
        if crate::process::by_tid(word & TID).is_none() {
            return fail(Errno::ESRCH);
        }
        let waiter = new_waiter(thread, key, ANY);
        BUCKET[index(key)].lock().push_back(Arc::clone(&waiter));
        if user::compare_exchange(address, word, word | WAITERS)? != word {
            remove(&waiter);
            continue;
        }
        sleep(thread, &waiter, deadline)?;
        // The owner made us the owner.
        if user::read::<u32>(address)? & TID == thread.tid() {
            return Ok(0);
        }
    }
}

fn unlock_inheriting(thread: &Thread, key: Key, address: u64) -> Result {
    loop {
        let word: u32 = user::read(address)?;
        if word & TID != thread.tid() {
            return fail(Errno::EPERM);
        }
        let mut bucket = BUCKET[index(key)].lock();
        let mut waiting = bucket.iter().enumerate().filter(|(_, waiter)| *waiter.key.lock() == key);
        let next = waiting.next().map(|(index, waiter)| (index, waiter.tid));
        let more = waiting.next().is_some();
        drop(waiting);
        let waiter = next.and_then(|(index, _)| bucket.remove(index));
        drop(bucket);
        let new = match (&waiter, more) {
            (None, _) => 0,
            (Some(waiter), false) => waiter.tid,
            (Some(waiter), true) => waiter.tid | WAITERS,
        };
        let exchanged = user::compare_exchange(address, word, new);
        match (exchanged, waiter) {
            (Ok(found), Some(waiter)) if found == word => {
                waiter.woken.store(true, Ordering::SeqCst);
                waiter.sequence.fetch_add(1, Ordering::Relaxed);
                waiter.task.unpark();
                return Ok(0);
            }
            (Ok(found), None) if found == word => return Ok(0),
            (result, waiter) => {
                if let Some(waiter) = waiter {
                    BUCKET[index(key)].lock().push_front(waiter);
                }
                result?;
            }
        }
    }
}

/// `set_robust_list(2)`.
pub fn set_robust_list(thread: &Thread, [head, length, ..]: [u64; 6]) -> Result {
    if length != 24 {
        return fail(Errno::EINVAL);
    }
    thread.robust_list.store(head, Ordering::Relaxed);
    Ok(0)
}

/// `get_robust_list(2)`.
pub fn get_robust_list(thread: &Thread, [tid, head, length, ..]: [u64; 6]) -> Result {
    let value = match tid as u32 {
        0 => thread.robust_list.load(Ordering::Relaxed),
        tid => {
            let target = crate::process::by_tid(tid).ok_or(Errno::ESRCH)?;
            target.robust_list.load(Ordering::Relaxed)
        }
    };
    user::write(length, &24u64)?;
    user::write(head, &value)?;
    Ok(0)
}

/// The longest robust list that is followed, as on Linux.
const ROBUST_LIMIT: usize = 2048;

/// Marks the robust mutexes of a thread that ends, and wakes who waits for them.
pub fn release_robust(thread: &Thread) {
    let head = thread.robust_list.swap(0, Ordering::Relaxed);
    if head == 0 {
        return;
    }
    let Ok([first, offset, pending]) = user::read::<[u64; 3]>(head) else { return };
    let mut entry = first;
    for _ in 0..ROBUST_LIMIT {
        if entry & !1 == head {
            break;
        }
        // Read before the mutex is released: its memory may be gone then.
        let next = user::read::<u64>(entry & !1);
        if entry != pending {
            release_one(thread, (entry & !1).wrapping_add(offset), false);
        }
        let Ok(next) = next else { return };
        entry = next;
    }
    if pending != 0 {
        release_one(thread, (pending & !1).wrapping_add(offset), true);
    }
}

fn release_one(thread: &Thread, address: u64, pending: bool) {
    let Ok(mut word) = user::read::<u32>(address) else { return };
    if pending && word == 0 {
        // Unlocked, but whoever waits was not woken yet.
        return wake_one(thread, address);
    }
    while word & TID == thread.tid() {
        match user::compare_exchange(address, word, word & WAITERS | OWNER_DIED) {
            Ok(found) if found == word => {
                if word & WAITERS != 0 {
                    wake_one(thread, address);
                }
                return;
            }
            Ok(found) => word = found,
            Err(_) => return,
        }
    }
}

//! The memory of other processes: `process_vm_readv(2)` and its kin.

use alloc::sync::Arc;
use alloc::vec;

use errno::Errno;
use hal::{PAGE_SIZE, Range};

use super::Memory;
use crate::error::{Result, fail};
use crate::process::{by_tid, known_process_of, may_trace};
use crate::thread::Thread;
use crate::user::{Buffer, Sink, Source};

/// `CAP_SYS_NICE`.
const CAP_SYS_NICE: u32 = 23;

/// Bytes that are moved at a time.
const CHUNK: usize = 64 << 10;

/// Calls `with` while another process's memory is the active one.
pub fn while_active<T>(thread: &Thread, other: &Memory, with: impl FnOnce() -> T) -> T {
    sched::set_space(Some(Arc::clone(&other.space)));
    let result = with();
    sched::set_space(Some(Arc::clone(&thread.memory().space)));
    result
}

/// The memory that a call means, and the pieces here and there.
fn prepare(
    thread: &Thread,
    [pid, here, here_count, there, there_count, flags]: [u64; 6],
) -> Result<Option<(Arc<Memory>, Buffer, Buffer)>> {
    if flags != 0 {
        return fail(Errno::EINVAL);
    }
    let here = Buffer::from_array(here, here_count)?;
    if here.is_done() {
        return Ok(None);
    }
    let there = Buffer::from_array(there, there_count)?;
    let other = by_tid(pid as u32).ok_or(Errno::ESRCH)?;
    if !may_trace(thread, &other.process) {
        return fail(Errno::EPERM);
    }
    Ok(Some((other.memory(), here, there)))
}

/// Moves bytes by `step(limit)` until one moves fewer than it could, or fails.
fn in_steps(total: u64, mut step: impl FnMut(usize) -> Result<usize>) -> Result {
    let mut done = 0;
    while done < total {
        let limit = CHUNK.min((total - done) as usize);
        match step(limit) {
            Ok(count) => {
                done += count as u64;
                if count < limit {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// `process_vm_readv(2)`.
pub fn process_vm_readv(thread: &Thread, arguments: [u64; 6]) -> Result {
    let Some((other, mut here, mut there)) = prepare(thread, arguments)? else { return Ok(0) };
    let total = here.left().min(there.left());
    let mut bytes = vec![0; CHUNK.min(total as usize)];
    in_steps(total, |limit| {
        let count = while_active(thread, &other, || there.get(&mut bytes[..limit]))?;
        here.put(&bytes[..count])
    })
}

/// `process_vm_writev(2)`.
pub fn process_vm_writev(thread: &Thread, arguments: [u64; 6]) -> Result {
    let Some((other, mut here, mut there)) = prepare(thread, arguments)? else { return Ok(0) };
    let total = here.left().min(there.left());
    let mut bytes = vec![0; CHUNK.min(total as usize)];
    in_steps(total, |limit| {
        let count = here.get(&mut bytes[..limit])?;
        while_active(thread, &other, || there.put(&bytes[..count]))
    })
}

/// `process_madvise(2)`: the advice that it takes concerns only when memory is written out or
/// read in, and nothing ever is.
pub fn process_madvise(
    thread: &Thread,
    [descriptor, array, count, advice, flags, _]: [u64; 6],
) -> Result {
    const WILLNEED: u32 = 3;
    const COLD: u32 = 20;
    const PAGEOUT: u32 = 21;
    const COLLAPSE: u32 = 25;
    if flags as u32 != 0 {
        return fail(Errno::EINVAL);
    }
    let pieces = Buffer::from_array(array, count)?;
    let process = known_process_of(thread, descriptor)?;
    let own = Arc::ptr_eq(&process, &thread.process);
    if !matches!(advice as u32, WILLNEED | COLD | PAGEOUT | COLLAPSE) {
        return fail(Errno::EINVAL);
    }
    if !may_trace(thread, &process) {
        return fail(Errno::EACCES);
    }
    if !own && !thread.has_capability(CAP_SYS_NICE) {
        return fail(Errno::EPERM);
    }
    let Some(other) = process.threads().into_iter().next() else { return fail(Errno::ESRCH) };
    let memory = other.memory();
    let areas = memory.areas.lock();
    let mut done = 0;
    for piece in pieces.pieces() {
        let aligned = piece.base.is_multiple_of(PAGE_SIZE);
        let end = piece.base.checked_add(super::page_up(piece.length)).filter(|_| aligned);
        let problem = match end {
            None => Some(Errno::EINVAL),
            Some(end) if areas.covers(Range { start: piece.base, end }) => None,
            Some(_) => Some(Errno::ENOMEM),
        };
        match problem {
            None => done += piece.length,
            Some(_) if done > 0 => break,
            Some(errno) => return fail(errno),
        }
    }
    Ok(done)
}

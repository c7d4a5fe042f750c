//! Waiting for signals.

use core::sync::atomic::Ordering;

use errno::Errno;

use super::calls::SET_LEN;
use super::{Info, Set};
use crate::abi::Timespec;
use crate::error::{Fail, Result, fail};
use crate::thread::Thread;
use crate::user;

/// Sleeps until a signal is to be delivered.
fn wait_for_delivery(thread: &Thread) -> Result {
    let queue = sched::WaitQueue::new();
    match thread.wait_until(&queue, u64::MAX, || None::<()>) {
        Err(Fail::Restart) => Err(Fail::RestartUnlessHandled),
        _ => fail(Errno::EINTR),
    }
}

/// `pause(2)`.
pub fn pause(thread: &Thread, _: [u64; 6]) -> Result {
    wait_for_delivery(thread)
}

/// Blocks other signals for the length of a wait; the old mask comes back after the handlers
/// that end it have been called, or at once when none does.
pub fn with_mask<T>(
    thread: &Thread,
    mask: Option<Set>,
    wait: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let Some(mask) = mask else { return wait() };
    let old = thread.signals.mask();
    thread.signals.set_mask(mask);
    thread.attention.store(true, Ordering::SeqCst);
    let result = wait();
    if matches!(result, Err(Fail::Restart | Fail::RestartUnlessHandled)) {
        *thread.signals.saved_mask.lock() = Some(old);
    } else {
        thread.signals.set_mask(old);
        thread.attention.store(true, Ordering::SeqCst);
    }
    result
}

/// `rt_sigsuspend(2)`.
pub fn rt_sigsuspend(thread: &Thread, [mask, length, ..]: [u64; 6]) -> Result {
    if length != SET_LEN {
        return fail(Errno::EINVAL);
    }
    let mask: Set = user::read(mask)?;
    with_mask(thread, Some(mask), || wait_for_delivery(thread))
}

/// Takes a pending signal of the set, blocked or not.
pub fn take_waiting(thread: &Thread, set: Set) -> Option<(u8, Info)> {
    let own = thread.signals.pending.lock().take(set);
    let taken = own.or_else(|| thread.process.signals.pending.lock().take(set));
    if let Some((_, info)) = &taken {
        thread.process.timers.told(info);
    }
    taken
}

/// `rt_sigtimedwait(2)`.
pub fn rt_sigtimedwait(thread: &Thread, [set, info, timeout, length, ..]: [u64; 6]) -> Result {
    if length != SET_LEN {
        return fail(Errno::EINVAL);
    }
    let set: Set = user::read::<Set>(set)? & !super::UNSTOPPABLE;
    let deadline = if timeout == 0 {
        u64::MAX
    } else {
        let timeout: Timespec = user::read(timeout)?;
        hal::monotonic().saturating_add(timeout.nanoseconds().ok_or(Errno::EINVAL)?)
    };
    thread.signals.waited.store(set, Ordering::SeqCst);
    let queue = sched::WaitQueue::new();
    let taken = queue.wait_until(deadline, || {
        if let Some(taken) = take_waiting(thread, set) {
            return Some(Ok(taken));
        }
        thread.is_interrupted().then_some(Err(Fail::Errno(Errno::EINTR)))
    });
    thread.signals.waited.store(0, Ordering::SeqCst);
    match taken.transpose()? {
        None => fail(Errno::EAGAIN),
        Some((signal, information)) => {
            if info != 0 {
                user::write_bytes(info, &information.encode(signal))?;
            }
            Ok(u64::from(signal))
        }
    }
}

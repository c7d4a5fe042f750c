//! System calls that set up signals.

use core::sync::atomic::Ordering;

use errno::Errno;

use super::action::RawAction;
use super::frame::is_on;
use super::number::{LAST, SIGKILL, SIGSTOP};
use super::{Action, AlternateStack, Set, set_of};
use crate::error::{Result, fail};
use crate::layout;
use crate::thread::Thread;
use crate::user;

/// Bytes of a signal set.
pub const SET_LEN: u64 = 8;

/// `rt_sigaction(2)`.
pub fn rt_sigaction(thread: &Thread, [signal, new, old, length, ..]: [u64; 6]) -> Result {
    if length != SET_LEN {
        return fail(Errno::EINVAL);
    }
    let signal = u8::try_from(signal as u32).ok().filter(|signal| (1..=LAST).contains(signal));
    let signal = signal.ok_or(Errno::EINVAL)?;
    let signals = &thread.process.signals;
    let current = signals.action(signal);
    if new != 0 {
        if signal == SIGKILL || signal == SIGSTOP {
            return fail(Errno::EINVAL);
        }
        let action = Action::from_raw(user::read::<RawAction>(new)?);
        signals.set_action(signal, action);
        if action.ignores(signal) {
            signals.pending.lock().discard(set_of(signal));
            for other in thread.process.threads() {
                other.signals.pending.lock().discard(set_of(signal));
            }
        }
    }
    user::write_if(old, &current.to_raw())?;
    Ok(0)
}

/// `rt_sigprocmask(2)`.
pub fn rt_sigprocmask(thread: &Thread, [how, new, old, length, ..]: [u64; 6]) -> Result {
    if length != SET_LEN {
        return fail(Errno::EINVAL);
    }
    let current = thread.signals.mask();
    if new != 0 {
        let set: Set = user::read(new)?;
        let mask = match how as u32 {
            0 => current | set,
            1 => current & !set,
            2 => set,
            _ => return fail(Errno::EINVAL),
        };
        thread.signals.set_mask(mask);
        thread.attention.store(true, Ordering::SeqCst);
    }
    user::write_if(old, &current)?;
    Ok(0)
}

/// `rt_sigpending(2)`.
pub fn rt_sigpending(thread: &Thread, [to, length, ..]: [u64; 6]) -> Result {
    if length > SET_LEN {
        return fail(Errno::EINVAL);
    }
    let pending = thread.signals.pending_set() | thread.process.signals.pending_set();
    let blocked = pending & thread.signals.mask();
    user::write_bytes(to, &blocked.to_le_bytes()[..length as usize])?;
    Ok(0)
}

layout! {
    /// `stack_t`.
    pub struct RawStack {
        pub base: u64,
        pub flags: u32,
        pub padding: u32,
        pub size: u64,
    }
}

/// `sigaltstack(2)`.
pub fn sigaltstack(thread: &Thread, [new, old, ..]: [u64; 6]) -> Result {
    const SS_ONSTACK: u32 = 1;
    const SS_DISABLE: u32 = 2;
    const SS_AUTODISARM: u32 = 1 << 31;
    const SMALLEST: u64 = 2048;
    let pointer = sched::context().registers.rsp;
    let current = *thread.signals.stack.lock();
    let on = is_on(&current, pointer);
    if new != 0 {
        let raw: RawStack = user::read(new)?;
        if on {
            return fail(Errno::EPERM);
        }
        let mode = raw.flags & !SS_AUTODISARM;
        let stack = match mode {
            SS_DISABLE => AlternateStack::default(),
            0 | SS_ONSTACK if raw.size < SMALLEST => return fail(Errno::ENOMEM),
            0 | SS_ONSTACK => AlternateStack {
                base: raw.base,
                size: raw.size,
                auto_disarm: raw.flags & SS_AUTODISARM != 0,
            },
            _ => return fail(Errno::EINVAL),
        };
        *thread.signals.stack.lock() = stack;
    }
    let mode = if current.size == 0 {
        SS_DISABLE
    } else if on {
        SS_ONSTACK
    } else {
        0
    };
    let flags = mode | if current.auto_disarm { SS_AUTODISARM } else { 0 };
    let raw = RawStack { base: current.base, flags, padding: 0, size: current.size };
    user::write_if(old, &raw)?;
    Ok(0)
}

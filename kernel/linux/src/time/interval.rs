//! Interval timers: `setitimer(2)`, `alarm(2)`.

use alloc::sync::{Arc, Weak};

use errno::Errno;
use lock::SpinLock;
use sched::{Expire, Timer};

use crate::abi::Timeval;
use crate::error::Result;
use crate::layout;
use crate::process::Process;
use crate::rank;
use crate::signal::number::{SIGALRM, SIGPROF, SIGVTALRM};
use crate::signal::{self, Info};
use crate::thread::Thread;
use crate::user;

layout! {
    /// `struct itimerval`.
    pub struct RawInterval {
        pub interval: Timeval,
        pub value: Timeval,
    }
}

/// What a timer counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// Time that passes.
    Real,
    /// Processor time of the process.
    Processor,
}

#[derive(Default)]
struct State {
    /// When it expires, on its clock; 0: never.
    expires: u64,
    /// Nanoseconds between expirations; 0: once.
    interval: u64,
    armed: Option<Timer>,
    /// Counts settings, so that an expiration that was overtaken does nothing.
    setting: u64,
}

/// One interval timer.
struct Interval {
    clock: Clock,
    signal: u8,
    state: SpinLock<State>,
}

/// The three interval timers of a process.
pub struct Intervals([Arc<Interval>; 3]);

impl Default for Intervals {
    fn default() -> Self {
        let timer = |clock, signal| {
            let state = SpinLock::new(rank::PROCESS_TIMERS, State::default());
            Arc::new(Interval { clock, signal, state })
        };
        Self([
            timer(Clock::Real, SIGALRM),
            timer(Clock::Processor, SIGVTALRM),
            timer(Clock::Processor, SIGPROF),
        ])
    }
}

/// The least wait of a timer on processor time: how exact it is.
const GRAIN: u64 = 1_000_000;

/// An expiration to come.
struct Expiration {
    process: Weak<Process>,
    timer: Arc<Interval>,
    setting: u64,
}

impl Expire for Expiration {
    fn expire(self: Arc<Self>, _now: u64) {
        let Some(process) = self.process.upgrade() else { return };
        let now = self.timer.now(&process);
        let mut state = self.timer.state.lock();
        if state.setting != self.setting {
            return;
        }
        let due = now >= state.expires;
        if due {
            state.expires = match state.interval {
                0 => 0,
                interval => {
                    let missed = (now - state.expires) / interval;
                    state.expires + (missed + 1) * interval
                }
            };
        }
        let next = state.expires;
        drop(state);
        if due {
            signal::send_to_process(&process, self.timer.signal, Info::kernel());
        }
        if next != 0 {
            self.timer.arm(&process, self.setting, next, now);
        }
    }
}

impl Interval {
    fn now(&self, process: &Process) -> u64 {
        match self.clock {
            Clock::Real => hal::monotonic(),
            Clock::Processor => process.cpu_time(),
        }
    }

    fn arm(self: &Arc<Self>, process: &Arc<Process>, setting: u64, expires: u64, now: u64) {
        let wait = match self.clock {
            Clock::Real => expires.saturating_sub(now),
            Clock::Processor => expires.saturating_sub(now).max(GRAIN),
        };
        let deadline = hal::monotonic().saturating_add(wait);
        let expiration = Arc::new(Expiration {
            process: Arc::downgrade(process),
            timer: Arc::clone(self),
            setting,
        });
        let armed = Timer::new(deadline, expiration);
        let mut state = self.state.lock();
        if state.setting == setting {
            state.armed = Some(armed);
        }
    }

    /// Sets it (both 0: off); gives the time that was left and the interval.
    fn set(self: &Arc<Self>, process: &Arc<Process>, value: u64, interval: u64) -> (u64, u64) {
        let now = self.now(process);
        let mut state = self.state.lock();
        let old = (remaining(state.expires, now), state.interval);
        let armed = state.armed.take();
        state.setting += 1;
        state.expires = if value == 0 { 0 } else { now.saturating_add(value) };
        state.interval = interval;
        let (setting, expires) = (state.setting, state.expires);
        drop(state);
        if let Some(armed) = armed {
            armed.cancel();
        }
        if expires != 0 {
            self.arm(process, setting, expires, now);
        }
        old
    }
}

fn remaining(expires: u64, now: u64) -> u64 {
    // One that is due but has not been served yet is still set.
    if expires == 0 { 0 } else { expires.saturating_sub(now).max(1000) }
}

impl Intervals {
    /// Switches all of them off.
    pub fn clear(&self) {
        for timer in &self.0 {
            let mut state = timer.state.lock();
            state.setting += 1;
            state.expires = 0;
            let armed = state.armed.take();
            drop(state);
            if let Some(armed) = armed {
                armed.cancel();
            }
        }
    }

    fn of(&self, which: u64) -> Result<&Arc<Interval>> {
        Ok(self.0.get(which as u32 as usize).ok_or(Errno::EINVAL)?)
    }
}

/// `setitimer(2)`.
pub fn setitimer(thread: &Thread, [which, new, old, ..]: [u64; 6]) -> Result {
    let process = &thread.process;
    let raw: RawInterval = if new == 0 { RawInterval::default() } else { user::read(new)? };
    let value = raw.value.nanoseconds().ok_or(Errno::EINVAL)?;
    let interval = raw.interval.nanoseconds().ok_or(Errno::EINVAL)?;
    let before = process.timers.intervals.of(which)?.set(process, value, interval);
    user::write_if(old, &raw_of(before))?;
    Ok(0)
}

fn raw_of((value, interval): (u64, u64)) -> RawInterval {
    RawInterval {
        interval: Timeval::from_nanoseconds(interval),
        value: Timeval::from_nanoseconds(value),
    }
}

/// `getitimer(2)`.
pub fn getitimer(thread: &Thread, [which, to, ..]: [u64; 6]) -> Result {
    let process = &thread.process;
    let timer = process.timers.intervals.of(which)?;
    let now = timer.now(process);
    let state = timer.state.lock();
    let left = (remaining(state.expires, now), state.interval);
    drop(state);
    user::write(to, &raw_of(left))?;
    Ok(0)
}

/// `alarm(2)`: gives the seconds that were left, rounded up so that a set timer is never 0.
pub fn alarm(thread: &Thread, [seconds, ..]: [u64; 6]) -> Result {
    const SECOND: u64 = crate::abi::SECOND;
    let process = &thread.process;
    let value = (seconds & 0xffff_ffff).saturating_mul(SECOND);
    let (left, _) = process.timers.intervals.of(0)?.set(process, value, 0);
    let rounded = (left + SECOND / 2) / SECOND;
    if left > 0 && rounded == 0 { Ok(1) } else { Ok(rounded) }
}

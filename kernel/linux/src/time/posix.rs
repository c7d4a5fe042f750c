//! POSIX timers: `timer_create(2)` and its kin.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};

use errno::Errno;
use lock::SpinLock;
use sched::{Expire, Timer};

use super::{clock, read_clock};
use crate::abi::Timespec;
use crate::error::{Result, fail};
use crate::layout;
use crate::process::Process;
use crate::rank;
use crate::signal::number::{LAST, SIGALRM};
use crate::signal::{self, Info};
use crate::thread::Thread;
use crate::user;

layout! {
    /// `struct itimerspec`.
    pub struct RawTimer {
        pub interval: Timespec,
        pub value: Timespec,
    }

    /// `struct sigevent`, as far as it is known.
    pub struct RawEvent {
        pub value: u64,
        pub signal: i32,
        pub notify: i32,
        pub thread: i32,
        pub padding: i32,
    }
}

/// The most timers of a process.
const MAX_TIMERS: usize = 4096;

/// How an expiration is told.
#[derive(Clone, Copy)]
enum Notice {
    None,
    Process(u8),
    Thread(u8, u32),
}

#[derive(Default)]
struct State {
    expires: u64,
    interval: u64,
    armed: Option<Timer>,
    setting: u64,
    /// Overruns that the last signal told of.
    told: u32,
}

/// One timer.
struct PosixTimer {
    identity: u32,
    clock: u64,
    notice: Notice,
    value: u64,
    state: SpinLock<State>,
}

/// The timers of a process.
pub struct PosixTimers(SpinLock<(BTreeMap<u32, Arc<PosixTimer>>, u32)>);

impl Default for PosixTimers {
    fn default() -> Self {
        Self(SpinLock::new(rank::TIMER_TABLE, (BTreeMap::new(), 0)))
    }
}

struct Expiration {
    process: Weak<Process>,
    timer: Arc<PosixTimer>,
    setting: u64,
}

/// The time of a timer's clock; timers count what passes on it.
fn now(process: &Process, number: u64) -> u64 {
    match number {
        clock::REALTIME | clock::REALTIME_ALARM | clock::TAI => hal::realtime(),
        clock::PROCESS | clock::THREAD => process.cpu_time(),
        _ => hal::monotonic(),
    }
}

impl Expire for Expiration {
    fn expire(self: Arc<Self>, _now: u64) {
        let Some(process) = self.process.upgrade() else { return };
        let now = now(&process, self.timer.clock);
        let mut state = self.timer.state.lock();
        if state.setting != self.setting {
            return;
        }
        let due = now >= state.expires;
        let mut overruns = 0;
        if due {
            let missed = match state.interval {
                0 => 0,
                interval => (now - state.expires) / interval,
            };
            overruns = u32::try_from(missed).unwrap_or(i32::MAX as u32);
            state.expires = match state.interval {
                0 => 0,
                interval => state.expires + (missed + 1) * interval,
            };
        }
        let next = state.expires;
        drop(state);
        if due {
            self.timer.tell(&process, overruns);
        }
        if next != 0 {
            self.timer.arm(&process, self.setting, next, now);
        }
    }
}

impl PosixTimer {
    fn tell(&self, process: &Arc<Process>, overruns: u32) {
        let info = Info::timer(self.identity, overruns, self.value);
        match self.notice {
            Notice::None => {}
            Notice::Process(number) => signal::send_to_process(process, number, info),
            Notice::Thread(number, tid) => {
                if let Some(thread) = process.thread(tid) {
                    signal::send_to_thread(&thread, number, info);
                }
            }
        }
    }

    fn arm(self: &Arc<Self>, process: &Arc<Process>, setting: u64, expires: u64, now: u64) {
        const GRAIN: u64 = 1_000_000;
        let counts_processor = matches!(self.clock, clock::PROCESS | clock::THREAD);
        let least = if counts_processor { GRAIN } else { 0 };
        let deadline = hal::monotonic().saturating_add(expires.saturating_sub(now).max(least));
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

    fn disarm(&self) {
        let mut state = self.state.lock();
        state.setting += 1;
        state.expires = 0;
        let armed = state.armed.take();
        drop(state);
        if let Some(armed) = armed {
            armed.cancel();
        }
    }

    fn left(&self, process: &Process) -> RawTimer {
        let now = now(process, self.clock);
        let state = self.state.lock();
        let value = if state.expires == 0 { 0 } else { state.expires.saturating_sub(now).max(1) };
        RawTimer {
            interval: Timespec::from_nanoseconds(state.interval),
            value: Timespec::from_nanoseconds(value),
        }
    }
}

impl PosixTimers {
    /// Removes all of them, as `execve(2)` and the end of a process do.
    pub fn clear(&self) {
        let timers = core::mem::take(&mut self.0.lock().0);
        for timer in timers.values() {
            timer.disarm();
        }
    }

    fn find(&self, identity: u64) -> Result<Arc<PosixTimer>> {
        let timers = self.0.lock();
        Ok(timers.0.get(&(identity as u32)).cloned().ok_or(Errno::EINVAL)?)
    }
}

impl super::ProcessTimers {
    /// A signal of a timer was taken, which tells of so many overruns.
    pub fn told(&self, info: &Info) {
        if let Some((identity, overruns)) = info.timer_overruns()
            && let Ok(timer) = self.posix.find(u64::from(identity))
        {
            timer.state.lock().told = overruns;
        }
    }
}

/// `timer_create(2)`.
pub fn timer_create(thread: &Thread, [number, event, to, ..]: [u64; 6]) -> Result {
    const SIGEV_SIGNAL: i32 = 0;
    const SIGEV_NONE: i32 = 1;
    const SIGEV_THREAD_ID: i32 = 4;
    if matches!(number, clock::MONOTONIC_RAW | clock::REALTIME_COARSE | clock::MONOTONIC_COARSE) {
        return fail(Errno::EOPNOTSUPP);
    }
    read_clock(thread, number)?;
    let process = &thread.process;
    let raw = if event == 0 { None } else { Some(user::read::<RawEvent>(event)?) };
    let signal_of = |raw: &RawEvent| {
        u8::try_from(raw.signal)
            .ok()
            .filter(|signal| (1..=LAST).contains(signal))
            .ok_or(Errno::EINVAL)
    };
    let notice = match &raw {
        None => Notice::Process(SIGALRM),
        Some(raw) => match raw.notify {
            SIGEV_SIGNAL => Notice::Process(signal_of(raw)?),
            SIGEV_NONE => Notice::None,
            SIGEV_THREAD_ID => {
                let tid = raw.thread as u32;
                process.thread(tid).ok_or(Errno::EINVAL)?;
                Notice::Thread(signal_of(raw)?, tid)
            }
            _ => return fail(Errno::EINVAL),
        },
    };
    let mut timers = process.timers.posix.0.lock();
    if timers.0.len() >= MAX_TIMERS {
        return fail(Errno::EAGAIN);
    }
    let identity = timers.1;
    timers.1 += 1;
    let timer = Arc::new(PosixTimer {
        identity,
        clock: number,
        notice,
        value: raw.map_or(u64::from(identity), |raw| raw.value),
        state: SpinLock::new(rank::PROCESS_TIMERS, State::default()),
    });
    timers.0.insert(identity, timer);
    drop(timers);
    if let Err(error) = user::write(to, &identity) {
        process.timers.posix.0.lock().0.remove(&identity);
        return Err(error);
    }
    Ok(0)
}

/// `timer_settime(2)`.
pub fn timer_settime(thread: &Thread, [identity, options, new, old, ..]: [u64; 6]) -> Result {
    const ABSOLUTE: u64 = 1;
    let process = &thread.process;
    if new == 0 {
        return fail(Errno::EINVAL);
    }
    let raw: RawTimer = user::read(new)?;
    let value = raw.value.nanoseconds().ok_or(Errno::EINVAL)?;
    let interval = raw.interval.nanoseconds().ok_or(Errno::EINVAL)?;
    let timer = process.timers.posix.find(identity)?;
    let before = timer.left(process);
    timer.disarm();
    if value != 0 {
        let now = now(process, timer.clock);
        let expires = if options & ABSOLUTE != 0 { value } else { now.saturating_add(value) };
        let mut state = timer.state.lock();
        state.expires = expires;
        state.interval = interval;
        state.told = 0;
        let setting = state.setting;
        drop(state);
        timer.arm(process, setting, expires, now);
    } else {
        timer.state.lock().interval = interval;
    }
    user::write_if(old, &before)?;
    Ok(0)
}

/// `timer_gettime(2)`.
pub fn timer_gettime(thread: &Thread, [identity, to, ..]: [u64; 6]) -> Result {
    let timer = thread.process.timers.posix.find(identity)?;
    user::write(to, &timer.left(&thread.process))?;
    Ok(0)
}

/// `timer_getoverrun(2)`.
pub fn timer_getoverrun(thread: &Thread, [identity, ..]: [u64; 6]) -> Result {
    let timer = thread.process.timers.posix.find(identity)?;
    let overruns = timer.state.lock().told;
    Ok(u64::from(overruns))
}

/// `timer_delete(2)`.
pub fn timer_delete(thread: &Thread, [identity, ..]: [u64; 6]) -> Result {
    let timer = thread.process.timers.posix.find(identity)?;
    thread.process.timers.posix.0.lock().0.remove(&(identity as u32));
    timer.disarm();
    Ok(0)
}

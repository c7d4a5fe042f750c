//! Clocks, sleeping, processor time.

mod interval;
mod limit;
mod posix;
mod set;

use core::sync::atomic::{AtomicU64, Ordering};

use errno::Errno;

pub use interval::{alarm, getitimer, setitimer};
pub use limit::watch_processor_limit;
pub use posix::{timer_create, timer_delete, timer_getoverrun, timer_gettime, timer_settime};
pub use set::{clock_settime, settimeofday};

use crate::abi::{Layout, SECOND, Timespec, Timeval};
use crate::error::{Fail, Result, fail};
use crate::process::Usage;
use crate::thread::Thread;
use crate::user;

/// Interval and POSIX timers of a process.
#[derive(Default)]
pub struct ProcessTimers {
    intervals: interval::Intervals,
    posix: posix::PosixTimers,
    /// Counts settings of `RLIMIT_CPU`.
    watches: AtomicU64,
}

impl ProcessTimers {
    fn next_watch(&self) -> u64 {
        self.watches.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn current_watch(&self) -> u64 {
        self.watches.load(Ordering::Relaxed)
    }

    /// Switches all of them off.
    pub fn clear(&self) {
        self.intervals.clear();
        self.posix.clear();
    }

    /// Removes the POSIX timers, as `execve(2)` does.
    pub fn clear_posix(&self) {
        self.posix.clear();
    }
}

/// Clocks, by Linux's number.
pub mod clock {
    pub const REALTIME: u64 = 0;
    pub const MONOTONIC: u64 = 1;
    pub const PROCESS: u64 = 2;
    pub const THREAD: u64 = 3;
    pub const MONOTONIC_RAW: u64 = 4;
    pub const REALTIME_COARSE: u64 = 5;
    pub const MONOTONIC_COARSE: u64 = 6;
    pub const BOOTTIME: u64 = 7;
    pub const REALTIME_ALARM: u64 = 8;
    pub const BOOTTIME_ALARM: u64 = 9;
    pub const TAI: u64 = 11;
}

/// The time now, for file times.
pub fn timestamp() -> vfs::Timestamp {
    let now = hal::realtime();
    vfs::Timestamp { seconds: (now / SECOND) as i64, nanoseconds: (now % SECOND) as u32 }
}

/// Reads a clock, in nanoseconds.
pub fn read_clock(thread: &Thread, number: u64) -> Result<u64> {
    match number {
        clock::REALTIME | clock::REALTIME_COARSE | clock::REALTIME_ALARM | clock::TAI => {
            Ok(hal::realtime())
        }
        clock::MONOTONIC
        | clock::MONOTONIC_RAW
        | clock::MONOTONIC_COARSE
        | clock::BOOTTIME
        | clock::BOOTTIME_ALARM => Ok(hal::monotonic()),
        clock::PROCESS => Ok(thread.process.cpu_time()),
        clock::THREAD => Ok(thread.task().map_or(0, |task| task.ran())),
        _ => cpu_clock(thread, number),
    }
}

/// Reads the clock of another process's or thread's processor time, whose number holds the
/// complement of the identity (`clock_getcpuclockid(3)`).
///
/// # Errors
/// `EINVAL` when it is none, or the thread is of another process.
fn cpu_clock(thread: &Thread, number: u64) -> Result<u64> {
    const PER_THREAD: i32 = 4;
    const KINDS: i32 = 3;
    let number = number as i32;
    // The fourth kind is clocks of devices.
    if number >= 0 || number & KINDS == KINDS {
        return fail(Errno::EINVAL);
    }
    let identity = !(number >> 3) as u32;
    if number & PER_THREAD == 0 {
        return match identity {
            0 => Ok(thread.process.cpu_time()),
            pid => Ok(crate::process::by_pid(pid).ok_or(Errno::EINVAL)?.cpu_time()),
        };
    }
    let task = match identity {
        0 => thread.task(),
        tid => thread.process.thread(tid).ok_or(Errno::EINVAL)?.task(),
    };
    Ok(task.map_or(0, |task| task.ran()))
}

/// `clock_gettime(2)`.
pub fn clock_gettime(thread: &Thread, [number, to, ..]: [u64; 6]) -> Result {
    let time = read_clock(thread, number)?;
    user::write(to, &Timespec::from_nanoseconds(time))?;
    Ok(0)
}

/// `clock_getres(2)`.
pub fn clock_getres(thread: &Thread, [number, to, ..]: [u64; 6]) -> Result {
    read_clock(thread, number)?;
    let coarse = matches!(number, clock::REALTIME_COARSE | clock::MONOTONIC_COARSE);
    let resolution = if coarse { 4_000_000 } else { 1 };
    user::write_if(to, &Timespec::from_nanoseconds(resolution))?;
    Ok(0)
}

/// `gettimeofday(2)`.
pub fn gettimeofday(_thread: &Thread, [time, zone, ..]: [u64; 6]) -> Result {
    user::write_if(time, &Timeval::from_nanoseconds(hal::realtime()))?;
    user::write_if(zone, &0u64)?;
    Ok(0)
}

/// `time(2)`.
pub fn time(_thread: &Thread, [to, ..]: [u64; 6]) -> Result {
    let seconds = hal::realtime() / SECOND;
    user::write_if(to, &seconds)?;
    Ok(seconds)
}

fn sleep_until(thread: &Thread, deadline: u64) -> Result<()> {
    let queue = sched::WaitQueue::new();
    thread.wait_until(&queue, deadline, || None::<()>).map(drop)
}

/// `nanosleep(2)`.
pub fn nanosleep(thread: &Thread, [request, remaining, ..]: [u64; 6]) -> Result {
    clock_nanosleep(thread, [clock::MONOTONIC, 0, request, remaining, 0, 0])
}

/// `clock_nanosleep(2)`.
pub fn clock_nanosleep(
    thread: &Thread,
    [number, flags, request, remaining, ..]: [u64; 6],
) -> Result {
    const ABSOLUTE: u64 = 1;
    let now = read_clock(thread, number)?;
    if matches!(
        number,
        clock::THREAD | clock::MONOTONIC_RAW | clock::REALTIME_COARSE | clock::MONOTONIC_COARSE
    ) {
        return fail(Errno::EOPNOTSUPP);
    }
    if flags & !ABSOLUTE != 0 {
        return fail(Errno::EINVAL);
    }
    let time: Timespec = user::read(request)?;
    let wanted = time.nanoseconds().ok_or(Errno::EINVAL)?;
    let wait = if flags & ABSOLUTE != 0 { wanted.saturating_sub(now) } else { wanted };
    let deadline = hal::monotonic().saturating_add(wait);
    match sleep_until(thread, deadline) {
        Err(Fail::Restart) => {
            if flags & ABSOLUTE == 0 {
                let left = deadline.saturating_sub(hal::monotonic());
                user::write_if(remaining, &Timespec::from_nanoseconds(left))?;
                // A handler ends it; without one it goes on.
                return Err(Fail::RestartUnlessHandled);
            }
            Err(Fail::RestartUnlessHandled)
        }
        other => other.map(|()| 0),
    }
}

/// Writes a `struct rusage`.
pub fn write_usage(to: u64, usage: Usage) -> Result<()> {
    let mut bytes = [0; 144];
    Timeval::from_nanoseconds(usage.time).encode(&mut bytes[..16]);
    (usage.largest / 1024).encode(&mut bytes[32..40]);
    user::write_bytes(to, &bytes)
}

/// `getrusage(2)`.
pub fn getrusage(thread: &Thread, [who, to, ..]: [u64; 6]) -> Result {
    let process = &thread.process;
    let [own, children] = *process.usage.lock();
    let largest = hal::space_resident().unwrap_or_else(|| thread.memory().areas.lock().total());
    let usage = match who as i32 {
        0 => Usage { time: process.cpu_time(), largest: largest.max(own.largest) },
        -1 => children,
        1 => Usage { time: thread.task().map_or(0, |task| task.ran()), largest },
        _ => return fail(Errno::EINVAL),
    };
    write_usage(to, usage)?;
    Ok(0)
}

/// Clock ticks per second, as programs are told.
pub const TICKS: u64 = 100;

/// Nanoseconds as clock ticks.
pub fn ticks(time: u64) -> i64 {
    (time / (SECOND / TICKS)) as i64
}

/// `times(2)`.
pub fn times(thread: &Thread, [to, ..]: [u64; 6]) -> Result {
    let children = thread.process.usage.lock()[1].time;
    if to != 0 {
        user::write(to, &[ticks(thread.process.cpu_time()), 0, ticks(children), 0])?;
    }
    Ok(ticks(hal::monotonic()) as u64)
}

//! Setting clocks: the wall clock is the host's, so nobody may.

use errno::Errno;

use super::{clock, cpu_clock};
use crate::abi::{Timespec, Timeval};
use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::user;

/// `clock_settime(2)`.
///
/// # Errors
/// `EINVAL` for a clock that nobody could set, or no valid time; `EFAULT`; otherwise `EPERM`.
pub fn clock_settime(thread: &Thread, [number, time, ..]: [u64; 6]) -> Result {
    if number as u32 as u64 != clock::REALTIME && cpu_clock(thread, number).is_err() {
        return fail(Errno::EINVAL);
    }
    let time: Timespec = user::read(time)?;
    let valid = time.nanoseconds().is_some();
    fail(if valid { Errno::EPERM } else { Errno::EINVAL })
}

/// `settimeofday(2)`.
///
/// # Errors
/// As [`clock_settime`].
pub fn settimeofday(_thread: &Thread, [time, zone, ..]: [u64; 6]) -> Result {
    if time != 0 {
        let time: Timeval = user::read(time)?;
        if time.seconds < 0 || !(0..1_000_000).contains(&time.microseconds) {
            return fail(Errno::EINVAL);
        }
    }
    if zone != 0 {
        user::read::<u64>(zone)?;
    }
    fail(Errno::EPERM)
}

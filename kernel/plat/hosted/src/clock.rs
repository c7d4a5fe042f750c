//! Time, from the host's vDSO where that works without a system call.

use core::sync::atomic::{AtomicUsize, Ordering};

use arch::clock_code::Source;

use crate::gateway::host_call;
use crate::host;

const REALTIME: usize = 0;
const MONOTONIC: usize = 1;

type ClockGettime = extern "C" fn(clock: i32, time: *mut [i64; 2]) -> i32;

static VDSO: AtomicUsize = AtomicUsize::new(0);

/// Uses the vDSO function at this address from now on.
pub fn use_vdso(function: usize) {
    VDSO.store(function, Ordering::Relaxed);
}

fn read(clock: usize) -> u64 {
    let mut time = [0i64; 2];
    let function = VDSO.load(Ordering::Relaxed);
    if function != 0 {
        // SAFETY: the address is that of the host's `__vdso_clock_gettime`, which uses integer
        // registers only and, as was checked, makes no system call.
        let function: ClockGettime = unsafe { core::mem::transmute(function) };
        function(clock as i32, &mut time);
    } else {
        let pointer = time.as_mut_ptr() as usize;
        // SAFETY: writes the time.
        unsafe { host_call(host::CLOCK_GETTIME, clock, pointer, 0, 0, 0, 0) };
    }
    time[0] as u64 * 1_000_000_000 + time[1] as u64
}

/// How programs read the same clocks: as this module does.
pub fn user_source() -> Source {
    match VDSO.load(Ordering::Relaxed) {
        0 => Source::SystemCall,
        function => Source::Function(function as u64),
    }
}

/// Nanoseconds since the host's start.
pub fn monotonic() -> u64 {
    read(MONOTONIC)
}

/// Nanoseconds since 1970.
pub fn realtime() -> u64 {
    read(REALTIME)
}

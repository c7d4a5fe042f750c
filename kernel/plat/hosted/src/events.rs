//! Frames from the host, and the thread that waits for them.
//!
//! The thread sleeps in the host until the report channel has something, tells the first vCPU
//! of a device event, and waits until the kernel has found nothing more to read.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::gateway::host_call;
use crate::host;
use crate::platform::report_descriptor;
use crate::vcpu::Vcpu;

/// Whether the thread is to wait for the channel: 1 at the start, and after the kernel has found
/// nothing to read.
static ARMED: AtomicU32 = AtomicU32::new(1);

const READABLE: u16 = 1;

/// Waits until the channel has something, be it its end (`wait`), or looks whether it has.
fn is_readable(wait: bool) -> bool {
    let mut set = [u64::from(report_descriptor()) | u64::from(READABLE) << 32];
    let zero = [0u64; 2];
    let timeout = if wait { 0 } else { zero.as_ptr() as usize };
    // SAFETY: reads the time and the set, and writes the set.
    unsafe { host_call(host::PPOLL, set.as_mut_ptr() as usize, 1, timeout, 0, 8, 0) == 1 }
}

/// The thread.
pub fn thread() -> ! {
    loop {
        while ARMED.load(Ordering::SeqCst) == 0 {
            host::futex_wait(&ARMED, 0, u64::MAX);
        }
        if is_readable(true) {
            ARMED.store(0, Ordering::SeqCst);
            let vcpu = Vcpu::of(0);
            vcpu.device_events.fetch_add(1, Ordering::Release);
            vcpu.kick();
        }
    }
}

/// See [`hal::control_read`].
pub fn control_read(buffer: &mut [u8]) -> usize {
    if is_readable(false) {
        // Who would have written is gone: then there is nothing to wait for.
        return host::read(report_descriptor(), buffer).unwrap_or_default();
    }
    if ARMED.swap(1, Ordering::SeqCst) == 0 {
        host::futex_wake(&ARMED);
    }
    0
}

//! `RLIMIT_CPU`: processes that have used up their processor time.

use alloc::sync::{Arc, Weak};

use sched::{Expire, Timer};

use crate::abi::SECOND;
use crate::process::{INFINITY, Process, Resource};
use crate::signal::number::{SIGKILL, SIGXCPU};
use crate::signal::{self, Info};

/// Looks at a process again and again for as long as it has a limit.
struct Watch {
    process: Weak<Process>,
    /// Which of the process's watches it is: a new limit ends the old watch.
    number: u64,
    /// When the next warning is due, in nanoseconds of processor time.
    warning: u64,
}

/// Makes a process keep the limit that it has now; to be called whenever that is set, and for a
/// new process.
pub fn watch_processor_limit(process: &Arc<Process>) {
    let number = process.timers.next_watch();
    let limit = process.limits.both(Resource::ProcessorTime as usize);
    if limit.soft != INFINITY || limit.hard != INFINITY {
        let warning = limit.soft.saturating_mul(SECOND);
        arm(Watch { process: Arc::downgrade(process), number, warning }, 0);
    }
}

/// Looks again when the process can have used the time up that it has left.
fn arm(watch: Watch, left: u64) {
    const GRAIN: u64 = 10_000_000;
    let wait = (left / hal::vcpu_count() as u64).max(GRAIN);
    // A timer that nobody cancels runs once.
    let _ = Timer::new(hal::monotonic().saturating_add(wait), Arc::new(watch));
}

impl Expire for Watch {
    fn expire(self: Arc<Self>, _now: u64) {
        let Some(process) = self.process.upgrade() else { return };
        if process.timers.current_watch() != self.number || process.is_zombie() {
            return;
        }
        let used = process.cpu_time();
        let limit = process.limits.both(Resource::ProcessorTime as usize);
        let hard = limit.hard.saturating_mul(SECOND);
        if used >= hard {
            return signal::send_to_process(&process, SIGKILL, Info::kernel());
        }
        let mut warning = self.warning;
        if used >= warning {
            signal::send_to_process(&process, SIGXCPU, Info::kernel());
            warning = used + SECOND;
        }
        let watch = Watch { process: Weak::clone(&self.process), number: self.number, warning };
        arm(watch, warning.min(hard) - used);
    }
}

//! The watchdog: what makes a damaged kernel end with a report.
//!
//! A program can write its kernel's data. What follows is a crash, which the host sees, or a loop
//! or a wait for ever. Two look out for those: the timer thread for vCPUs that are in the kernel
//! and do not get on, and the host for a timer thread that no longer says that it is there.

use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};

use abi_report::Kind;

use crate::platform::{Text, die, send};
use crate::vcpu::{self, Vcpu};

const SECOND: u64 = 1_000_000_000;

/// Between two looks.
const PERIOD: u64 = 2 * SECOND;

/// How long a vCPU may stay in the kernel. Its host CPU may be busy with others.
const LONGEST: u64 = 20 * SECOND;

/// How long an accused vCPU has to say where it is.
const ANSWER: u64 = 4 * SECOND;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// When the timer thread has to look next.
pub fn next_look() -> u64 {
    NEXT.load(Ordering::Relaxed)
}

/// Looks at all vCPUs, if it is time; the timer thread does this.
pub fn look(now: u64) {
    if now < next_look() {
        return;
    }
    NEXT.store(now + PERIOD, Ordering::Relaxed);
    send(Kind::Alive, 0, &[]);
    for vcpu in (0..vcpu::count()).map(Vcpu::of) {
        if !vcpu.is_stuck_since(now, LONGEST) {
            continue;
        }
        if vcpu.accused.swap(true, Ordering::SeqCst) {
            continue;
        }
        // Its signal handler reports.
        vcpu.signal_holder();
    }
    for vcpu in (0..vcpu::count()).map(Vcpu::of) {
        if vcpu.accused.load(Ordering::SeqCst) && vcpu.is_stuck_since(now, LONGEST + ANSWER) {
            die(reason(vcpu).as_str());
        }
    }
}

/// What an accused vCPU dies of.
pub fn reason(vcpu: &Vcpu) -> Text {
    let mut text = Text::new();
    let seconds = LONGEST / SECOND;
    let _ = write!(
        text,
        "virtual CPU {} has been in the kernel for {seconds} s and does not get on",
        vcpu.index
    );
    text
}

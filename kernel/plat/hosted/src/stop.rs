//! Stopping all programs while their text changes.
//!
//! Every vCPU that may run a program is asked, by a signal, to look at its `stop` word before it
//! enters one. It has heeded as soon as its signal handler has run, or while it waits: from then
//! on the check in [`run_program`](crate::gateway::run_program) keeps it out.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::platform::relax;
use crate::vcpu::{self, Vcpu};

/// The round that is under way, or 0.
static STOPPED: AtomicU32 = AtomicU32::new(0);
/// The last round; held while one is under way.
static ROUND: spin::Mutex<u32> = spin::Mutex::new(0);

/// Between two signals to a vCPU that has not answered, in turns of the waiting loop.
const PATIENCE: u32 = 200;

/// Runs `change` while no program runs. Programs notice what it did to their text.
pub fn with_programs_stopped(change: impl FnOnce()) {
    let mut last = ROUND.lock();
    *last = last.wrapping_add(1).max(1);
    let round = *last;
    STOPPED.store(round, Ordering::SeqCst);
    let here = Vcpu::this().index as usize;
    let others = || (0..vcpu::count()).filter(|&index| index != here).map(Vcpu::of);
    for other in others() {
        other.stop.store(round, Ordering::SeqCst);
    }
    for other in others() {
        let mut rounds = 0;
        while !other.is_waiting() && other.stop_heeded.load(Ordering::SeqCst) != round {
            if rounds % PATIENCE == 0 {
                other.signal_holder();
            }
            relax(rounds);
            rounds += 1;
        }
    }
    change();
    STOPPED.store(0, Ordering::SeqCst);
    arch::cpu::serialize();
}

/// The signal handler's part: this vCPU will look before it enters a program.
pub fn answer(vcpu: &Vcpu) {
    let round = vcpu.stop.load(Ordering::SeqCst);
    if round != 0 {
        vcpu.stop_heeded.store(round, Ordering::SeqCst);
    }
}

/// Waits until programs may run, when this vCPU was asked to. Gives whether it was.
pub fn heed(vcpu: &Vcpu) -> bool {
    let round = vcpu.stop.load(Ordering::SeqCst);
    if round == 0 {
        return false;
    }
    vcpu.stop_heeded.store(round, Ordering::SeqCst);
    let mut rounds = 0;
    while STOPPED.load(Ordering::SeqCst) == round {
        relax(rounds);
        rounds += 1;
    }
    // A new round may have begun: then its number stays.
    let _ = vcpu.stop.compare_exchange(round, 0, Ordering::SeqCst, Ordering::SeqCst);
    arch::cpu::serialize();
    true
}

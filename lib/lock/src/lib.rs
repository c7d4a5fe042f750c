//! Spin locks for code that runs on several vCPUs, with a lock-order checker in debug builds.
//!
//! - The locks are those of the `spin` crate. Test-and-test-and-set, not tickets: a vCPU is a
//!   thread that its host may take off the CPU at any time, and a queue of waiters would then
//!   wait for the sleeper. Writers hold off new readers, so they do not starve.
//! - A waiting vCPU calls the platform's relax hook, to serve requests of other vCPUs (such as
//!   TLB shootdowns) or to give its CPU back to the host.
//! - Every lock has a [`Rank`]. In debug builds each vCPU takes locks in rising rank, or panics
//!   with both names; [`assert_none_held`] guards the places that may sleep.
//!
//! Refused: poisoning (kernels abort on panic) and disabling interrupts (code in interrupt
//! context takes no locks).
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod mutex;
mod rank;
mod rwlock;

pub use mutex::{SpinGuard, SpinLock};
pub use rank::{Held, Rank, assert_none_held};
pub use rwlock::{ReadGuard, RwSpinLock, WriteGuard};

/// What a platform provides; see [`register`].
#[derive(Clone, Copy)]
pub struct Hooks {
    /// Called again and again while a vCPU waits for a lock. Must not take locks.
    pub relax: fn(),
    /// The locks that the calling vCPU holds; `None` where it is not to be checked (such as
    /// before vCPUs are told apart). Called in debug builds only. Must not take locks.
    pub held: fn() -> Option<&'static Held>,
}

static HOOKS: spin::Once<Hooks> = spin::Once::new();

/// Registers the platform's hooks. The first registration of a process or kernel counts;
/// without one, waiting is a busy loop and the order of locks is not checked.
pub fn register(hooks: Hooks) {
    HOOKS.call_once(|| hooks);
}

/// How the locks of `spin` wait.
struct Relax;

impl spin::RelaxStrategy for Relax {
    fn relax() {
        match HOOKS.get() {
            Some(hooks) => (hooks.relax)(),
            None => core::hint::spin_loop(),
        }
    }
}

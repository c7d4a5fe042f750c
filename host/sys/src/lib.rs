//! The host system calls that need `unsafe`, behind safe functions.
//!
//! What `rustix` offers safely is used from there directly; here is only the rest: creating a
//! [supervised process tree](Program::spawn) and receiving [signals](Signals) as data, [trying KVM](probe_kvm).
//!
//! Principles: nothing here decides anything; every function is a thin, documented step; what
//! runs between `clone` and `exec` makes plain system calls and never allocates.

mod kvm;
mod signals;
mod supervise;

pub use kvm::probe_kvm;
pub use signals::Signals;
pub use supervise::{Death, Executable, Program, Supervised};

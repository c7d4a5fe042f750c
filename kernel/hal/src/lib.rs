//! What a kernel needs from below: the platform interface.
//!
//! One trait, [`Platform`], is all there is between a kernel and what it runs on: a virtual
//! machine, a set of Linux processes, a test. The platform is bound at link time by
//! [`platform!`], so that a call costs what a call costs; the free functions and types of this
//! crate are how the kernel uses it.
//!
//! Principles:
//! - Few operations, each one that every platform can do well. Address spaces work on ranges,
//!   never on single pages; waiting names its deadline; a kick is sticky.
//! - Time is in nanoseconds, `u64`, since an arbitrary start that all vCPUs share.
//! - Kernel code runs to its next stated yield point: no platform interrupts it. What a device,
//!   a timer or another vCPU wants is noticed when [`UserContext::run`] or [`vcpu_wait`]
//!   returns.
//! - An operation on an address space acts on the one that is active on this vCPU, unless it
//!   says otherwise.
//!
//! Refused here: policy. Which ranges a program has, who runs next, what a fault means to the
//! program is decided above.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod context;
mod debugger;
mod per_cpu;
mod space;
mod user;

use core::num::NonZeroUsize;

pub use abi_report::Kind as Report;
pub use arch::Registers;
pub use arch::clock_code::Data as ClockData;
pub use arch::cpu::counter;
pub use context::{Access, Cause, Exception, UserContext, UserExit};
pub use debugger::drupe_program_loaded;
pub use per_cpu::{PerCpu, Slot};
pub use space::{
    AddressSpace, Backing, MapError, PAGE_SIZE, PhysAddr, Protection, Range, UserFault,
};
pub use user::{copy_frames_to_user, copy_from_user, copy_to_user, copy_user_to_frames};

/// The most vCPUs that a guest can have.
pub const MAX_VCPUS: usize = 64;

/// What a platform gives to the kernel's main function, on the first vCPU, with frames and heap
/// ready.
#[derive(Clone, Copy)]
pub struct Boot {
    /// The boot module.
    pub module: &'static [u8],
    /// Where it lies: its pages can be mapped into address spaces.
    pub module_address: PhysAddr,
}

macro_rules! platform_interface {
    ($d:tt $($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        /// What a platform implements, once.
        pub trait Platform {
            $($(#[$doc])* fn $name($($argument: $type),*) $(-> $result)?;)*
        }

        mod symbols {
            use super::*;
            unsafe extern "Rust" {
                $($(#[$doc])* #[link_name = concat!("drupe_hal_", stringify!($name))]
                pub safe fn $name($($argument: $type),*) $(-> $result)?;)*
            }
        }

        /// The platform's operations as functions, for this crate's own types.
        pub(crate) mod raw {
            #[allow(unused_imports, reason = "some are used by the kernel only")]
            pub(crate) use super::symbols::*;
        }

        /// Binds a type that implements [`Platform`] as the platform of the program being built.
        /// Exactly one crate of a program does this.
        #[macro_export]
        macro_rules! platform {
            ($d platform:ty) => {
                const _: () = {
                    use $d crate::*;
                    $(
                        #[unsafe(export_name = concat!("drupe_hal_", stringify!($name)))]
                        fn $name($($argument: $type),*) $(-> $result)? {
                            <$d platform as $d crate::Platform>::$name($($argument),*)
                        }
                    )*
                };
            };
        }
    };
}

platform_interface! { $
    /// Ends the guest with an exit code.
    fn exit(code: i32) -> !;
    /// Sends one frame to the host; a payload longer than [`abi_report::MAX_PAYLOAD`] is cut.
    /// Works in every state, also while the kernel is dying.
    fn report(kind: Report, flags: u8, payload: &[u8]);
    /// Takes bytes that the host has sent on the control channel; gives their number, 0: none
    /// are there now, and a device event tells of the next. `buffer` has room for a whole frame
    /// ([`abi_report::MAX_TO_GUEST`] and its head). One task calls it.
    fn control_read(buffer: &mut [u8]) -> usize;
    /// Nanoseconds since an arbitrary start; never goes back, the same on all vCPUs.
    fn monotonic() -> u64;
    /// Nanoseconds since 1970.
    fn realtime() -> u64;
    /// How programs can read the clocks by themselves; they see the same times.
    fn user_clock() -> ClockData;
    /// Fills `buffer` from the best entropy that the platform has; `false` when that is none
    /// better than the seed in the configuration.
    fn entropy(buffer: &mut [u8]) -> bool;

    /// Where the kernel's image starts in memory: what a backtrace is relative to.
    fn image_base() -> usize;

    /// How many vCPUs run.
    fn vcpu_count() -> usize;
    /// The vCPU that this code runs on, from 0.
    fn vcpu_current() -> usize;
    /// Starts all other vCPUs, each in `entry` on a stack of its own.
    fn vcpu_start(entry: fn() -> !);
    /// Waits for a kick, a device or the deadline (`u64::MAX`: none). May return early.
    fn vcpu_wait(deadline: u64);
    /// Makes another vCPU leave user mode or waiting. Sticky: one that arrives before the vCPU
    /// enters user mode or waits makes that return at once.
    fn vcpu_kick(vcpu: usize);
    /// Makes user mode on this vCPU end at the deadline (`u64::MAX`: never).
    fn vcpu_timer(deadline: u64);
    /// One round of a waiting loop in kernel mode: serves what other vCPUs wait for.
    fn vcpu_relax(rounds: u32);
    /// The number of device events so far on this vCPU; a change means that devices want
    /// to be polled.
    fn device_events() -> u64;

    /// The kernel's window to physical memory.
    fn physical_window() -> *mut u8;
    /// A kernel stack: its lowest address and its length. `None`: no memory.
    fn stack_allocate() -> Option<(NonZeroUsize, usize)>;
    /// Gives a stack back that nobody runs on any more.
    fn stack_free(base: NonZeroUsize);

    /// A new address space without mappings.
    fn space_create() -> Result<NonZeroUsize, MapError>;
    /// A copy of the active address space: private memory is copied (on write), shared memory
    /// is shared.
    fn space_fork() -> Result<NonZeroUsize, MapError>;
    /// Ends an address space that is active nowhere.
    fn space_destroy(space: NonZeroUsize);
    /// Makes an address space the active one of this vCPU; `None`: the kernel's own, which has
    /// no user memory.
    fn space_activate(space: Option<NonZeroUsize>);
    /// Maps a range, replacing what was there.
    fn space_map(range: Range, backing: Backing, protection: Protection) -> Result<(), MapError>;
    /// Removes all mappings of a range.
    fn space_unmap(range: Range) -> Result<(), MapError>;
    /// Changes the protection of what is mapped in a range.
    fn space_protect(range: Range, protection: Protection) -> Result<(), MapError>;
    /// Moves the mappings of `from` to `to`, replacing what was there.
    fn space_move(from: Range, to: Range) -> Result<(), MapError>;
    /// Forgets the private content of a range: it reads as at its first mapping again.
    fn space_discard(range: Range) -> Result<(), MapError>;
    /// Bytes of private memory that the active address space holds, if the platform knows.
    fn space_resident() -> Option<u64>;
    /// The lowest of the ranges that meet `range` and that the platform keeps to itself in the
    /// active address space.
    fn space_kept(range: Range) -> Option<Range>;

    /// Copies from user memory of the active space.
    fn user_read(to: *mut u8, from: u64, length: usize) -> Result<(), UserFault>;
    /// Copies to user memory of the active space.
    fn user_write(to: u64, from: *const u8, length: usize) -> Result<(), UserFault>;
    /// Atomically replaces an aligned 32-bit word of user memory by `new` where it equals
    /// `expected`; gives the word found.
    fn user_compare_exchange(address: u64, expected: u32, new: u32) -> Result<u32, UserFault>;

    /// Whether programs can have a GS base of their own.
    fn programs_have_gs() -> bool;
    /// Makes every vCPU that runs a program pass a full memory barrier before this returns.
    fn barrier_all();
    /// System calls that programs made so far: those that trapped, and those that came by a
    /// faster way. `None`: the platform knows one way only.
    fn calls_served() -> Option<[u64; 2]>;
    /// Runs a program until it needs the kernel. See [`UserContext::run`].
    fn context_run(context: &mut UserContext) -> UserExit;
    /// Stores live vector registers of `context`, if this vCPU holds them, into its memory.
    fn context_save(context: &mut UserContext);
}

pub use symbols::{
    barrier_all, calls_served, context_run, context_save, control_read, device_events, entropy,
    exit, image_base, monotonic, physical_window, programs_have_gs, realtime, report,
    space_activate, space_create, space_destroy, space_discard, space_fork, space_kept, space_map,
    space_move, space_protect, space_resident, space_unmap, stack_allocate, stack_free, user_clock,
    user_compare_exchange, vcpu_count, vcpu_current, vcpu_kick, vcpu_relax, vcpu_start, vcpu_timer,
    vcpu_wait,
};

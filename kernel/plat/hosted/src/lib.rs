//! The platform interface on Linux processes: a unikernel that needs neither a hypervisor nor
//! root.
//!
//! One host process per guest address space; all writable kernel state lies in one shared
//! memory file, the *window*, mapped at the same address in each of them. A vCPU is a token
//! that one host thread at a time holds; making another address space active hands the token,
//! with the running kernel stack, to a thread of that space's process.
//!
//! Invariants:
//! - The only instruction that enters the host is in the gateway page; the seal (a seccomp
//!   filter) traps every other one, wherever a program puts it.
//! - Kernel text is mapped from a sealed file: nothing can write it.
//! - Host signals arrive on the alternate stack of the thread's [slot](slot::Slot). One that
//!   arrives in kernel code changes nothing but a flag, except at an instruction of a user copy.
//! - GS points to the vCPU that the thread holds.
//!
//! What is not protected: kernel data, from a program that goes for it. It can break its own
//! kernel, which then reports and ends; it cannot get past the seal.
#![cfg_attr(target_os = "none", no_std)]
#![cfg(target_os = "none")]

extern crate alloc;

mod clock;
mod events;
mod gateway;
mod host;
mod platform;
mod seal;
mod signal;
mod slot;
mod space;
mod start;
mod stop;
mod text;
mod user;
mod vcpu;
mod watchdog;
mod window;

pub use start::begin;

/// Makes `main` the kernel's main function and `last_words` what it says before it dies,
/// and defines the program's entry point.
#[macro_export]
macro_rules! entry {
    ($main:path, $last_words:path) => {
        #[unsafe(no_mangle)]
        fn drupe_kernel_main(boot: hal::Boot) -> ! {
            $main(boot)
        }

        #[unsafe(no_mangle)]
        fn drupe_kernel_last_words() {
            $last_words()
        }

        core::arch::global_asm!(
            ".global _start",
            "_start:",
            "xor ebp, ebp",
            "mov rdi, rsp",
            "lea rsi, [rip + __ehdr_start]",
            "lea rdx, [rip + _DYNAMIC]",
            "and rsp, -16",
            "call {begin}",
            "ud2",
            begin = sym $crate::begin,
        );
    };
}

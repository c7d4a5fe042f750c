//! The platform interface on a virtual machine: QEMU, or any monitor that boots by PVH.
//!
//! Memory, top down (each base is drawn at random at boot, in steps of its alignment):
//!
//! ```text
//! ffffffff80000000  image: text, constants and data, each with its own rights
//! ffffff0000000000  kernel stacks, each above a page that is not there; devices
//! ffff888000000000  all physical memory, never executable
//! 0000000000000000  user space
//! ```
//!
//! Invariants:
//! - Kernel code runs with interrupts off; they come in while a program runs or a vCPU waits.
//! - GS points to the running vCPU's data in the kernel and to the program's choice outside.
//! - A frame that was mapped into user space is freed only after every vCPU that could know
//!   the mapping has forgotten it.
#![cfg_attr(target_os = "none", no_std)]
#![cfg(target_os = "none")]

extern crate alloc;

mod apic;
mod boot;
mod boot_info;
mod clock;
mod exit;
mod fault;
mod ioapic;
mod platform;
mod segments;
mod serial;
mod smp;
mod space;
mod stacks;
mod tables;
mod traps;
mod user;
mod vcpu;

/// Makes `main` the kernel's main function and `last_words` what it says before it dies.
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
    };
}

//! Single instructions, each a function.

use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, CpuidResult};

/// `CPUID` with leaf and sub-leaf.
pub fn cpuid(leaf: u32, sub_leaf: u32) -> CpuidResult {
    __cpuid_count(leaf, sub_leaf)
}

/// The highest basic leaf, then the highest extended one.
pub fn cpuid_leaves() -> (u32, u32) {
    (cpuid(0, 0).eax, cpuid(0x8000_0000, 0).eax)
}

/// Reads the time-stamp counter after all earlier instructions are done.
pub fn timestamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// The time-stamp counter, roughly now: earlier and later instructions may overlap with it.
#[inline]
pub fn counter() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// A hint that this is a waiting loop.
pub fn pause() {
    core::hint::spin_loop();
}

/// 64 random bits from the processor, if it has any to give.
pub fn random() -> Option<u64> {
    if cpuid(1, 0).ecx & 1 << 30 == 0 {
        return None;
    }
    for _ in 0..16 {
        let (value, ok): (u64, u8);
        // SAFETY: RDRAND is there, as CPUID says.
        unsafe {
            asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) ok, options(nomem, nostack));
        }
        if ok == 1 {
            return Some(value);
        }
    }
    None
}

/// Makes this processor forget what it has fetched and decoded: instructions that were changed
/// elsewhere before run as they are now. For user mode.
pub fn serialize() {
    // SAFETY: returns to the next instruction with the same selectors, flags and stack; IRET
    // serializes (Intel SDM volume 3, section 10.3).
    unsafe {
        asm!(
            "mov {stack}, rsp",
            "mov {selector:e}, ss",
            "push {selector}",
            "push {stack}",
            "pushfq",
            "mov {selector:e}, cs",
            "push {selector}",
            "lea {stack}, [rip + 2f]",
            "push {stack}",
            "iretq",
            "2:",
            stack = out(reg) _,
            selector = out(reg) _,
        );
    }
}

/// Whether the processor has the FSGSBASE instructions.
pub fn has_fsgsbase() -> bool {
    cpuid_leaves().0 >= 7 && cpuid(7, 0).ebx & 1 != 0
}

macro_rules! base_register {
    ($read:ident, $write:ident, $read_instruction:literal, $write_instruction:literal) => {
        #[doc = concat!("`", $read_instruction, "`.")]
        ///
        /// # Safety
        /// The processor has FSGSBASE and it is enabled.
        #[inline]
        pub unsafe fn $read() -> u64 {
            let value;
            // SAFETY: reads a register; enabled, as the caller says.
            unsafe {
                asm!(concat!($read_instruction, " {}"), out(reg) value, options(nomem, nostack, preserves_flags));
            }
            value
        }

        #[doc = concat!("`", $write_instruction, "`.")]
        ///
        /// # Safety
        /// The processor has FSGSBASE and it is enabled; the base is canonical and nothing in
        /// the kernel depends on the old one.
        #[inline]
        pub unsafe fn $write(value: u64) {
            // SAFETY: the caller's.
            unsafe {
                asm!(concat!($write_instruction, " {}"), in(reg) value, options(nomem, nostack, preserves_flags));
            }
        }
    };
}

base_register!(read_fs_base, write_fs_base, "rdfsbase", "wrfsbase");
base_register!(read_gs_base, write_gs_base, "rdgsbase", "wrgsbase");

/// Reads the GS base that `swapgs` would exchange for the running one.
///
/// # Safety
/// Ring 0 with interrupts off; the processor has FSGSBASE and it is enabled.
#[inline]
pub unsafe fn read_kernel_gs_base() -> u64 {
    let value;
    // SAFETY: the caller's; GS is as before at the end.
    unsafe {
        asm!("swapgs", "rdgsbase {}", "swapgs", out(reg) value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// Reads a model-specific register.
///
/// # Safety
/// Ring 0, and the processor has the register.
pub unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller's.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
///
/// # Safety
/// Ring 0, the processor has the register, and the value does what the caller means.
pub unsafe fn write_msr(register: u32, value: u64) {
    // SAFETY: the caller's.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags));
    }
}

macro_rules! control_register {
    ($read:ident, $write:ident, $name:literal) => {
        #[doc = concat!("Reads ", $name, ".")]
        ///
        /// # Safety
        /// Ring 0.
        pub unsafe fn $read() -> u64 {
            let value;
            // SAFETY: the caller's.
            unsafe {
                asm!(concat!("mov {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags));
            }
            value
        }

        #[doc = concat!("Writes ", $name, ".")]
        ///
        /// # Safety
        /// Ring 0, and the running code survives the change.
        pub unsafe fn $write(value: u64) {
            // SAFETY: the caller's.
            unsafe {
                asm!(concat!("mov ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags));
            }
        }
    };
}

control_register!(read_cr0, write_cr0, "cr0");
control_register!(read_cr2, write_cr2, "cr2");
control_register!(read_cr3, write_cr3, "cr3");
control_register!(read_cr4, write_cr4, "cr4");

/// Forgets the translation of the page at `address`.
///
/// # Safety
/// Ring 0.
pub unsafe fn invalidate_page(address: u64) {
    // SAFETY: the caller's; losing a cached translation is harmless.
    unsafe {
        asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags));
    }
}

/// Writes an extended control register.
///
/// # Safety
/// Ring 0, CR4.OSXSAVE is set, and the value is one that CPUID leaf 13 allows.
pub unsafe fn write_xcr0(value: u64) {
    // SAFETY: the caller's.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") value as u32, in("edx") (value >> 32) as u32, options(nostack, preserves_flags));
    }
}

macro_rules! port {
    ($read:ident, $write:ident, $type:ty, $register:tt) => {
        /// Reads from an I/O port.
        ///
        /// # Safety
        /// Ring 0, and reading the port does what the caller means.
        pub unsafe fn $read(port: u16) -> $type {
            let value: $type;
            // SAFETY: the caller's.
            unsafe {
                asm!(concat!("in ", $register, ", dx"), out($register) value, in("dx") port, options(nostack, preserves_flags));
            }
            value
        }

        /// Writes to an I/O port.
        ///
        /// # Safety
        /// Ring 0, and writing the port does what the caller means.
        pub unsafe fn $write(port: u16, value: $type) {
            // SAFETY: the caller's.
            unsafe {
                asm!(concat!("out dx, ", $register), in("dx") port, in($register) value, options(nostack, preserves_flags));
            }
        }
    };
}

port!(port_read_u8, port_write_u8, u8, "al");
port!(port_read_u16, port_write_u16, u16, "ax");
port!(port_read_u32, port_write_u32, u32, "eax");

/// Writes all `bytes` to one I/O port, in one instruction.
///
/// # Safety
/// Ring 0, and writing the port does what the caller means.
pub unsafe fn port_write_bytes(port: u16, bytes: &[u8]) {
    // SAFETY: the caller's; reads `bytes` only.
    unsafe {
        asm!("rep outsb", in("dx") port, inout("rsi") bytes.as_ptr() => _, inout("rcx") bytes.len() => _, options(readonly, nostack, preserves_flags));
    }
}

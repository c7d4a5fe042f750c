//! vCPUs.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use arch::cpu;
use arch::{Registers, VectorUnit};
use hal::MAX_VCPUS;

use crate::segments::Segments;
use crate::space::Space;

/// One vCPU. GS points to it in the kernel; the first fields are known to the assembly.
#[repr(C, align(64))]
pub struct Vcpu {
    own: u64,
    pub index: u32,
    /// The local APIC's identity.
    pub apic: AtomicU32,
    /// The kernel stack that a trap from user mode returns to.
    pub kernel_rsp: u64,
    /// The registers of the running program.
    pub registers: AtomicPtr<Registers>,
    /// Scratch of the system call entry.
    pub user_rsp: u64,
    /// Where the task state segment keeps the stack for traps.
    pub trap_stack: AtomicPtr<u64>,
    pub trap_vector: u64,
    pub trap_error: u64,
    pub trap_address: u64,
    /// Whether a program runs, or a copy from or to one.
    pub in_user: AtomicBool,
    /// The active address space; null: the kernel's.
    pub space: AtomicPtr<Space>,
    /// Up to which generation of the active space this vCPU has forgotten old mappings.
    pub seen: AtomicU64,
    /// The context whose vector registers the processor holds.
    pub context: AtomicUsize,
    /// The FS and GS bases that were last loaded for a program.
    pub fs_base: AtomicU64,
    pub gs_base: AtomicU64,
    /// The deadline that the timer is set to, plus one; zero when it is not set.
    pub timer: AtomicU64,
    pub device_events: AtomicU64,
    pub segments: UnsafeCell<Segments>,
}

// SAFETY: what is not atomic belongs to the vCPU itself.
unsafe impl Sync for Vcpu {}

static VCPUS: [Vcpu; MAX_VCPUS] = [const {
    Vcpu {
        own: 0,
        index: 0,
        apic: AtomicU32::new(0),
        kernel_rsp: 0,
        registers: AtomicPtr::new(core::ptr::null_mut()),
        user_rsp: 0,
        trap_stack: AtomicPtr::new(core::ptr::null_mut()),
        trap_vector: 0,
        trap_error: 0,
        trap_address: 0,
        in_user: AtomicBool::new(false),
        space: AtomicPtr::new(core::ptr::null_mut()),
        seen: AtomicU64::new(0),
        context: AtomicUsize::new(0),
        fs_base: AtomicU64::new(0),
        gs_base: AtomicU64::new(0),
        timer: AtomicU64::new(0),
        device_events: AtomicU64::new(0),
        segments: UnsafeCell::new(Segments::NONE),
    }
}; MAX_VCPUS];

/// vCPUs that run.
pub static COUNT: AtomicUsize = AtomicUsize::new(1);

const GS_BASE: u32 = 0xc000_0101;

impl Vcpu {
    /// The vCPU with this number.
    pub fn of(index: usize) -> &'static Self {
        &VCPUS[index]
    }

    /// The vCPU that this code runs on.
    #[inline]
    pub fn this() -> &'static Self {
        let own: *const Self;
        // SAFETY: GS points to a vCPU in the kernel; they live for ever.
        unsafe {
            core::arch::asm!("mov {}, gs:[0]", out(reg) own, options(nostack, preserves_flags, readonly));
            &*own
        }
    }
}

/// How many vCPUs run.
pub fn count() -> usize {
    COUNT.load(Ordering::Acquire)
}

/// All vCPUs that run.
pub fn all() -> &'static [Vcpu] {
    &VCPUS[..count()]
}

/// The vCPU that this code runs on, where GS may still be the program's.
pub fn running() -> Option<&'static Vcpu> {
    // SAFETY: reads a register of this processor.
    let base = unsafe { cpu::read_msr(GS_BASE) };
    all().iter().find(|vcpu| core::ptr::from_ref::<Vcpu>(vcpu) as u64 == base)
}

/// Makes the running processor the vCPU `index`.
///
/// # Safety
/// Called once on each processor, with numbers that differ.
pub unsafe fn init_this(index: usize) {
    let raw = (&raw const VCPUS[index]).cast_mut();
    // SAFETY: nobody else uses this vCPU yet.
    unsafe {
        (*raw).own = raw as u64;
        (*raw).index = index as u32;
        cpu::write_msr(GS_BASE, raw as u64);
    }
}

/// The vector unit, probed once the first processor has enabled it.
pub fn unit() -> &'static VectorUnit {
    static UNIT: spin::Once<VectorUnit> = spin::Once::new();
    UNIT.call_once(VectorUnit::probe)
}

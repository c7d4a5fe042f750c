//! Segments, in the places where Linux has them: programs can see the selectors.

use core::arch::asm;
use core::sync::atomic::Ordering;

use crate::vcpu::Vcpu;

pub const KERNEL_CODE: u16 = 0x10;
pub const KERNEL_DATA: u16 = 0x18;
/// What `sysret` computes the two below from.
pub const USER_BASE: u16 = 0x23;
pub const USER_DATA: u16 = 0x2b;
pub const USER_CODE: u16 = 0x33;
const TASK: u16 = 0x40;

/// Descriptor table and task state of one vCPU.
#[repr(C, align(16))]
pub struct Segments {
    table: [u64; 10],
    task: TaskState,
}

/// The 64-bit task state segment.
#[repr(C, packed(4))]
struct TaskState {
    _reserved: u32,
    stacks: [u64; 3],
    _reserved_2: u64,
    interrupt_stacks: [u64; 7],
    _reserved_3: [u32; 2],
    _reserved_4: u16,
    io_map: u16,
}

impl Segments {
    pub const NONE: Self = Self {
        table: [0; 10],
        task: TaskState {
            _reserved: 0,
            stacks: [0; 3],
            _reserved_2: 0,
            interrupt_stacks: [0; 7],
            _reserved_3: [0; 2],
            _reserved_4: 0,
            io_map: 0,
        },
    };
}

/// Sets up and loads the segments of the running processor. `fault_stack` is the end of the
/// stack for faults that must not use the running one.
///
/// # Safety
/// `vcpu` is the running one; called once on it. GS keeps its base. The stack is nobody else's.
pub unsafe fn init(vcpu: &'static Vcpu, fault_stack: u64) {
    let segments = vcpu.segments.get();
    // SAFETY: the vCPU's own; nobody else looks at it.
    unsafe {
        let task = &raw mut (*segments).task;
        (*task).io_map = size_of::<TaskState>() as u16;
        (*task).interrupt_stacks[0] = fault_stack;
        vcpu.trap_stack.store((&raw mut (*task).stacks).cast(), Ordering::Relaxed);
        let (base, limit) = (task as u64, size_of::<TaskState>() as u64 - 1);
        (*segments).table = [
            0,
            0,
            0x00af_9b00_0000_ffff,
            0x00cf_9300_0000_ffff,
            0x00cf_fb00_0000_ffff,
            0x00cf_f300_0000_ffff,
            0x00af_fb00_0000_ffff,
            0,
            limit | (base & 0xff_ffff) << 16 | 0x89 << 40 | (base >> 24 & 0xff) << 56,
            base >> 32,
        ];
        let pointer = Pointer::to((&raw const (*segments).table).cast(), 80);
        asm!(
            "lgdt [{pointer}]",
            "mov ds, {data:e}",
            "mov es, {data:e}",
            "mov ss, {data:e}",
            "push {code}",
            "lea {scratch}, [rip + 2f]",
            "push {scratch}",
            "retfq",
            "2:",
            "mov {scratch:e}, {task}",
            "ltr {scratch:x}",
            pointer = in(reg) &raw const pointer,
            data = in(reg) u64::from(KERNEL_DATA),
            code = in(reg) u64::from(KERNEL_CODE),
            scratch = out(reg) _,
            task = const TASK,
        );
    }
}

/// The operand of `lgdt` and `lidt`.
#[repr(C, packed)]
pub struct Pointer {
    limit: u16,
    base: u64,
}

impl Pointer {
    pub fn to(table: *const u8, length: usize) -> Self {
        Self { limit: length as u16 - 1, base: table as u64 }
    }
}

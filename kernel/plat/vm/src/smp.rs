//! Starting the other processors.

use core::arch::global_asm;
use core::sync::atomic::{AtomicUsize, Ordering};

use hal::PhysAddr;

use crate::vcpu::{self, Vcpu};
use crate::{apic, clock, exit, segments, stacks, tables, traps};

/// The page, below 1 MiB, where a processor starts.
const PAGE: u64 = 0x8000;

static EXPECTED: AtomicUsize = AtomicUsize::new(1);
static ENTRY: AtomicUsize = AtomicUsize::new(0);
/// Processors that have taken a number.
static NUMBERED: AtomicUsize = AtomicUsize::new(1);

global_asm!(
    ".section .rodata",
    ".code16",
    "drupe_smp_start:",
    "cli",
    "xorw %ax, %ax",
    "mov %ax, %ds",
    "lgdt {page} + (drupe_smp_gdt_pointer - drupe_smp_start)",
    "mov %cr0, %eax",
    "orb $1, %al",
    "mov %eax, %cr0",
    // A far jump to the 32-bit part, spelled out.
    ".byte 0x66, 0xea",
    ".long {page} + (drupe_smp_32 - drupe_smp_start)",
    ".word 8",
    ".code32",
    "drupe_smp_32:",
    "movl $16, %eax",
    "mov %eax, %ds",
    "mov %eax, %es",
    "mov %eax, %ss",
    "mov %cr4, %eax",
    "orl $0x20, %eax",
    "mov %eax, %cr4",
    "movl {page} + (drupe_smp_root - drupe_smp_start), %eax",
    "mov %eax, %cr3",
    "movl $0xc0000080, %ecx",
    "rdmsr",
    "orl $0x900, %eax",
    "wrmsr",
    "mov %cr0, %eax",
    "orl $0x80010003, %eax",
    "andl $0x9ffffff3, %eax",
    "mov %eax, %cr0",
    ".byte 0xea",
    ".long {page} + (drupe_smp_64 - drupe_smp_start)",
    ".word 24",
    ".code64",
    "drupe_smp_64:",
    // One processor at a time takes the stack.
    "2: movl $1, %eax",
    "xchgl {page} + (drupe_smp_lock - drupe_smp_start), %eax",
    "testl %eax, %eax",
    "jz 3f",
    "pause",
    "jmp 2b",
    "3: movq {page} + (drupe_smp_stack - drupe_smp_start), %rsp",
    "movq {page} + (drupe_smp_entry - drupe_smp_start), %rax",
    "xorl %ebp, %ebp",
    "call *%rax",
    "ud2",
    ".balign 8",
    "drupe_smp_gdt:",
    ".quad 0",
    ".quad 0x00cf9b000000ffff",
    ".quad 0x00cf93000000ffff",
    ".quad 0x00af9b000000ffff",
    "drupe_smp_gdt_pointer:",
    ".word 31",
    ".long {page} + (drupe_smp_gdt - drupe_smp_start)",
    ".balign 8",
    "drupe_smp_root: .quad 0",
    "drupe_smp_stack: .quad 0",
    "drupe_smp_entry: .quad 0",
    "drupe_smp_lock: .long 0",
    "drupe_smp_end:",
    ".text",
    page = const PAGE,
    options(att_syntax),
);

unsafe extern "C" {
    static drupe_smp_start: u8;
    static drupe_smp_end: u8;
    static drupe_smp_root: u8;
    static drupe_smp_stack: u8;
    static drupe_smp_entry: u8;
    static drupe_smp_lock: u8;
}

/// Takes note of how many processors the machine should have.
pub fn expect(count: usize) {
    EXPECTED.store(count.clamp(1, hal::MAX_VCPUS), Ordering::Relaxed);
}

/// See [`hal::vcpu_start`].
pub fn start(entry: fn() -> !) {
    let expected = EXPECTED.load(Ordering::Relaxed);
    if expected == 1 {
        return;
    }
    ENTRY.store(entry as usize, Ordering::Relaxed);
    let page = PhysAddr(PAGE).pointer();
    let at = |symbol: *const u8| {
        page.wrapping_add(symbol as usize - (&raw const drupe_smp_start) as usize)
    };
    let length = (&raw const drupe_smp_end) as usize - (&raw const drupe_smp_start) as usize;
    // SAFETY: memory below 1 MiB is kept free for this; the other processors do not run yet.
    unsafe {
        page.copy_from_nonoverlapping(&raw const drupe_smp_start, length);
        at(&raw const drupe_smp_root).cast::<u64>().write(tables::root().0);
        at(&raw const drupe_smp_entry).cast::<u64>().write(processor_entry as *const () as u64);
    }
    // Paging is switched on while running at the page's physical address.
    tables::map_identity_page(PAGE);
    let lock = at(&raw const drupe_smp_lock).cast::<u32>();
    let stack = at(&raw const drupe_smp_stack).cast::<u64>();
    let give_stack = || {
        let Some((base, length)) = stacks::allocate() else { exit::fatal("no memory for a vCPU") };
        // SAFETY: the page is ours; the processor that waits for the lock reads it after.
        unsafe { stack.write_volatile((base.get() + length) as u64) };
    };
    give_stack();
    apic::init_others();
    apic::start_others((PAGE >> 12) as u8);
    let mut started = 1;
    let deadline = clock::monotonic() + 2_000_000_000;
    while started < expected {
        if clock::monotonic() > deadline {
            exit::fatal("a vCPU does not start; does the machine have as many as were asked for?");
        }
        if vcpu::count() > started {
            started += 1;
            if started < expected {
                give_stack();
                // SAFETY: the lock word of the start page.
                unsafe { lock.write_volatile(0) };
            }
        }
        arch::cpu::pause();
    }
    tables::unmap_identity_page(PAGE);
}

/// The first kernel code of a further processor.
extern "C" fn processor_entry() -> ! {
    let index = NUMBERED.fetch_add(1, Ordering::SeqCst);
    // SAFETY: once on this processor, with a number and a stack of its own.
    unsafe {
        vcpu::init_this(index);
        let Some((base, length)) = stacks::allocate() else { exit::fatal("no memory for a vCPU") };
        segments::init(Vcpu::of(index), (base.get() + length) as u64);
        traps::init_processor();
    }
    apic::init_this();
    vcpu::COUNT.store(index + 1, Ordering::Release);
    // SAFETY: `start` stored a function of this type.
    let entry: fn() -> ! = unsafe { core::mem::transmute(ENTRY.load(Ordering::Relaxed)) };
    entry()
}

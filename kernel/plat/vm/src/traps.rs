//! Into the kernel and out of it: interrupts, exceptions, system calls.

use core::arch::{asm, global_asm, naked_asm};
use core::mem::offset_of;
use core::sync::atomic::Ordering;

use arch::{Registers, VectorUnit, cpu};

use crate::segments::{KERNEL_CODE, Pointer, USER_BASE, USER_CODE, USER_DATA};
use crate::vcpu::Vcpu;
use crate::{apic, fault};

/// What [`enter_user`] returns.
pub const SYSCALL: u64 = 1;

/// Vectors.
pub const NMI: u64 = 2;
pub const PAGE_FAULT: u64 = 14;
pub const SYSCALL_32: u64 = 0x80;
pub const TIMER: u8 = 0xe0;
pub const KICK: u8 = 0xe1;
pub const SPURIOUS: u8 = 0xff;

/// An entry of the interrupt descriptor table.
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    low: u64,
    high: u64,
}

static mut TABLE: [Gate; 256] = [Gate { low: 0, high: 0 }; 256];

/// What a trap from the kernel leaves on the stack.
#[repr(C)]
pub struct Frame {
    _alignment: u64,
    pub rbp: u64,
    scratch: [u64; 9],
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    cs: u64,
    rflags: u64,
    pub rsp: u64,
    ss: u64,
}

global_asm!(
    // One entry per vector, 16 bytes each: error code (or 0) and vector are on the stack then.
    ".balign 16",
    "drupe_trap_entries:",
    ".set vector, 0",
    ".rept 256",
    ".balign 16",
    ".if (vector == 8) | ((vector >= 10) & (vector <= 14)) | (vector == 17) | (vector == 21) | (vector == 29) | (vector == 30)",
    ".else",
    "push 0",
    ".endif",
    "push vector",
    "jmp drupe_trap",
    ".set vector, vector + 1",
    ".endr",
    "drupe_trap:",
    "test byte ptr [rsp + 24], 3",
    "jz 2f",
    // From a program: its registers go to where the vCPU points, and `enter_user` returns.
    "swapgs",
    "push rax",
    "mov rax, gs:[{registers}]",
    "mov [rax + {rbx}], rbx",
    "mov [rax + {rcx}], rcx",
    "mov [rax + {rdx}], rdx",
    "mov [rax + {rsi}], rsi",
    "mov [rax + {rdi}], rdi",
    "mov [rax + {rbp}], rbp",
    "mov [rax + {r8}], r8",
    "mov [rax + {r9}], r9",
    "mov [rax + {r10}], r10",
    "mov [rax + {r11}], r11",
    "mov [rax + {r12}], r12",
    "mov [rax + {r13}], r13",
    "mov [rax + {r14}], r14",
    "mov [rax + {r15}], r15",
    "pop rcx",
    "mov [rax + {rax}], rcx",
    "pop rcx",
    "mov gs:[{trap_vector}], rcx",
    "pop rdx",
    "mov gs:[{trap_error}], rdx",
    "pop rdx",
    "mov [rax + {rip}], rdx",
    "pop rdx",
    "pop rdx",
    "mov [rax + {rflags}], rdx",
    "pop rdx",
    "mov [rax + {rsp}], rdx",
    // DF, AC and TF are the program's.
    "push 2",
    "popfq",
    "cmp ecx, 14",
    "jne 3f",
    "mov rdx, cr2",
    "mov gs:[{trap_address}], rdx",
    "3:",
    "mov byte ptr gs:[{in_user}], 0",
    "mov eax, 2",
    "jmp drupe_leave_user",
    // From the kernel.
    "2:",
    "push rax",
    "push rcx",
    "push rdx",
    "push rsi",
    "push rdi",
    "push r8",
    "push r9",
    "push r10",
    "push r11",
    "push rbp",
    "sub rsp, 8",
    "cld",
    "mov rdi, rsp",
    "call {kernel_trap}",
    "add rsp, 16",
    "pop r11",
    "pop r10",
    "pop r9",
    "pop r8",
    "pop rdi",
    "pop rsi",
    "pop rdx",
    "pop rcx",
    "pop rax",
    "add rsp, 16",
    "iretq",
    // A system call: rcx is the return address, r11 the flags; interrupts are off.
    "drupe_syscall_entry:",
    "swapgs",
    "mov gs:[{user_rsp}], rsp",
    "mov rsp, gs:[{registers}]",
    "mov [rsp + {rax}], rax",
    "mov [rsp + {rbx}], rbx",
    "mov [rsp + {rcx}], rcx",
    "mov [rsp + {rip}], rcx",
    "mov [rsp + {rdx}], rdx",
    "mov [rsp + {rsi}], rsi",
    "mov [rsp + {rdi}], rdi",
    "mov [rsp + {rbp}], rbp",
    "mov [rsp + {r8}], r8",
    "mov [rsp + {r9}], r9",
    "mov [rsp + {r10}], r10",
    "mov [rsp + {r11}], r11",
    "mov [rsp + {rflags}], r11",
    "mov [rsp + {r12}], r12",
    "mov [rsp + {r13}], r13",
    "mov [rsp + {r14}], r14",
    "mov [rsp + {r15}], r15",
    "mov rax, gs:[{user_rsp}]",
    "mov [rsp + {rsp}], rax",
    "mov byte ptr gs:[{in_user}], 0",
    "mov eax, {syscall}",
    "drupe_leave_user:",
    "mov rsp, gs:[{kernel_rsp}]",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    kernel_trap = sym kernel_trap,
    registers = const offset_of!(Vcpu, registers),
    trap_vector = const offset_of!(Vcpu, trap_vector),
    trap_error = const offset_of!(Vcpu, trap_error),
    trap_address = const offset_of!(Vcpu, trap_address),
    in_user = const offset_of!(Vcpu, in_user),
    kernel_rsp = const offset_of!(Vcpu, kernel_rsp),
    user_rsp = const offset_of!(Vcpu, user_rsp),
    syscall = const SYSCALL,
    rax = const offset_of!(Registers, rax),
    rbx = const offset_of!(Registers, rbx),
    rcx = const offset_of!(Registers, rcx),
    rdx = const offset_of!(Registers, rdx),
    rsi = const offset_of!(Registers, rsi),
    rdi = const offset_of!(Registers, rdi),
    rbp = const offset_of!(Registers, rbp),
    rsp = const offset_of!(Registers, rsp),
    r8 = const offset_of!(Registers, r8),
    r9 = const offset_of!(Registers, r9),
    r10 = const offset_of!(Registers, r10),
    r11 = const offset_of!(Registers, r11),
    r12 = const offset_of!(Registers, r12),
    r13 = const offset_of!(Registers, r13),
    r14 = const offset_of!(Registers, r14),
    r15 = const offset_of!(Registers, r15),
    rip = const offset_of!(Registers, rip),
    rflags = const offset_of!(Registers, rflags),
);

unsafe extern "C" {
    static drupe_trap_entries: u8;
    static drupe_syscall_entry: u8;
}

/// Runs the program whose registers the vCPU points to, until it traps. `fast` says that
/// `sysret` may be used: RCX and R11 hold what it will leave there.
#[unsafe(naked)]
pub unsafe extern "C" fn enter_user(fast: bool) -> u64 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov gs:[{kernel_rsp}], rsp",
        "mov rax, gs:[{trap_stack}]",
        "mov [rax], rsp",
        "mov ecx, edi",
        "mov rdi, gs:[{registers}]",
        "mov rbx, [rdi + {rbx}]",
        "mov rdx, [rdi + {rdx}]",
        "mov rsi, [rdi + {rsi}]",
        "mov rbp, [rdi + {rbp}]",
        "mov r8, [rdi + {r8}]",
        "mov r9, [rdi + {r9}]",
        "mov r10, [rdi + {r10}]",
        "mov r12, [rdi + {r12}]",
        "mov r13, [rdi + {r13}]",
        "mov r14, [rdi + {r14}]",
        "mov r15, [rdi + {r15}]",
        "test cl, cl",
        "jz 2f",
        "mov rcx, [rdi + {rip}]",
        "mov r11, [rdi + {rflags}]",
        "mov rax, [rdi + {rax}]",
        "mov rsp, [rdi + {rsp}]",
        "mov rdi, [rdi + {rdi}]",
        "swapgs",
        "sysretq",
        "2:",
        "push {data}",
        "push [rdi + {rsp}]",
        "push [rdi + {rflags}]",
        "push {code}",
        "push [rdi + {rip}]",
        "mov rax, [rdi + {rax}]",
        "mov rcx, [rdi + {rcx}]",
        "mov r11, [rdi + {r11}]",
        "mov rdi, [rdi + {rdi}]",
        "swapgs",
        "iretq",
        kernel_rsp = const offset_of!(Vcpu, kernel_rsp),
        trap_stack = const offset_of!(Vcpu, trap_stack),
        registers = const offset_of!(Vcpu, registers),
        data = const USER_DATA,
        code = const USER_CODE,
        rax = const offset_of!(Registers, rax),
        rbx = const offset_of!(Registers, rbx),
        rcx = const offset_of!(Registers, rcx),
        rdx = const offset_of!(Registers, rdx),
        rsi = const offset_of!(Registers, rsi),
        rdi = const offset_of!(Registers, rdi),
        rbp = const offset_of!(Registers, rbp),
        rsp = const offset_of!(Registers, rsp),
        r8 = const offset_of!(Registers, r8),
        r9 = const offset_of!(Registers, r9),
        r10 = const offset_of!(Registers, r10),
        r11 = const offset_of!(Registers, r11),
        r12 = const offset_of!(Registers, r12),
        r13 = const offset_of!(Registers, r13),
        r14 = const offset_of!(Registers, r14),
        r15 = const offset_of!(Registers, r15),
        rip = const offset_of!(Registers, rip),
        rflags = const offset_of!(Registers, rflags),
    )
}

extern "C" fn kernel_trap(frame: &mut Frame) {
    match frame.vector {
        vector @ 32.. => interrupt(vector as u8),
        // SAFETY: reads the address of the fault.
        PAGE_FAULT => fault::in_kernel(frame, unsafe { cpu::read_cr2() }),
        NMI => fault::asked_in_kernel(frame),
        _ => fault::kernel_death(frame, 0),
    }
}

/// Serves an interrupt, from whatever it came.
pub fn interrupt(vector: u8) {
    if vector != SPURIOUS {
        apic::end_of_interrupt();
    }
    match vector {
        TIMER => apic::timer_fired(),
        ..TIMER => {
            Vcpu::this().device_events.fetch_add(1, Ordering::Release);
        }
        _ => {}
    }
}

/// Fills the interrupt descriptor table, once.
///
/// # Safety
/// One processor runs.
pub unsafe fn init() {
    const PRESENT_INTERRUPT_GATE: u64 = 0x8e00 << 32;
    const FROM_USER: u64 = 0x6000 << 32;
    for vector in 0..256u64 {
        let address = (&raw const drupe_trap_entries) as u64 + 16 * vector;
        // A double fault, an NMI and a machine check come with a stack of their own.
        let stack = u64::from(matches!(vector, 2 | 8 | 18));
        let user = if matches!(vector, 3 | 4 | SYSCALL_32) { FROM_USER } else { 0 };
        let low = address & 0xffff
            | u64::from(KERNEL_CODE) << 16
            | stack << 32
            | PRESENT_INTERRUPT_GATE
            | user
            | (address & 0xffff_0000) << 32;
        // SAFETY: nobody else uses the table.
        unsafe { TABLE[vector as usize] = Gate { low, high: address >> 32 } };
    }
}

/// Sets up the running processor: traps, system calls, protections, vector unit.
///
/// # Safety
/// [`init`] ran; called once on each processor.
pub unsafe fn init_processor() {
    const STAR: u32 = 0xc000_0081;
    const LSTAR: u32 = 0xc000_0082;
    const SYSCALL_MASK: u32 = 0xc000_0084;
    const EFER: u32 = 0xc000_0080;
    const KERNEL_GS_BASE: u32 = 0xc000_0102;
    // SAFETY: the values are as the processor's manual asks; what is optional is probed.
    unsafe {
        let pointer = Pointer::to((&raw const TABLE).cast::<u8>(), size_of::<[Gate; 256]>());
        asm!("lidt [{}]", in(reg) &raw const pointer, options(nostack, preserves_flags));
        cpu::write_msr(EFER, cpu::read_msr(EFER) | 1);
        cpu::write_msr(STAR, u64::from(USER_BASE) << 48 | u64::from(KERNEL_CODE) << 32);
        cpu::write_msr(LSTAR, (&raw const drupe_syscall_entry) as u64);
        // TF, IF, DF, NT and AC are cleared on entry.
        cpu::write_msr(SYSCALL_MASK, 0x4_4700);
        cpu::write_msr(KERNEL_GS_BASE, 0);

        const PGE: u64 = 1 << 7;
        const OSFXSR_AND_EXCEPTIONS: u64 = 3 << 9;
        let mut cr4 = cpu::read_cr4() | PGE | OSFXSR_AND_EXCEPTIONS;
        let (leaf_1, leaves) = (cpu::cpuid(1, 0), cpu::cpuid_leaves().0);
        let has_xsave = leaf_1.ecx & 1 << 26 != 0;
        if has_xsave {
            cr4 |= 1 << 18;
        }
        if leaves >= 7 {
            let leaf_7 = cpu::cpuid(7, 0);
            let features = [
                (leaf_7.ebx, 0, 16),
                (leaf_7.ebx, 7, 20),
                (leaf_7.ebx, 20, 21),
                (leaf_7.ecx, 2, 11),
            ];
            for (register, bit, control) in features {
                if register & 1 << bit != 0 {
                    cr4 |= 1 << control;
                }
            }
        }
        cpu::write_cr4(cr4);
        if has_xsave {
            cpu::write_xcr0(VectorUnit::available());
        }
    }
}

/// The control register bit of supervisor mode access prevention.
pub const CR4_SMAP: u64 = 1 << 21;

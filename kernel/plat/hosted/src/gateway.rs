//! The gateway: the page whose one `syscall` instruction the seal lets through, and the way
//! into and out of a program.

use core::arch::{global_asm, naked_asm};
use core::mem::offset_of;
use core::sync::atomic::AtomicU32;

use arch::Registers;

use crate::vcpu::Vcpu;

/// What [`enter_user`] returns; the rest of a signal is in the vCPU.
pub mod exit {
    pub const INTERRUPTED: u64 = 0;
    pub const SYSCALL: u64 = 1;
    pub const SIGNAL: u64 = 2;
    /// Nothing: the program is to go on, by way of the pair of [`Vcpu::resume`].
    pub const RESUME: u64 = 3;
}

global_asm!(
    ".section .text.gateway, \"ax\", @progbits",
    ".balign 4096",
    ".global drupe_gateway",
    "drupe_gateway:",
    // host_call(number, a, b, c, d, e, f on the stack)
    ".global drupe_host_call",
    "drupe_host_call:",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    "mov rdx, rcx",
    "mov r10, r8",
    "mov r8, r9",
    "mov r9, [rsp + 8]",
    "syscall",
    "ret",
    // clone(flags, stack): the parent returns; the child takes its start from its stack.
    ".global drupe_clone",
    "drupe_clone:",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "mov eax, 56",
    "syscall",
    "test eax, eax",
    "jz 2f",
    "ret",
    "2:",
    "pop rdi",
    "pop rax",
    "xor ebp, ebp",
    "call rax",
    "ud2",
    // end_thread(word, value): touches no memory after the store.
    ".global drupe_end_thread",
    "drupe_end_thread:",
    "xor edx, edx",
    "mov r8, rdi",
    "mov r9d, esi",
    "mov eax, 14",
    "xor edi, edi",
    "lea rsi, [rip + 5f]",
    "mov r10d, 8",
    "syscall",
    "xor edi, edi",
    "mov [r8], r9d",
    "6:",
    "mov eax, 60",
    "syscall",
    "jmp 6b",
    ".balign 8",
    "5:",
    ".quad -1",
    ".global drupe_restorer",
    "drupe_restorer:",
    "mov eax, 15",
    "syscall",
    "ud2",
    ".balign 4096",
    ".text",
);

unsafe extern "C" {
    /// The gateway page.
    static drupe_gateway: [u8; 4096];
    /// Returns from a signal handler.
    pub fn drupe_restorer();
    fn drupe_end_thread(word: *mut u32, value: u32) -> !;
    fn drupe_clone(flags: usize, stack: *mut u8) -> isize;
    fn drupe_host_call(
        number: usize,
        a: usize,
        b: usize,
        c: usize,
        d: usize,
        e: usize,
        f: usize,
    ) -> isize;
}

/// A call to the host.
///
/// # Safety
/// That of the call.
#[inline]
pub unsafe fn host_call(
    number: usize,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> isize {
    // SAFETY: the caller's.
    unsafe { drupe_host_call(number, a, b, c, d, e, f) }
}

/// Ends the calling thread: blocks its signals, stores `value` in `word`, and from then on
/// uses no memory.
pub fn end_thread(word: &AtomicU32, value: u32) -> ! {
    // SAFETY: the thread ends; its stack is used no more once the word says so.
    unsafe { drupe_end_thread(word.as_ptr(), value) }
}

/// The addresses of the gateway page.
pub fn page() -> core::ops::Range<usize> {
    let start = (&raw const drupe_gateway) as usize;
    start..start + 4096
}

/// `clone`: a new process or thread that runs `start(argument)` on the stack that ends at
/// `stack`. Gives its identity.
///
/// # Safety
/// `stack` is a free stack in the window; `start` never returns; the flags ask for nothing
/// that breaks the caller.
pub unsafe fn clone(
    flags: usize,
    stack: *mut u8,
    start: extern "C" fn(usize) -> !,
    argument: usize,
) -> isize {
    // SAFETY: the caller gives the stack.
    unsafe {
        let frame = stack.cast::<usize>().sub(4);
        frame.write(argument);
        frame.add(1).write(start as usize);
        drupe_clone(flags, frame.cast())
    }
}

/// Runs the program whose registers the vCPU points to. Gives an [`exit`] code when it needs
/// the kernel.
///
/// Entered by a jump and left by one, without the processor's knowledge: its prediction of
/// returns stays right for the program, whose calls and returns go on after the kernel's.
///
/// # Safety
/// The registers are the program's.
#[inline]
pub unsafe fn run_program() -> u64 {
    let code;
    // SAFETY: `enter_user` keeps the registers that a function keeps, and takes the address off
    // the stack.
    unsafe {
        core::arch::asm!(
            "lea rax, [rip + 2f]",
            "push rax",
            "jmp {enter}",
            "2:",
            enter = sym enter_user,
            lateout("rax") code,
            clobber_abi("C"),
        );
    }
    code
}

/// The way in and out.
///
/// Everything between `drupe_enter_check` and `drupe_enter_end` is restartable: a signal that
/// finds it there sets the flag that the check looks at and starts it again, so that no kick is
/// lost between the check and the jump.
#[unsafe(naked)]
unsafe extern "C" fn enter_user() -> u64 {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov gs:[{kernel_rsp}], rsp",
        ".global drupe_enter_check",
        "drupe_enter_check:",
        "cmp qword ptr gs:[{kicked}], 0",
        "jne drupe_enter_interrupted",
        "mov rdi, gs:[{registers}]",
        "mov rax, [rdi + {rip}]",
        "cmp rax, gs:[{resume_program}]",
        "cmove rax, gs:[{resume_actual}]",
        "mov gs:[{jump}], rax",
        "push [rdi + {rflags}]",
        "popfq",
        "mov rax, [rdi + {rax}]",
        "mov rbx, [rdi + {rbx}]",
        "mov rcx, [rdi + {rcx}]",
        "mov rdx, [rdi + {rdx}]",
        "mov rsi, [rdi + {rsi}]",
        "mov rbp, [rdi + {rbp}]",
        "mov r8, [rdi + {r8}]",
        "mov r9, [rdi + {r9}]",
        "mov r10, [rdi + {r10}]",
        "mov r11, [rdi + {r11}]",
        "mov r12, [rdi + {r12}]",
        "mov r13, [rdi + {r13}]",
        "mov r14, [rdi + {r14}]",
        "mov r15, [rdi + {r15}]",
        "mov rsp, [rdi + {rsp}]",
        "mov rdi, [rdi + {rdi}]",
        "mov byte ptr gs:[{in_user}], 1",
        "jmp gs:[{jump}]",
        ".global drupe_enter_end",
        "drupe_enter_end:",
        "drupe_enter_interrupted:",
        "xor eax, eax",
        // The way out of `enter_user`: rax is its result.
        ".global drupe_leave_user",
        "drupe_leave_user:",
        "mov rsp, gs:[{kernel_rsp}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "pop rcx",
        "jmp rcx",
        // Where a patched system call arrives: rcx is where to go on, the word before it leads
        // from there to the program's address behind the call; r11 is free.
        ".global drupe_patched_call",
        "drupe_patched_call:",
        "mov byte ptr gs:[{in_user}], 0",
        "mov r11, gs:[{registers}]",
        "mov [r11 + {rsp}], rsp",
        "mov rsp, gs:[{kernel_rsp}]",
        "mov [r11 + {rax}], rax",
        "movsxd rax, dword ptr [rcx - 4]",
        "add rax, rcx",
        "mov gs:[{resume_program}], rax",
        "mov gs:[{resume_actual}], rcx",
        "mov [r11 + {rip}], rax",
        "mov [r11 + {rcx}], rax",
        "pushfq",
        "pop rcx",
        "mov [r11 + {rflags}], rcx",
        "mov [r11 + {r11}], rcx",
        "mov [r11 + {rbx}], rbx",
        "mov [r11 + {rdx}], rdx",
        "mov [r11 + {rsi}], rsi",
        "mov [r11 + {rdi}], rdi",
        "mov [r11 + {rbp}], rbp",
        "mov [r11 + {r8}], r8",
        "mov [r11 + {r9}], r9",
        "mov [r11 + {r10}], r10",
        "mov [r11 + {r12}], r12",
        "mov [r11 + {r13}], r13",
        "mov [r11 + {r14}], r14",
        "mov [r11 + {r15}], r15",
        // DF, AC and TF must not reach the kernel.
        "test ecx, 0x40500",
        "jnz 4f",
        "5:",
        "mov eax, {syscall}",
        "jmp drupe_leave_user",
        "4:",
        "push 2",
        "popfq",
        "jmp 5b",
        kernel_rsp = const offset_of!(Vcpu, kernel_rsp),
        kicked = const offset_of!(Vcpu, kicked),
        registers = const offset_of!(Vcpu, registers),
        jump = const offset_of!(Vcpu, jump),
        in_user = const offset_of!(Vcpu, in_user),
        resume_program = const offset_of!(Vcpu, resume_program),
        resume_actual = const offset_of!(Vcpu, resume_actual),
        syscall = const exit::SYSCALL,
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

unsafe extern "C" {
    static drupe_enter_check: u8;
    static drupe_enter_end: u8;
    static drupe_patched_call: u8;
}

/// Where patched system calls enter the kernel.
pub fn patched_entry() -> u64 {
    (&raw const drupe_patched_call) as u64
}

/// Whether this is the first instruction of the way in, where the vCPU does not know yet that the
/// program has ended.
pub fn is_entry(address: usize) -> bool {
    address as u64 == patched_entry()
}

/// The restartable addresses of [`enter_user`].
pub fn restartable() -> core::ops::Range<usize> {
    (&raw const drupe_enter_check) as usize..(&raw const drupe_enter_end) as usize
}

/// Leaves the user program that this host thread was running, from a signal handler: the
/// handler's frame is abandoned and [`run_program`] gives `code`.
///
/// # Safety
/// The vCPU's registers hold the program's, and GS points to the vCPU.
#[unsafe(naked)]
pub unsafe extern "C" fn leave_user(code: u64) -> ! {
    naked_asm!("mov rax, rdi", "jmp drupe_leave_user")
}

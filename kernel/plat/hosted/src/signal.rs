//! Host signals. Most are a program's doing and make [`run_program`](crate::gateway::run_program)
//! return; a kick that finds kernel code only sets a flag; any other signal in kernel code is
//! the kernel's death.

use arch::{Registers, VectorUnit};
use core::fmt::Write;
use core::sync::atomic::Ordering;
use hal::{Platform, Report};

use crate::gateway::{self, drupe_restorer, exit, host_call};
use crate::platform::{Hosted, Text, die};
use crate::slot::Slot;
use crate::text::Place;
use crate::vcpu::{Signal, Vcpu};
use crate::{host, stop, user, watchdog, window};

pub const SIGILL: i32 = 4;
pub const SIGTRAP: i32 = 5;
pub const SIGBUS: i32 = 7;
pub const SIGFPE: i32 = 8;
pub const SIGSEGV: i32 = 11;
pub const SIGSYS: i32 = 31;
/// The kick. By default a process ignores it, so that one that meets a stranger (whose process
/// has taken the number of one of ours) does no harm.
pub const SIGKICK: i32 = 23;

/// The host asks a kernel that does not answer what it does.
const SIGQUIT: i32 = 3;

const HANDLED: [i32; 8] = [SIGQUIT, SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGSYS, SIGKICK];

/// `struct siginfo`, as far as it is needed.
#[repr(C)]
struct SignalInfo {
    number: i32,
    error: i32,
    code: i32,
    _padding: i32,
    address: u64,
    syscall: i32,
    architecture: u32,
}

/// `struct ucontext`, up to what is needed.
#[repr(C)]
struct SignalContext {
    _flags: u64,
    _link: u64,
    _stack: [u64; 3],
    r8: u64,
    r9: u64,
    r10: u64,
    r11: u64,
    r12: u64,
    r13: u64,
    r14: u64,
    r15: u64,
    rdi: u64,
    rsi: u64,
    rbp: u64,
    rbx: u64,
    rdx: u64,
    rax: u64,
    rcx: u64,
    rsp: u64,
    rip: u64,
    rflags: u64,
    _segments: u64,
    error: u64,
    trap: u64,
    _old_mask: u64,
    cr2: u64,
    vectors: *const u8,
}

/// `struct sigaction` of the kernel.
#[repr(C)]
struct Action {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Installs the handlers. They are inherited by every process and thread.
pub fn install() -> Result<(), host::HostError> {
    const SA_SIGINFO: u64 = 4;
    const SA_RESTORER: u64 = 0x0400_0000;
    const SA_ONSTACK: u64 = 0x0800_0000;
    const SA_NODEFER: u64 = 0x4000_0000;
    let action = Action {
        handler: handle as *const () as usize,
        flags: SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_NODEFER,
        restorer: drupe_restorer as *const () as usize,
        mask: 0,
    };
    for number in HANDLED {
        let pointer = (&raw const action) as usize;
        // SAFETY: the handler is written for these signals.
        host::check(unsafe {
            host_call(host::RT_SIGACTION, number as usize, pointer, 0, 8, 0, 0)
        })?;
    }
    Ok(())
}

/// Sends the kick to a thread of the instance. It may have ended: nobody minds.
pub fn send_kick(process: u32, thread: u32) {
    // SAFETY: the signal is handled everywhere, and ignored by strangers.
    unsafe {
        host_call(host::TGKILL, process as usize, thread as usize, SIGKICK as usize, 0, 0, 0)
    };
}

unsafe extern "Rust" {
    safe fn drupe_kernel_last_words();
}

extern "C" fn handle(number: i32, info: *const SignalInfo, context: *mut SignalContext) {
    // SAFETY: the host gives both; nobody else uses them.
    let (info, context) = unsafe { (&*info, &mut *context) };
    let slot = current_slot(info);
    let vcpu = Vcpu::this();
    let address = context.rip as usize;
    let restartable = gateway::restartable();
    if number == SIGQUIT {
        return asked(slot, vcpu, context);
    }
    if number == SIGKICK {
        stop::answer(vcpu);
        if restartable.contains(&address) {
            context.rip = restartable.start as u64;
            context.rsp = vcpu.kernel_rsp;
            context.rflags = 0x202;
            vcpu.in_user.store(false, Ordering::Relaxed);
        }
        if in_kernel(address, vcpu) {
            // Not a thread that has given the token away and gets a late kick; not the handler of
            // another signal, which is on a stack of the kernel.
            let is_program = core::ptr::eq(vcpu.slot(), slot)
                && vcpu.in_user.load(Ordering::Relaxed)
                && !window::contains(context.rsp);
            if is_program && !gateway::is_entry(address) {
                die("the program jumped into its kernel");
            }
            if vcpu.accused.load(Ordering::Relaxed) {
                crate::platform::backtrace(context.rip, context.rbp);
                die(watchdog::reason(vcpu).as_str());
            }
            vcpu.mark_kicked();
            return;
        }
        capture(context, vcpu, slot);
        // SAFETY: the registers are captured.
        unsafe { gateway::leave_user(exit::INTERRUPTED) };
    }
    if number == SIGTRAP && is_entering(vcpu, address, &restartable) {
        return;
    }
    if in_kernel(address, vcpu) {
        if (number == SIGSEGV || number == SIGBUS)
            && let Some(fixup) = user::fixup(address)
        {
            context.rip = fixup as u64;
            return;
        }
        kernel_death(number, info, context);
    }
    capture(context, vcpu, slot);
    if let Some(code) = correct(number, context, vcpu, slot) {
        // SAFETY: the registers are captured.
        unsafe { gateway::leave_user(code) };
    }
    let signal = Signal {
        number,
        code: if number == SIGSYS { info.architecture as i32 } else { info.code },
        address: if number == SIGSEGV || number == SIGBUS { info.address } else { 0 },
        trap: context.trap,
        error: context.error,
    };
    // SAFETY: only the token's holder touches the cell.
    unsafe { vcpu.signal.get().write(signal) };
    // SAFETY: the registers are captured.
    unsafe { gateway::leave_user(exit::SIGNAL) };
}

/// The host asks what this thread does: the one that holds a token tells, and that of the first
/// vCPU the rest.
fn asked(slot: &Slot, vcpu: &Vcpu, context: &SignalContext) {
    if !core::ptr::eq(vcpu.slot(), slot) {
        return;
    }
    let mut text = Text::new();
    let index = vcpu.index;
    if in_kernel(context.rip as usize, vcpu) {
        let _ = write!(text, "vCPU {index} is in the kernel");
        Hosted::report(Report::TaskDump, 0, text.as_str().as_bytes());
        crate::platform::backtrace(context.rip, context.rbp);
    } else {
        let _ = write!(text, "vCPU {index} runs a program, instruction {:#x}", context.rip);
        Hosted::report(Report::TaskDump, 0, text.as_str().as_bytes());
    }
    if index == 0 {
        drupe_kernel_last_words();
        Hosted::report(Report::DumpEnd, 0, &[]);
    }
}

/// Whether a single-step trap came on the way into a program whose trap flag is set, up to and
/// before its first instruction: the step is still to come.
fn is_entering(vcpu: &Vcpu, address: usize, restartable: &core::ops::Range<usize>) -> bool {
    if restartable.contains(&address) {
        vcpu.stepping.store(true, Ordering::Relaxed);
        return true;
    }
    address as u64 == vcpu.jump && vcpu.stepping.swap(false, Ordering::Relaxed)
}

/// The slot of the interrupted thread. A program that changed GS has cut off its kernel.
fn current_slot(info: &SignalInfo) -> &'static Slot {
    let here = (&raw const *info) as usize;
    // SAFETY: signals arrive on the alternate stack of the thread's slot.
    let slot = unsafe { Slot::of_stack(here) };
    // SAFETY: FSGSBASE was probed at the start.
    let base = unsafe { arch::cpu::read_gs_base() };
    let valid =
        (0..crate::vcpu::count()).any(|index| core::ptr::eq(Vcpu::of(index), base as *const Vcpu));
    if !valid {
        Vcpu::of(0).take(slot);
        die("the program changed the GS base, which the process platform needs");
    }
    slot
}

fn in_kernel(address: usize, vcpu: &Vcpu) -> bool {
    !vcpu.in_user.load(Ordering::Relaxed) || window::contains(address as u64)
}

/// Whether a signal came only because the text is patched, and how to go on then.
fn correct(number: i32, context: &SignalContext, vcpu: &Vcpu, slot: &Slot) -> Option<u64> {
    const DEBUG: u64 = 1;
    const INVALID_OPCODE: u64 = 6;
    const PROTECTION: u64 = 13;
    // SAFETY: a space lives as long as a thread of it holds a token; the registers are the
    // running program's, captured.
    let (texts, registers) = unsafe {
        let space = &*slot.space.load(Ordering::Relaxed);
        (space.texts.lock(), &mut *vcpu.registers.load(Ordering::Relaxed))
    };
    match (number, context.trap) {
        (SIGILL, INVALID_OPCODE) | (SIGSEGV, PROTECTION) => {
            // A jump to an instruction that was overwritten.
            let actual = texts.continuation(context.rip)?;
            vcpu.set_resume([context.rip, actual]);
            Some(exit::RESUME)
        }
        (SIGTRAP, DEBUG) => {
            // A single step into a stub is none of the program's.
            let Place::Stub { program, is_start: true } = texts.place(context.rip) else {
                return None;
            };
            if let Some(actual) = texts.continuation(program + 2) {
                // The step over the call: it is made at once.
                (registers.rip, registers.rcx) = (program + 2, program + 2);
                registers.r11 = registers.rflags;
                vcpu.set_resume([registers.rip, actual]);
                return Some(exit::SYSCALL);
            }
            vcpu.set_resume([program, context.rip]);
            Some(exit::RESUME)
        }
        _ => None,
    }
}

/// Takes the program's registers from the signal frame, with the address that the program has
/// without patches; the vector registers become live again.
fn capture(context: &SignalContext, vcpu: &Vcpu, slot: &Slot) {
    vcpu.in_user.store(false, Ordering::Relaxed);
    vcpu.set_resume([0, 0]);
    // SAFETY: a program runs: the pointer is that of its registers. A space lives as long as a
    // thread of it holds a token.
    let (registers, space) = unsafe {
        let space = &*slot.space.load(Ordering::Relaxed);
        (&mut *vcpu.registers.load(Ordering::Relaxed), space)
    };
    let place = space.texts.lock().place(context.rip);
    let rip = if let Place::Stub { program, .. } = place { program } else { context.rip };
    *registers = Registers {
        rax: context.rax,
        rbx: context.rbx,
        rcx: context.rcx,
        rdx: context.rdx,
        rsi: context.rsi,
        rdi: context.rdi,
        rbp: context.rbp,
        rsp: context.rsp,
        r8: context.r8,
        r9: context.r9,
        r10: context.r10,
        r11: context.r11,
        r12: context.r12,
        r13: context.r13,
        r14: context.r14,
        r15: context.r15,
        rip,
        rflags: context.rflags,
        fs_base: registers.fs_base,
        gs_base: registers.gs_base,
    };
    // SAFETY: the host made the frame, in the processor's format.
    unsafe { unit().restore_raw(context.vectors) };
}

/// The vector unit, probed once.
pub fn unit() -> &'static VectorUnit {
    static UNIT: spin::Once<VectorUnit> = spin::Once::new();
    UNIT.call_once(VectorUnit::probe)
}

fn kernel_death(number: i32, info: &SignalInfo, context: &SignalContext) -> ! {
    let base = window::range().start;
    let mut text = Text::new();
    let _ = write!(
        text,
        "host signal {number} (code {}) in the kernel at image+{:#x}, address {:#x}, stack {:#x}",
        info.code,
        context.rip.wrapping_sub(base),
        info.address,
        context.rsp,
    );
    let _ = write!(
        text,
        ", rax {:#x} rbx {:#x} rdi {:#x} rsi {:#x}",
        context.rax, context.rbx, context.rdi, context.rsi
    );
    Hosted::report(Report::Panic, 0, text.as_str().as_bytes());
    crate::platform::backtrace(context.rip, context.rbp);
    drupe_kernel_last_words();
    Hosted::exit(125)
}

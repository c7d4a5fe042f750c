//! The frame that a handler finds on its stack (`struct rt_sigframe`), and the way back.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use arch::{VectorUnit, flags};
use errno::Errno;

use super::action::{Handler, SA_ONSTACK, SA_RESTORER};
use super::{Action, Info, Set};
use crate::error::{Result, fail};
use crate::layout;
use crate::memory::TASK_END;
use crate::thread::Thread;
use crate::user;

layout! {
    /// Return address, `struct ucontext`, `siginfo_t`.
    pub struct Frame {
        pub return_address: u64,
        pub context_flags: u64,
        pub context_link: u64,
        pub stack_base: u64,
        pub stack_flags: u32,
        pub stack_padding: u32,
        pub stack_size: u64,
        pub r8: u64,
        pub r9: u64,
        pub r10: u64,
        pub r11: u64,
        pub r12: u64,
        pub r13: u64,
        pub r14: u64,
        pub r15: u64,
        pub rdi: u64,
        pub rsi: u64,
        pub rbp: u64,
        pub rbx: u64,
        pub rdx: u64,
        pub rax: u64,
        pub rcx: u64,
        pub rsp: u64,
        pub rip: u64,
        pub rflags: u64,
        pub cs: u16,
        pub gs: u16,
        pub fs: u16,
        pub ss: u16,
        pub error: u64,
        pub trap: u64,
        pub old_mask: u64,
        pub cr2: u64,
        pub vectors: u64,
        pub reserved: [u64; 8],
        pub mask: u64,
    }
}

/// Bytes of a frame, `siginfo_t` included.
const FRAME_LEN: u64 = <Frame as crate::abi::Layout>::SIZE as u64 + 128;

/// Bytes below the stack pointer that a program may use without saying so.
const RED_ZONE: u64 = 128;

const CONTEXT_FLAGS: u64 = 1 | 2 | 4;
const USER_CS: u16 = 0x33;
const USER_SS: u16 = 0x2b;

const MAGIC_1: u32 = 0x4650_5853;
const MAGIC_2: u32 = 0x4650_5845;
/// Where the software's part of the `FXSAVE` area is.
const SOFTWARE: usize = 464;

const SS_ONSTACK: u32 = 1;
const SS_DISABLE: u32 = 2;
const SS_AUTODISARM: u32 = 1 << 31;

fn vector_unit() -> VectorUnit {
    static UNIT: spin::Once<VectorUnit> = spin::Once::new();
    *UNIT.call_once(VectorUnit::probe)
}

/// The vector registers as signal frames hold them: the standard format, with what else is
/// there said in the software's part.
fn vector_image(state: &arch::VectorState) -> Vec<u8> {
    let unit = vector_unit();
    let mut image = state.bytes()[..unit.length].to_vec();
    if unit.length > 512 {
        let total = unit.length as u32 + 4;
        image[SOFTWARE..SOFTWARE + 4].copy_from_slice(&MAGIC_1.to_le_bytes());
        image[SOFTWARE + 4..SOFTWARE + 8].copy_from_slice(&total.to_le_bytes());
        image[SOFTWARE + 8..SOFTWARE + 16].copy_from_slice(&unit.components.to_le_bytes());
        image[SOFTWARE + 16..SOFTWARE + 20].copy_from_slice(&(unit.length as u32).to_le_bytes());
        image.extend_from_slice(&MAGIC_2.to_le_bytes());
    }
    image
}

/// Lays the frame for a handler and makes the program start it.
pub fn push(thread: &Thread, signal: u8, info: &Info, action: &Action, mask: Set) -> Result<()> {
    let Handler::Function(handler) = action.handler else { return Ok(()) };
    let mut context = sched::context();
    let image = vector_image(context.vectors());
    let registers = context.registers;
    // Not held while the frame is written: that may sleep.
    drop(context);
    let mut alternate = thread.signals.stack.lock();
    let stack = *alternate;
    let on_alternate = is_on(&stack, registers.rsp);
    let use_alternate = action.flags & SA_ONSTACK != 0 && stack.size > 0 && !on_alternate;
    let top =
        if use_alternate { stack.base + stack.size } else { registers.rsp.wrapping_sub(RED_ZONE) };
    let vectors = top.wrapping_sub(image.len() as u64) & !63;
    let bottom = (vectors.wrapping_sub(FRAME_LEN) & !15).wrapping_sub(8);
    if (use_alternate || on_alternate) && bottom < stack.base {
        return fail(Errno::EFAULT);
    }
    let state = if stack.size == 0 {
        SS_DISABLE
    } else if on_alternate {
        SS_ONSTACK
    } else {
        0
    } | if stack.auto_disarm { SS_AUTODISARM } else { 0 };
    if stack.auto_disarm {
        *alternate = super::AlternateStack::default();
    }
    drop(alternate);
    let [trap, error, cr2] = *thread.signals.fault.lock();
    let frame = Frame {
        return_address: if action.flags & SA_RESTORER != 0 { action.restorer } else { 0 },
        context_flags: CONTEXT_FLAGS,
        context_link: 0,
        stack_base: stack.base,
        stack_flags: state,
        stack_padding: 0,
        stack_size: stack.size,
        r8: registers.r8,
        r9: registers.r9,
        r10: registers.r10,
        r11: registers.r11,
        r12: registers.r12,
        r13: registers.r13,
        r14: registers.r14,
        r15: registers.r15,
        rdi: registers.rdi,
        rsi: registers.rsi,
        rbp: registers.rbp,
        rbx: registers.rbx,
        rdx: registers.rdx,
        rax: registers.rax,
        rcx: registers.rcx,
        rsp: registers.rsp,
        rip: registers.rip,
        rflags: registers.rflags,
        cs: USER_CS,
        gs: 0,
        fs: 0,
        ss: USER_SS,
        error,
        trap,
        old_mask: mask,
        cr2,
        vectors,
        reserved: [0; 8],
        mask,
    };
    user::write_bytes(vectors, &image)?;
    user::write(bottom, &frame)?;
    let information = bottom + <Frame as crate::abi::Layout>::SIZE as u64;
    user::write_bytes(information, &info.encode(signal))?;
    let mut context = sched::context();
    let registers = &mut context.registers;
    registers.rip = handler;
    registers.rsp = bottom;
    registers.rdi = u64::from(signal);
    registers.rsi = information;
    registers.rdx = bottom + 8;
    registers.rax = 0;
    registers.rflags &= !(flags::DIRECTION | flags::TRAP | flags::RESUME);
    Ok(())
}

/// Whether a stack pointer is on an alternate stack.
pub fn is_on(stack: &super::AlternateStack, pointer: u64) -> bool {
    stack.size > 0
        && !stack.auto_disarm
        && pointer > stack.base
        && pointer - stack.base <= stack.size
}

/// `rt_sigreturn(2)`: puts everything back as the frame says.
pub fn rt_sigreturn(thread: &Thread, _: [u64; 6]) -> Result {
    let stack_pointer = sched::context().registers.rsp;
    // The handler's return took the return address off.
    let bottom = stack_pointer.wrapping_sub(8);
    let Ok(frame) = user::read::<Frame>(bottom) else { return bad_frame(thread) };
    if frame.rip >= TASK_END {
        return bad_frame(thread);
    }
    let unit = vector_unit();
    let image = if frame.vectors == 0 {
        None
    } else {
        let Ok(image) = user::read_bytes(frame.vectors, unit.length) else {
            return bad_frame(thread);
        };
        Some(image)
    };
    let mut context = sched::context();
    if let Some(image) = image {
        let magic = image[SOFTWARE..SOFTWARE + 4] == MAGIC_1.to_le_bytes();
        let length = if magic { image.len() } else { 512 };
        context.vectors_mut().load(&unit, &image[..length]);
    }
    let registers = &mut context.registers;
    registers.r8 = frame.r8;
    registers.r9 = frame.r9;
    registers.r10 = frame.r10;
    registers.r11 = frame.r11;
    registers.r12 = frame.r12;
    registers.r13 = frame.r13;
    registers.r14 = frame.r14;
    registers.r15 = frame.r15;
    registers.rdi = frame.rdi;
    registers.rsi = frame.rsi;
    registers.rbp = frame.rbp;
    registers.rbx = frame.rbx;
    registers.rdx = frame.rdx;
    registers.rax = frame.rax;
    registers.rcx = frame.rcx;
    registers.rsp = frame.rsp;
    registers.rip = frame.rip;
    registers.rflags = frame.rflags & flags::USER | flags::ALWAYS_ONE | flags::INTERRUPT;
    let result = registers.rax;
    drop(context);
    thread.signals.set_mask(frame.mask);
    let stack = super::AlternateStack {
        base: frame.stack_base,
        size: if frame.stack_flags & SS_DISABLE != 0 { 0 } else { frame.stack_size },
        auto_disarm: frame.stack_flags & SS_AUTODISARM != 0,
    };
    *thread.signals.stack.lock() = stack;
    thread.attention.store(true, Ordering::SeqCst);
    Ok(result)
}

fn bad_frame(thread: &Thread) -> Result {
    use crate::process::{Status, end_group};
    crate::report::fatal_signal(thread, super::number::SIGSEGV, &Info::kernel());
    end_group(thread, Status::Killed { signal: super::number::SIGSEGV, core: true })
}

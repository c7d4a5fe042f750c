//! Faults: of programs, turned into exits; of the kernel, resolved or its end.

use core::fmt::Write;
use core::sync::atomic::Ordering;

use hal::{Access, Cause, Exception, Report, UserExit};

use crate::space::{self, Failure};
use crate::traps::{Frame, NMI, PAGE_FAULT, SYSCALL_32, interrupt};
use crate::vcpu::{self, Vcpu};
use crate::{exit, stacks, tables, user};

// Bits of a page fault's error code.
const WRITE: u64 = 1 << 1;
const FETCH: u64 = 1 << 4;

/// Turns a trap of a program into its exit; `None`: it was resolved, the program goes on.
pub fn of_program(vcpu: &Vcpu) -> Option<UserExit> {
    let exception = match vcpu.trap_vector {
        PAGE_FAULT => {
            let access = access(vcpu.trap_error);
            let Err(failure) = space::resolve(vcpu.trap_address, access) else { return None };
            let cause = cause(failure);
            return Some(UserExit::Fault { address: vcpu.trap_address, access, cause });
        }
        SYSCALL_32 => return Some(UserExit::Syscall32),
        NMI => {
            asked_in_program(vcpu);
            return None;
        }
        vector @ 32.. => {
            interrupt(vector as u8);
            return Some(UserExit::Interrupted);
        }
        0 => Exception::Divide,
        1 => Exception::Debug,
        3 => Exception::Breakpoint,
        4 => Exception::Overflow,
        5 => Exception::Bound,
        6 => Exception::InvalidOpcode,
        13 => Exception::Protection,
        16 => Exception::FloatingPoint,
        17 => Exception::Alignment,
        19 => Exception::SimdFloatingPoint,
        other => Exception::Other(other as u8),
    };
    Some(UserExit::Exception(exception))
}

fn access(error: u64) -> Access {
    if error & FETCH != 0 {
        Access::Execute
    } else if error & WRITE != 0 {
        Access::Write
    } else {
        Access::Read
    }
}

fn cause(failure: Failure) -> Cause {
    match failure {
        Failure::Unmapped => Cause::Unmapped,
        Failure::Protection => Cause::Protection,
        Failure::NoMemory => Cause::NoMemory,
    }
}

/// A page fault of kernel code: one at a user copy is resolved or makes the copy end early.
pub fn in_kernel(frame: &mut Frame, address: u64) {
    let Some(fixup) = user::fixup(frame.rip) else { kernel_death(frame, address) };
    if space::resolve(address, access(frame.error)).is_err() {
        frame.rip = fixup;
    }
}

/// The kernel met a trap that it has no use for.
pub fn kernel_death(frame: &Frame, address: u64) -> ! {
    let mut text = Text::new();
    let what = if frame.vector == 8 && stacks::is_guard(frame.rsp.wrapping_sub(8)) {
        "kernel stack overflow, trap"
    } else {
        "trap"
    };
    let base = tables::image() as u64;
    let _ = write!(
        text,
        "{what} {} (error {:#x}) in the kernel at image+{:#x}, address {address:#x}, stack {:#x}",
        frame.vector,
        frame.error,
        frame.rip.wrapping_sub(base),
        frame.rsp,
    );
    exit::report(Report::Panic, 0, text.bytes());
    backtrace(frame);
    drupe_kernel_last_words();
    exit::exit(125)
}

/// Reports where the kernel was when it was interrupted.
fn backtrace(frame: &Frame) {
    const MOST: usize = 32;
    let base = tables::image() as u64;
    let mut addresses = [0u8; 8 * MOST];
    let (mut address, mut at) = (frame.rip, frame.rbp);
    let mut length = 0;
    while length < addresses.len() {
        addresses[length..length + 8].copy_from_slice(&address.wrapping_sub(base).to_le_bytes());
        length += 8;
        if !at.is_multiple_of(8) || !stacks::is_stack(at) || !stacks::is_stack(at + 8) {
            break;
        }
        // SAFETY: two words of a kernel stack, which stays mapped for ever.
        let (next, back) = unsafe { (*(at as *const u64), *((at + 8) as *const u64)) };
        if back == 0 || next <= at {
            break;
        }
        (at, address) = (next, back);
    }
    exit::report(Report::Backtrace, abi_report::FIRST_IS_EXACT, &addresses[..length]);
}

/// The vCPU was asked by NMI what it does, and it runs a program. An answer must not come in the
/// middle of another frame, which this very vCPU may be sending.
fn asked_in_program(vcpu: &Vcpu) {
    if exit::is_reporting() {
        return;
    }
    // SAFETY: the pointer is that of the program's registers.
    let registers = unsafe { &*vcpu.registers.load(Ordering::Relaxed) };
    let mut text = Text::new();
    let _ = write!(text, "vCPU {} runs a program, instruction {:#x}", vcpu.index, registers.rip);
    exit::report(Report::TaskDump, 0, text.bytes());
    asked(vcpu.index);
}

/// The vCPU was asked by NMI what it does, and it is in the kernel.
pub fn asked_in_kernel(frame: &Frame) {
    if exit::is_reporting() {
        return;
    }
    let mut text = Text::new();
    // An NMI may come between the entry from a program and the exchange of GS.
    let index = vcpu::running().map(|vcpu| vcpu.index);
    let _ = match index {
        Some(index) => write!(text, "vCPU {index} is in the kernel"),
        None => write!(text, "a vCPU is on its way into the kernel"),
    };
    exit::report(Report::TaskDump, 0, text.bytes());
    backtrace(frame);
    if let Some(index) = index {
        asked(index);
    }
}

/// The host asks all vCPUs when nothing else has helped: the first one tells the rest, once.
fn asked(index: u32) {
    if index == 0 {
        drupe_kernel_last_words();
        exit::report(Report::DumpEnd, 0, &[]);
    }
}

unsafe extern "Rust" {
    safe fn drupe_kernel_last_words();
}

struct Text {
    bytes: [u8; 256],
    len: usize,
}

impl Text {
    const fn new() -> Self {
        Self { bytes: [0; 256], len: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for &byte in text.as_bytes() {
            *self.bytes.get_mut(self.len).ok_or(core::fmt::Error)? = byte;
            self.len += 1;
        }
        Ok(())
    }
}

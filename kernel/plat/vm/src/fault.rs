//! Faults: of programs, turned into exits; of the kernel, resolved or its end.

use core::fmt::Write;

use hal::{Access, Cause, Exception, Report, UserExit};

use crate::space::{self, Failure};
use crate::traps::{Frame, PAGE_FAULT, SYSCALL_32, interrupt};
use crate::vcpu::Vcpu;
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
    let mut text = Text { bytes: [0; 256], len: 0 };
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
    exit::report(Report::Panic, 0, &text.bytes[..text.len]);
    exit::report(
        Report::Backtrace,
        abi_report::FIRST_IS_EXACT,
        &frame.rip.wrapping_sub(base).to_le_bytes(),
    );
    exit::exit(125)
}

struct Text {
    bytes: [u8; 256],
    len: usize,
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

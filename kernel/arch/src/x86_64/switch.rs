//! The switch between two kernel stacks.

use core::arch::naked_asm;

/// A suspended stack: where its saved registers are.
pub type StackPointer = *mut u8;

/// Suspends the running stack, stores its pointer in `save` and resumes `next`. Returns when
/// somebody resumes the suspended stack; what it returns is the `carry` that the resumer gave.
///
/// Only the registers that the C calling convention preserves are saved: kernels use no
/// vector registers.
///
/// # Safety
/// `next` came from this function or from [`prepare_stack`], and nobody else resumes it;
/// `save` stays valid until the switch is done.
#[unsafe(naked)]
pub unsafe extern "C" fn switch_stacks(
    save: *mut StackPointer,
    next: StackPointer,
    carry: usize,
) -> usize {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "mov rax, rdx",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

/// The first frame of a new stack: calls `r12(rax, r13)`.
#[unsafe(naked)]
unsafe extern "C" fn start() {
    naked_asm!("mov rdi, rax", "mov rsi, r13", "xor ebp, ebp", "call r12", "ud2")
}

/// Lays the first frame on a new stack that ends at `top`. When it is first resumed, it calls
/// `entry(carry, argument)`.
///
/// # Safety
/// At least 128 bytes below `top` are writable and nobody else's; `top` is a multiple of 16.
pub unsafe fn prepare_stack(
    top: *mut u8,
    entry: extern "C" fn(carry: usize, argument: usize) -> !,
    argument: usize,
) -> StackPointer {
    let frame = [
        0,                           // r15
        0,                           // r14
        argument,                    // r13
        entry as usize,              // r12
        0,                           // rbx
        0,                           // rbp
        start as *const () as usize, // return address
        0,                           // ends a backtrace, and aligns the call in `start`
    ];
    // SAFETY: the caller gives at least 128 writable bytes below `top`.
    unsafe {
        let pointer = top.cast::<usize>().sub(frame.len());
        pointer.copy_from_nonoverlapping(frame.as_ptr(), frame.len());
        pointer.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static mut MAIN: StackPointer = core::ptr::null_mut();
    static mut OTHER: StackPointer = core::ptr::null_mut();

    extern "C" fn entry(carry: usize, argument: usize) -> ! {
        let mut carry = carry + argument;
        loop {
            // SAFETY: one thread runs both stacks.
            carry = unsafe { switch_stacks(&raw mut OTHER, MAIN, carry) } + 1;
        }
    }

    #[test]
    fn a_new_stack_is_entered_and_resumed() {
        let mut stack = vec![0u128; 4096];
        let top = stack.as_mut_ptr_range().end.cast();
        // SAFETY: the stack lives until the end of the test; one thread runs both stacks.
        unsafe {
            OTHER = prepare_stack(top, entry, 100);
            assert_eq!(switch_stacks(&raw mut MAIN, OTHER, 1), 101);
            assert_eq!(switch_stacks(&raw mut MAIN, OTHER, 7), 8);
        }
    }
}

//! The integer registers of an interrupted or trapped user program.

/// All registers that a user program sees, besides the vector unit's. The layout is known to
/// the assembly of the platforms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[allow(missing_docs, reason = "the fields are the processor's own names")]
pub struct Registers {
    pub rax: u64,
    pub rbx: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub rbp: u64,
    pub rsp: u64,
    pub r8: u64,
    pub r9: u64,
    pub r10: u64,
    pub r11: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
    pub rip: u64,
    pub rflags: u64,
    pub fs_base: u64,
    pub gs_base: u64,
}

/// Bits of RFLAGS.
#[allow(missing_docs, reason = "the processor's own names")]
pub mod flags {
    pub const CARRY: u64 = 1 << 0;
    pub const ALWAYS_ONE: u64 = 1 << 1;
    pub const TRAP: u64 = 1 << 8;
    pub const INTERRUPT: u64 = 1 << 9;
    pub const DIRECTION: u64 = 1 << 10;
    pub const IOPL: u64 = 3 << 12;
    pub const NESTED: u64 = 1 << 14;
    pub const RESUME: u64 = 1 << 16;
    pub const ALIGNMENT_CHECK: u64 = 1 << 18;
    /// The bits that a program may set for itself (and that a signal frame may restore).
    pub const USER: u64 = 0xcd5 | TRAP | DIRECTION | ALIGNMENT_CHECK | RESUME;
}

impl Registers {
    /// The number of the system call that the program asked for.
    pub fn syscall_number(&self) -> u64 {
        self.rax
    }

    /// The six arguments of the system call.
    pub fn syscall_arguments(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }

    /// Sets the result of the system call.
    pub fn set_syscall_result(&mut self, value: u64) {
        self.rax = value;
    }
}

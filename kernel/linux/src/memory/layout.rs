//! Where a program's parts are put, drawn at random for every start.

use crate::random;

/// One more than the highest address of a program.
pub const TASK_END: u64 = 0x7fff_ffff_f000;

/// Addresses of a program's parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layout {
    /// Mappings grow down from here.
    pub map_top: u64,
    /// The top of the stack.
    pub stack_top: u64,
    /// Where a position-independent program is loaded.
    pub program_base: u64,
    /// The heap's start.
    pub heap_start: u64,
    /// The arguments' strings, for `/proc/self/cmdline`.
    pub arguments: (u64, u64),
    /// The environment's strings.
    pub environment: (u64, u64),
    /// The program's text and data, for `/proc/self/stat`.
    pub text: (u64, u64),
    /// The initial stack pointer.
    pub stack_start: u64,
}

/// Bytes of the main thread's stack.
pub const STACK_LEN: u64 = 8 << 20;

impl Layout {
    /// A new layout. The amounts of randomness are those of Linux: 28 bits of pages for mappings
    /// and programs, 22 bits for the stack.
    pub fn draw() -> Self {
        let pages = |bits: u32| random::number() & ((1 << bits) - 1);
        let stack_top = TASK_END - pages(22) * 4096 - (pages(8) << 4 & !0xfff);
        // A gap of the stack's size and some more, so that the stack never meets a mapping.
        let map_top = TASK_END - (STACK_LEN + (1 << 34) + (1 << 20)) - pages(28) * 4096;
        let program_base = 0x5555_5555_4000 + pages(28) * 4096;
        Self { map_top, stack_top, program_base, ..Self::default() }
    }
}

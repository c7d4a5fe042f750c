//! The registers of a program, and running it.

use alloc::boxed::Box;

use arch::{Registers, VectorState};

use crate::raw;

/// How a program touched memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Execute,
}

/// Why an access failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Nothing is mapped there.
    Unmapped,
    /// It is mapped, but not for this access.
    Protection,
    /// It is mapped, and there is no memory left for the page.
    NoMemory,
    /// The address is no address (not canonical).
    NotCanonical,
}

/// An exception that a program's instruction raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// Integer division by zero or overflow.
    Divide,
    /// Single step or hardware breakpoint.
    Debug,
    /// A breakpoint instruction.
    Breakpoint,
    /// INTO with overflow.
    Overflow,
    /// BOUND.
    Bound,
    /// An instruction that is none.
    InvalidOpcode,
    /// x87 arithmetic.
    FloatingPoint,
    /// SSE or AVX arithmetic.
    SimdFloatingPoint,
    /// A misaligned access where alignment is checked.
    Alignment,
    /// A privileged instruction, or a segment or non-canonical address fault.
    Protection,
    /// Any other, by its vector number.
    Other(u8),
}

/// Why a program stopped running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserExit {
    /// It asked for a system call; `rip` is behind the instruction.
    Syscall,
    /// It asked for a system call by `int 0x80`, which means the 32-bit call numbers.
    Syscall32,
    /// It touched memory in vain.
    Fault {
        /// The address.
        address: u64,
        /// How.
        access: Access,
        /// Why not.
        cause: Cause,
    },
    /// An instruction raised an exception.
    Exception(Exception),
    /// A kick, a device or the timer.
    Interrupted,
}

/// Where the vector registers of a context are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VectorPlace {
    /// They are in a processor, newer than in memory.
    pub live: bool,
    /// The platform's name of the last processor that held them.
    pub holder: usize,
}

/// The registers of one program thread.
pub struct UserContext {
    /// The integer registers.
    pub registers: Registers,
    vectors: Box<VectorState>,
    /// Kept by the platform.
    pub place: VectorPlace,
    /// Kept by the platform: something that `run` must know besides the registers.
    pub platform: [u64; 2],
}

impl Default for UserContext {
    fn default() -> Self {
        Self::new()
    }
}

impl UserContext {
    /// All registers zero, the vector unit as a program expects it at start.
    pub fn new() -> Self {
        Self {
            registers: Registers {
                rflags: arch::flags::ALWAYS_ONE | arch::flags::INTERRUPT,
                ..Registers::default()
            },
            vectors: Box::new(VectorState::initial()),
            place: VectorPlace::default(),
            platform: [0; 2],
        }
    }

    /// Runs the program in the active address space until it needs the kernel. Afterwards every
    /// register can be read and set. The vector registers stay live in the processor until
    /// another context runs there or [`save_vectors`](Self::save_vectors) is called.
    #[inline]
    pub fn run(&mut self) -> UserExit {
        raw::context_run(self)
    }

    /// Replaces all registers, for a program that starts afresh.
    pub fn restart(&mut self, registers: Registers) {
        *self.vectors_mut() = VectorState::initial();
        self.registers = registers;
        self.platform = [0; 2];
    }

    /// Brings the vector registers into memory, so that another vCPU can run this context.
    #[inline]
    pub fn save_vectors(&mut self) {
        if self.place.live {
            raw::context_save(self);
        }
    }

    /// The vector registers, in memory.
    pub fn vectors(&mut self) -> &VectorState {
        self.save_vectors();
        &self.vectors
    }

    /// The vector registers, to be changed: what a processor still holds is out of date then.
    pub fn vectors_mut(&mut self) -> &mut VectorState {
        self.save_vectors();
        self.place = VectorPlace::default();
        &mut self.vectors
    }

    /// The memory of the vector registers, for the platform, which knows where they live.
    #[inline]
    pub fn vector_memory(&mut self) -> &mut VectorState {
        &mut self.vectors
    }

    /// A context with the same registers, for a new thread or process.
    pub fn duplicate(&mut self) -> Self {
        self.save_vectors();
        Self {
            registers: self.registers,
            vectors: self.vectors.clone(),
            place: VectorPlace::default(),
            platform: self.platform,
        }
    }
}

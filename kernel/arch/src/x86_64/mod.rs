//! x86-64, in the terms of the Intel SDM and the AMD APM.

pub mod clock_code;
pub mod cpu;
pub mod paging;
mod registers;
mod switch;
mod vectors;

pub use registers::{Registers, flags};
pub use switch::{StackPointer, prepare_stack, switch_stacks};
pub use vectors::{VectorState, VectorUnit};

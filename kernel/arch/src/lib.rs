//! What the processor defines, and nothing of what a platform or a kernel decides:
//! registers, single instructions, paging structures, the switch between two stacks.
//!
//! Principles: one module per architecture with the same names; the architecture is chosen
//! here and nowhere else; an unknown one fails to compile.
#![cfg_attr(not(test), no_std)]

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::*;

#[cfg(not(target_arch = "x86_64"))]
compile_error!("drupe's kernels are written for x86_64");

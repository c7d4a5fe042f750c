//! Turns `syscall` instructions of x86-64 programs into jumps to stubs.
//!
//! A stub stands in a *zone* at a fixed distance from the *block* of text that it serves, so
//! that the patched text can be shared by processes that have it at different addresses. It
//! enters the kernel through a jump, and on the way back runs the instructions that the jump
//! into it displaced.
//!
//! Principles:
//! - What is overwritten is known to be instructions: it begins at a `syscall` that was
//!   executed, or is the one instruction before it that loaded the number that was asked for.
//! - Nobody has to prove that no jump leads into the overwritten bytes. The distance to the
//!   stub is chosen so that each displaced instruction's first byte becomes an instruction that
//!   faults in user mode; the fault tells where to go on ([`Patch::continuation`]).
//! - Every address in a stub stands for one of the program's own ([`Patch::program_address`]),
//!   so that no signal ever shows a stub.
//!
//! Refused: calls and loops among the displaced instructions, text whose decoding is in doubt,
//! and every encoding that [`decode`] does not know.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod decode;
mod patch;
mod zone;

pub use decode::{Instruction, Kind, decode};
pub use patch::{LONGEST_STUB, Patch, Refusal, Request, plan};
pub use zone::{SLOT, Zone};

/// Bytes of text that one zone serves, at most.
pub const BLOCK: u64 = 256 << 10;

/// Bytes of a zone.
pub const ZONE: u64 = 16 << 10;

/// Distances from a block to its zone, the preferred ones first.
///
/// Their upper bytes are instructions that fault in user mode, whatever the place of the site in
/// the block and of the stub in the zone; see [`Patch`].
pub const DISTANCES: [i64; 5] = [-0x1010_0000, 0x3ff0_0000, -0x1b10_0000, 0x27f0_0000, 0x6ff0_0000];

/// The same for text in the low 4 GiB, where a heap grows behind it.
pub const LOW_DISTANCES: [i64; 2] = [0x6ff0_0000, 0x3ff0_0000];

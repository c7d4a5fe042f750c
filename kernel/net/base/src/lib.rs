//! What every layer of drupe's network stack stands on, and nothing that knows a protocol.
//!
//! - [`Instant`]: virtual or real time in nanoseconds; nothing here reads a clock.
//! - [`Chunk`] and [`Chain`]: payload bytes that are shared by reference counts, so that device
//!   rings, retransmission queues and sockets hold the same memory.
//! - [`BufferPool`]: where memory comes from, with a limit; [`HeapPool`] is the ordinary one.
//! - [`hash`] and [`Random`]: keyed hashes against collision attacks, and a seeded generator.
//! - [`Wheel`]: timers at constant cost; [`Slab`]: objects with handles that expire.
//!
//! Principles: no globals, no clock, no `unsafe`; every limit is a parameter.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod chain;
mod chunk;
pub mod hash;
mod pool;
mod random;
mod slab;
mod time;
mod wheel;

pub use chain::Chain;
pub use chunk::{Chunk, Memory};
pub use pool::{BufferPool, HeapPool, PoolUsage};
pub use random::Random;
pub use slab::{Handle, Slab};
pub use time::{Instant, MICROSECOND, MILLISECOND, SECOND};
pub use wheel::{TimerId, Wheel};

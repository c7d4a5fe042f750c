//! Physical memory: frames and the kernel heap.
//!
//! - [`frames`]: a buddy allocator over the memory that the platform found, with a cache of
//!   single frames per vCPU and a reference count per frame.
//! - [`Heap`]: the kernel's global allocator: size classes cut from frames, with a cache per
//!   vCPU, so that two vCPUs rarely meet.
//!
//! Invariant: kernel code is never interrupted between two yield points, so what belongs to a
//! vCPU needs no lock.
#![cfg_attr(not(test), no_std)]

mod buddy;
pub mod frames;
mod heap;

pub use heap::Heap;

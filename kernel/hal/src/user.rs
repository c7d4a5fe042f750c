//! Copies between the kernel and user memory of the active address space.

use crate::{PhysAddr, UserFault, raw};

/// Fills `buffer` from user memory.
///
/// # Errors
/// The first address that cannot be read; the part of `buffer` before it is filled.
#[inline]
pub fn copy_from_user(buffer: &mut [u8], from: u64) -> Result<(), UserFault> {
    raw::user_read(buffer.as_mut_ptr(), from, buffer.len())
}

/// Writes `bytes` to user memory.
///
/// # Errors
/// The first address that cannot be written; the bytes before it are written.
#[inline]
pub fn copy_to_user(to: u64, bytes: &[u8]) -> Result<(), UserFault> {
    raw::user_write(to, bytes.as_ptr(), bytes.len())
}

/// Writes `length` bytes of a frame run that the caller holds to user memory.
///
/// # Errors
/// The first address that cannot be written; the bytes before it are written.
pub fn copy_frames_to_user(to: u64, from: PhysAddr, length: usize) -> Result<(), UserFault> {
    raw::user_write(to, from.pointer(), length)
}

/// Fills `length` bytes of a frame run that the caller holds from user memory.
///
/// # Errors
/// The first address that cannot be read; the bytes before it are copied.
pub fn copy_user_to_frames(to: PhysAddr, from: u64, length: usize) -> Result<(), UserFault> {
    raw::user_read(to.pointer(), from, length)
}

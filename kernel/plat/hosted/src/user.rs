//! Copies from and to user memory. A fault at one of the marked instructions makes the copy end
//! early; the signal handler redirects it.

use core::arch::naked_asm;

use hal::UserFault;

use crate::vcpu::overlaps;
use crate::window;

/// Copies `length` bytes; the result is how many were not copied.
#[unsafe(naked)]
unsafe extern "C" fn copy(to: u64, from: u64, length: usize) -> usize {
    naked_asm!(
        "mov rcx, rdx",
        ".global drupe_user_copy",
        "drupe_user_copy:",
        "rep movsb",
        ".global drupe_user_copy_fixup",
        "drupe_user_copy_fixup:",
        "mov rax, rcx",
        "ret",
    )
}

/// Compare and exchange: the word found, or all ones (64 bits) after a fault.
#[unsafe(naked)]
unsafe extern "C" fn exchange(address: u64, expected: u32, new: u32) -> u64 {
    naked_asm!(
        "mov eax, esi",
        ".global drupe_user_exchange",
        "drupe_user_exchange:",
        "lock cmpxchg [rdi], edx",
        "mov eax, eax",
        "ret",
        ".global drupe_user_exchange_fixup",
        "drupe_user_exchange_fixup:",
        "mov rax, -1",
        "ret",
    )
}

unsafe extern "C" {
    static drupe_user_copy: u8;
    static drupe_user_copy_fixup: u8;
    static drupe_user_exchange: u8;
    static drupe_user_exchange_fixup: u8;
}

/// Where to continue when the instruction at `address` faults.
pub fn fixup(address: usize) -> Option<usize> {
    if address == (&raw const drupe_user_copy) as usize {
        return Some((&raw const drupe_user_copy_fixup) as usize);
    }
    if address == (&raw const drupe_user_exchange) as usize {
        return Some((&raw const drupe_user_exchange_fixup) as usize);
    }
    None
}

/// Whether a program can have memory at all of these addresses.
#[inline]
fn is_user(address: u64, length: usize) -> bool {
    let Some(end) = address.checked_add(length as u64) else { return false };
    end <= window::USER_END && !overlaps(address, end, window::reserved())
}

/// See [`hal::Platform::user_read`].
pub fn read(to: *mut u8, from: u64, length: usize) -> Result<(), UserFault> {
    if !is_user(from, length) {
        return Err(UserFault { address: from, write: false });
    }
    // SAFETY: `to` is kernel memory of that length, as the caller says; a fault on the user's
    // side is fixed up.
    let left = unsafe { copy(to as u64, from, length) };
    if left == 0 {
        return Ok(());
    }
    Err(UserFault { address: from + (length - left) as u64, write: false })
}

/// See [`hal::Platform::user_write`].
pub fn write(to: u64, from: *const u8, length: usize) -> Result<(), UserFault> {
    if !is_user(to, length) {
        return Err(UserFault { address: to, write: true });
    }
    // SAFETY: as in `read`.
    let left = unsafe { copy(to, from as u64, length) };
    if left == 0 {
        return Ok(());
    }
    Err(UserFault { address: to + (length - left) as u64, write: true })
}

/// See [`hal::Platform::user_compare_exchange`].
pub fn compare_exchange(address: u64, expected: u32, new: u32) -> Result<u32, UserFault> {
    if !is_user(address, 4) || !address.is_multiple_of(4) {
        return Err(UserFault { address, write: true });
    }
    // SAFETY: the address is user memory; a fault is fixed up.
    let result = unsafe { exchange(address, expected, new) };
    // The instruction always writes, also when the words differ.
    u32::try_from(result).map_err(|_| UserFault { address, write: true })
}

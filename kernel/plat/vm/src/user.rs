//! Copies from and to user memory. A page fault at one of the marked instructions is resolved,
//! or makes the copy end early.

use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicBool, Ordering};

use arch::cpu;
use hal::UserFault;

use crate::space;
use crate::traps::CR4_SMAP;
use crate::vcpu::Vcpu;

/// One more than the highest user address.
pub const USER_END: u64 = 0x7fff_ffff_f000;

static SMAP: AtomicBool = AtomicBool::new(false);

/// Looks whether access to user memory must be opened.
pub fn init() {
    // SAFETY: reads a register.
    SMAP.store(unsafe { cpu::read_cr4() } & CR4_SMAP != 0, Ordering::Relaxed);
}

/// Access to user memory, open until dropped; other vCPUs that change mappings wait for it.
struct Open;

impl Open {
    fn new() -> Self {
        let vcpu = Vcpu::this();
        // The order with the look at the generation is what `space::forget` relies on.
        vcpu.in_user.swap(true, Ordering::SeqCst);
        space::catch_up(vcpu);
        if SMAP.load(Ordering::Relaxed) {
            // SAFETY: SMAP is there, so is the instruction.
            unsafe { asm!("stac", options(nomem, nostack)) };
        }
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if SMAP.load(Ordering::Relaxed) {
            // SAFETY: as above.
            unsafe { asm!("clac", options(nomem, nostack)) };
        }
        Vcpu::this().in_user.store(false, Ordering::Release);
    }
}

/// Copies `length` bytes; the result is how many were not copied.
#[unsafe(naked)]
unsafe extern "C" fn copy(to: u64, from: u64, length: usize) -> usize {
    naked_asm!(
        "mov rcx, rdx",
        "shr rcx, 3",
        "drupe_user_copy_words:",
        ".global drupe_user_copy_words",
        "rep movsq",
        "mov ecx, edx",
        "and ecx, 7",
        "drupe_user_copy:",
        ".global drupe_user_copy",
        "rep movsb",
        "drupe_user_copy_fixup:",
        ".global drupe_user_copy_fixup",
        "mov rax, rcx",
        "ret",
        // The bytes before the one that faults are still to be copied.
        "drupe_user_copy_words_fixup:",
        ".global drupe_user_copy_words_fixup",
        "and edx, 7",
        "lea rcx, [rdx + rcx * 8]",
        "jmp drupe_user_copy",
    )
}

/// Compare and exchange: the word found, or all ones (64 bits) after a fault.
#[unsafe(naked)]
unsafe extern "C" fn exchange(address: u64, expected: u32, new: u32) -> u64 {
    naked_asm!(
        "mov eax, esi",
        "drupe_user_exchange:",
        ".global drupe_user_exchange",
        "lock cmpxchg [rdi], edx",
        "mov eax, eax",
        "ret",
        "drupe_user_exchange_fixup:",
        ".global drupe_user_exchange_fixup",
        "mov rax, -1",
        "ret",
    )
}

unsafe extern "C" {
    static drupe_user_copy_words: u8;
    static drupe_user_copy_words_fixup: u8;
    static drupe_user_copy: u8;
    static drupe_user_copy_fixup: u8;
    static drupe_user_exchange: u8;
    static drupe_user_exchange_fixup: u8;
}

/// Where to continue when the instruction at `address` cannot do its access.
pub fn fixup(address: u64) -> Option<u64> {
    let places = [
        (&raw const drupe_user_copy_words, &raw const drupe_user_copy_words_fixup),
        (&raw const drupe_user_copy, &raw const drupe_user_copy_fixup),
        (&raw const drupe_user_exchange, &raw const drupe_user_exchange_fixup),
    ];
    places.iter().find(|(place, _)| *place as u64 == address).map(|(_, fixup)| *fixup as u64)
}

fn is_user(address: u64, length: usize) -> bool {
    address.checked_add(length as u64).is_some_and(|end| end <= USER_END)
}

/// Bytes that are copied without letting other vCPUs' changes through.
const CHUNK: usize = 64 << 10;

fn copy_chunks(to: u64, from: u64, length: usize) -> usize {
    let mut done = 0;
    while done < length {
        let count = (length - done).min(CHUNK);
        let open = Open::new();
        // SAFETY: one side is kernel memory of that length, as the caller says; a fault on the
        // other is fixed up.
        let left = unsafe { copy(to + done as u64, from + done as u64, count) };
        drop(open);
        done += count - left;
        if left > 0 {
            break;
        }
    }
    done
}

/// See [`hal::Platform::user_read`].
pub fn read(to: *mut u8, from: u64, length: usize) -> Result<(), UserFault> {
    if !is_user(from, length) {
        return Err(UserFault { address: from, write: false });
    }
    match copy_chunks(to as u64, from, length) {
        done if done == length => Ok(()),
        done => Err(UserFault { address: from + done as u64, write: false }),
    }
}

/// See [`hal::Platform::user_write`].
pub fn write(to: u64, from: *const u8, length: usize) -> Result<(), UserFault> {
    if !is_user(to, length) {
        return Err(UserFault { address: to, write: true });
    }
    match copy_chunks(to, from as u64, length) {
        done if done == length => Ok(()),
        done => Err(UserFault { address: to + done as u64, write: true }),
    }
}

/// See [`hal::Platform::user_compare_exchange`].
pub fn compare_exchange(address: u64, expected: u32, new: u32) -> Result<u32, UserFault> {
    if !is_user(address, 4) || !address.is_multiple_of(4) {
        return Err(UserFault { address, write: true });
    }
    let open = Open::new();
    // SAFETY: the address is user memory; a fault is fixed up.
    let result = unsafe { exchange(address, expected, new) };
    drop(open);
    // The instruction always writes, also when the words differ.
    u32::try_from(result).map_err(|_| UserFault { address, write: true })
}

//! Kernel stacks, each above a page that is not mapped, and device memory.

use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicU64, Ordering};

use hal::{PAGE_SIZE, PhysAddr};
use mm::frames;

use crate::tables::map_kernel_page;

/// Where stacks are.
pub const BASE: u64 = 0xffff_ff00_0000_0000;
/// Where devices are mapped.
pub const DEVICES: u64 = 0xffff_ff40_0000_0000;

/// Bytes of a stack. Code without optimisation needs more.
pub const STACK_LEN: u64 = if cfg!(debug_assertions) { 32 << 10 } else { 16 << 10 };
/// Bytes of addresses per stack, guard included.
const STRIDE: u64 = 2 * STACK_LEN;

static NEXT: AtomicU64 = AtomicU64::new(BASE);
static NEXT_DEVICE: AtomicU64 = AtomicU64::new(DEVICES);
static FREE: spin::Mutex<Vec<NonZeroUsize>> = spin::Mutex::new(Vec::new());

/// See [`hal::stack_allocate`].
pub fn allocate() -> Option<(NonZeroUsize, usize)> {
    if let Some(base) = FREE.lock().pop() {
        return Some((base, STACK_LEN as usize));
    }
    let base = NEXT.fetch_add(STRIDE, Ordering::Relaxed) + STRIDE - STACK_LEN;
    for offset in (0..STACK_LEN).step_by(PAGE_SIZE as usize) {
        map_kernel_page(base + offset, frames::allocate()?, false)?;
    }
    Some((NonZeroUsize::new(base as usize)?, STACK_LEN as usize))
}

/// See [`hal::stack_free`]. The stack stays mapped for the next who needs one.
pub fn free(base: NonZeroUsize) {
    FREE.lock().push(base);
}

/// Whether an address is in the page below a stack.
pub fn is_guard(address: u64) -> bool {
    (BASE..NEXT.load(Ordering::Relaxed)).contains(&address)
        && (address - BASE) % STRIDE < STRIDE - STACK_LEN
}

/// Whether an address is in a stack.
pub fn is_stack(address: u64) -> bool {
    (BASE..NEXT.load(Ordering::Relaxed)).contains(&address) && !is_guard(address)
}

/// Maps device registers; gives where they are seen.
pub fn map_device(physical: PhysAddr, length: u64) -> Option<*mut u8> {
    let first = physical.0 & !(PAGE_SIZE - 1);
    let pages = (physical.0 + length - first).div_ceil(PAGE_SIZE);
    let base = NEXT_DEVICE.fetch_add(pages * PAGE_SIZE, Ordering::Relaxed);
    for page in 0..pages {
        let offset = page * PAGE_SIZE;
        map_kernel_page(base + offset, PhysAddr(first + offset), true)?;
    }
    Some((base + (physical.0 - first)) as *mut u8)
}

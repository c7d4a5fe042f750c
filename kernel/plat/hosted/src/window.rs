//! The window: where the kernel lives in every process.
//!
//! ```text
//! base            image: text and constants from the sealed executable,
//!                 writable data from the memory file, from its offset 0 on
//! base + 4 GiB    the memory file, whole: physical address = offset
//!  ... + memory   the boot module, read only, and the images behind it (up to the next 4 GiB)
//! ```
//! Base and end are multiples of 4 GiB, so that the seal compares only upper halves.

use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hal::{PhysAddr, Range};
use spin::Once;

/// The unit of the window's place and length.
pub const UNIT: u64 = 4 << 30;

/// First and last possible base: between where programs and where their libraries are put.
pub const LOWEST: u64 = 0x6000_0000_0000;
pub const HIGHEST: u64 = 0x6f00_0000_0000;

/// One more than the highest user address.
pub const USER_END: u64 = 0x7fff_ffff_f000;

static BASE: AtomicU64 = AtomicU64::new(0);
static END: AtomicU64 = AtomicU64::new(0);
static PHYSICAL: AtomicUsize = AtomicUsize::new(0);
static MODULE: AtomicU64 = AtomicU64::new(0);
static IMAGES: AtomicU64 = AtomicU64::new(0);
static MEMORY_FILE: AtomicU64 = AtomicU64::new(0);
static RESERVED: Once<([Range; 4], usize)> = Once::new();

/// What the first steps decided.
#[derive(Clone, Copy, Default)]
pub struct Layout {
    pub base: u64,
    pub end: u64,
    /// Physical address of the boot module.
    pub module: u64,
    /// Physical address of the images behind it.
    pub images: u64,
    pub memory_file: u32,
    /// The host's vDSO and its data.
    pub vdso: (u64, u64),
}

/// Takes note of the layout.
pub fn init(layout: &Layout) {
    BASE.store(layout.base, Ordering::Relaxed);
    END.store(layout.end, Ordering::Relaxed);
    PHYSICAL.store((layout.base + UNIT) as usize, Ordering::Relaxed);
    MODULE.store(layout.module, Ordering::Relaxed);
    IMAGES.store(layout.images, Ordering::Relaxed);
    MEMORY_FILE.store(u64::from(layout.memory_file), Ordering::Relaxed);
    // The seal adds a carry of up to 8 GiB: keep programs that far below.
    let window = Range { start: layout.base - 2 * UNIT, end: layout.end };
    let lowest = Range { start: 0, end: 0x1_0000 };
    let vdso = Range { start: layout.vdso.0, end: layout.vdso.1 };
    RESERVED.call_once(|| {
        if vdso.start == 0 {
            ([lowest, window, window, window], 2)
        } else if vdso.start < window.start {
            ([lowest, vdso, window, window], 3)
        } else {
            ([lowest, window, vdso, vdso], 3)
        }
    });
}

/// The addresses of the window.
#[inline]
pub fn range() -> Range {
    Range { start: BASE.load(Ordering::Relaxed), end: END.load(Ordering::Relaxed) }
}

/// Whether an address is in the window.
pub fn contains(address: u64) -> bool {
    (range().start..range().end).contains(&address)
}

/// Where physical address 0 is seen.
#[inline]
pub fn physical() -> *mut u8 {
    PHYSICAL.load(Ordering::Relaxed) as *mut u8
}

/// The ranges that programs cannot have.
#[inline]
pub fn reserved() -> &'static [Range] {
    RESERVED.get().map_or(&[], |(ranges, count)| &ranges[..*count])
}

/// Whether an address is the boot module's or the images', whose bytes never change.
pub fn is_module(address: PhysAddr) -> bool {
    address.0 >= MODULE.load(Ordering::Relaxed)
}

/// The host file behind a physical address, and the offset in it.
pub fn file_of(address: PhysAddr) -> (u32, u64) {
    let module = MODULE.load(Ordering::Relaxed);
    let images = IMAGES.load(Ordering::Relaxed);
    if address.0 >= images {
        return (abi_guest::Descriptors::HOSTED.images, address.0 - images);
    }
    if is_module(address) {
        return (abi_guest::Descriptors::HOSTED.module, address.0 - module);
    }
    (MEMORY_FILE.load(Ordering::Relaxed) as u32, address.0)
}

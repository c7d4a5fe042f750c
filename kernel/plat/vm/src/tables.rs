//! The kernel's page tables, and access to any table.

use core::sync::atomic::{AtomicU64, Ordering};

use arch::cpu;
use arch::paging::bits::{
    ADDRESS, CACHE_DISABLE, GLOBAL, NO_EXECUTE, PRESENT, WRITABLE, WRITE_THROUGH,
};
use arch::paging::{ENTRIES, PAGE_SIZE, Table, index};
use hal::PhysAddr;
use mm::frames;

static DIRECT: AtomicU64 = AtomicU64::new(0);
static ROOT: AtomicU64 = AtomicU64::new(0);
static IMAGE: AtomicU64 = AtomicU64::new(0);

/// First root entry of the kernel's half.
pub const KERNEL_HALF: usize = ENTRIES / 2;

/// Takes note of the layout.
pub fn init(direct: u64, root: u64, image: u64) {
    DIRECT.store(direct, Ordering::Relaxed);
    ROOT.store(root, Ordering::Relaxed);
    IMAGE.store(image, Ordering::Relaxed);
}

/// Where physical address 0 is seen.
#[inline]
pub fn direct() -> *mut u8 {
    DIRECT.load(Ordering::Relaxed) as *mut u8
}

/// Where the image starts.
pub fn image() -> usize {
    IMAGE.load(Ordering::Relaxed) as usize
}

/// The root table of the kernel's own address space.
pub fn root() -> PhysAddr {
    PhysAddr(ROOT.load(Ordering::Relaxed))
}

/// The table at a physical address.
///
/// # Safety
/// It is a table, and the borrow does not meet another one.
#[inline]
pub unsafe fn table<'a>(address: PhysAddr) -> &'a mut Table {
    // SAFETY: the caller's; tables are page-aligned.
    unsafe { &mut *address.pointer().cast::<Table>() }
}

/// A new, empty table.
pub fn new_table() -> Option<PhysAddr> {
    frames::allocate_zeroed()
}

/// Removes the identity map of the boot.
///
/// # Safety
/// Nothing runs or lies there any more.
pub unsafe fn drop_identity_map() {
    // SAFETY: the root is a table; one vCPU runs.
    unsafe {
        table(root()).0[0] = 0;
        cpu::write_cr3(root().0);
    }
}

/// The entry of the kernel's tables for a page, with tables on the way.
fn kernel_entry(address: u64) -> Option<*mut u64> {
    let mut current = root();
    for level in (1..4).rev() {
        // SAFETY: the kernel's tables; the callers of `map_kernel_page` take turns.
        let entry = unsafe { &mut table(current).0[index(address, level)] };
        if *entry & PRESENT == 0 {
            *entry = new_table()?.0 | PRESENT | WRITABLE;
        }
        current = PhysAddr(*entry & ADDRESS);
    }
    // SAFETY: as above.
    Some(unsafe { &raw mut table(current).0[index(address, 0)] })
}

static MAPPING: spin::Mutex<()> = spin::Mutex::new(());

/// Maps a page of the kernel's half, which was not mapped before, readable and writable.
pub fn map_kernel_page(address: u64, physical: PhysAddr, device: bool) -> Option<()> {
    let _turn = MAPPING.lock();
    let entry = kernel_entry(address)?;
    let caching = if device { CACHE_DISABLE | WRITE_THROUGH } else { 0 };
    // SAFETY: the entry was not present: no vCPU has it cached.
    unsafe { entry.write(physical.0 | PRESENT | WRITABLE | NO_EXECUTE | GLOBAL | caching) };
    Some(())
}

/// Maps a low page at its physical address, executable, for a processor that starts there.
pub fn map_identity_page(address: u64) {
    let _turn = MAPPING.lock();
    if let Some(entry) = kernel_entry(address) {
        // SAFETY: the entry was not present: no vCPU has it cached.
        unsafe { entry.write(address | PRESENT | WRITABLE) };
    }
}

/// Removes what [`map_identity_page`] mapped. The tables on the way stay: they belong to the
/// kernel's own address space, which has no user memory.
pub fn unmap_identity_page(address: u64) {
    let _turn = MAPPING.lock();
    if let Some(entry) = kernel_entry(address) {
        // SAFETY: the processors that used it have left it.
        unsafe {
            entry.write(0);
            cpu::invalidate_page(address);
        }
    }
}

const _: () = assert!(PAGE_SIZE == hal::PAGE_SIZE as usize);

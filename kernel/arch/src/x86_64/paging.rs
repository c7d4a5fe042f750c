//! Page-table entries (Intel SDM volume 3, chapter 4), four levels.

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;

/// Entries of a table.
pub const ENTRIES: usize = 512;

/// One page table.
#[repr(C, align(4096))]
pub struct Table(pub [u64; ENTRIES]);

/// Bits of an entry.
#[allow(missing_docs, reason = "the processor's own names")]
pub mod bits {
    pub const PRESENT: u64 = 1 << 0;
    pub const WRITABLE: u64 = 1 << 1;
    pub const USER: u64 = 1 << 2;
    pub const WRITE_THROUGH: u64 = 1 << 3;
    pub const CACHE_DISABLE: u64 = 1 << 4;
    pub const ACCESSED: u64 = 1 << 5;
    pub const DIRTY: u64 = 1 << 6;
    pub const LARGE: u64 = 1 << 7;
    pub const GLOBAL: u64 = 1 << 8;
    pub const NO_EXECUTE: u64 = 1 << 63;
    /// The physical address of the page or table.
    pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
}

/// The place of `address` in the table of `level`: 0 for the table of pages, 3 for the root.
pub fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * level)) as usize & (ENTRIES - 1)
}

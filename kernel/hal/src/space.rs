//! Address spaces.

use core::num::NonZeroUsize;

use crate::raw;

/// Bytes of a page.
pub const PAGE_SIZE: u64 = 4096;

/// A physical address: of a frame that the kernel's allocator hands out, or of the boot module.
/// On a virtual machine what the processor means by it; hosted, a place in shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhysAddr(pub u64);

impl PhysAddr {
    /// Where the kernel sees the byte at this address.
    #[inline]
    pub fn pointer(self) -> *mut u8 {
        raw::physical_window().wrapping_add(self.0 as usize)
    }
}

/// A range of user addresses; both ends are multiples of [`PAGE_SIZE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first address.
    pub start: u64,
    /// The address after the last one.
    pub end: u64,
}

impl Range {
    /// The range of `length` bytes from `start`.
    pub const fn new(start: u64, length: u64) -> Self {
        Self { start, end: start + length }
    }

    /// Its length in bytes.
    #[allow(clippy::len_without_is_empty, reason = "no range is empty")]
    pub const fn len(&self) -> u64 {
        self.end - self.start
    }
}

/// What a program may do with a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// Loads.
    pub read: bool,
    /// Stores.
    pub write: bool,
    /// Instruction fetches.
    pub execute: bool,
}

impl Protection {
    /// Nothing.
    pub const NONE: Self = Self { read: false, write: false, execute: false };
    /// Loads only.
    pub const READ: Self = Self { read: true, write: false, execute: false };
    /// Loads and stores.
    pub const READ_WRITE: Self = Self { read: true, write: true, execute: false };
    /// Loads and instruction fetches.
    pub const READ_EXECUTE: Self = Self { read: true, write: false, execute: true };
}

/// What a mapped range shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// Private memory that reads as zero at first.
    Anonymous,
    /// Physically contiguous memory from this address on; stores reach it.
    Shared(PhysAddr),
    /// Physically contiguous memory from this address on; a store makes a private copy of
    /// its page.
    Private(PhysAddr),
}

/// Why an address space did not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// No memory for the platform's own bookkeeping, or too many mappings.
    NoMemory,
    /// The platform keeps addresses of this range to itself.
    Reserved,
    /// No further address space (process) can be had.
    NoSpace,
}

/// A copy met an address that the program may not use that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserFault {
    /// The first byte that could not be copied.
    pub address: u64,
    /// Whether it was to be written.
    pub write: bool,
}

/// An address space; it ends when this is dropped.
#[derive(Debug, PartialEq, Eq)]
pub struct AddressSpace(NonZeroUsize);

impl AddressSpace {
    /// A new one without mappings.
    ///
    /// # Errors
    /// No memory, or no process for it.
    pub fn new() -> Result<Self, MapError> {
        raw::space_create().map(Self)
    }

    /// A copy of the active one.
    ///
    /// # Errors
    /// No memory, or no process for it.
    pub fn fork() -> Result<Self, MapError> {
        raw::space_fork().map(Self)
    }

    /// Makes this the active one of this vCPU.
    #[inline]
    pub fn activate(&self) {
        raw::space_activate(Some(self.0));
    }

    /// The platform's name for it, to compare.
    pub fn id(&self) -> NonZeroUsize {
        self.0
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        raw::space_destroy(self.0);
    }
}

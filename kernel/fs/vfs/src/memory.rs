//! Where file data lives: pages of physical memory.

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;

/// The page allocator that file systems keep data in.
///
/// Addresses are physical, in bytes, on page boundaries unless said otherwise. Every page has a
/// count of references; the last release frees it.
pub trait PageMemory: Send + Sync {
    /// Allocates `pages` contiguous pages with one reference each; `None` if there is no such
    /// run. Without `zeroed` their content is undefined, and must not reach a program.
    fn allocate(&self, pages: usize, zeroed: bool) -> Option<u64>;

    /// Adds a reference to each of `pages` pages from `phys` on.
    fn retain(&self, phys: u64, pages: usize);

    /// Drops a reference to each of `pages` pages from `phys` on.
    fn release(&self, phys: u64, pages: usize);

    /// Copies bytes from `phys` (any byte address) on into `buffer`.
    fn read(&self, phys: u64, buffer: &mut [u8]);

    /// Copies `bytes` to `phys` (any byte address).
    fn write(&self, phys: u64, bytes: &[u8]);

    /// Fills `length` bytes from `phys` (any byte address) on with zeros.
    fn zero(&self, phys: u64, length: usize);

    /// Copies `length` bytes between byte addresses that do not overlap.
    fn copy(&self, from: u64, to: u64, length: usize);

    /// A page of zeros that nobody writes to; it is not counted.
    fn zero_page(&self) -> u64;

    /// All pages there are, for statistics.
    fn total_pages(&self) -> u64;

    /// Pages that could be allocated, for statistics.
    fn free_pages(&self) -> u64;
}

/// What pages are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// To look at them, or map them privately.
    Read,
    /// To map them shared, without changing them: holes are filled, so that what others write
    /// there later is seen. Pages of an image are shown where they are.
    Share,
    /// To change them: the pages belong to the file, holes are filled.
    Write,
}

/// A physically contiguous run of pages of a file, held until it is dropped.
///
/// Two pages that follow each other in an extent follow each other in the file, except in a hole
/// that was asked for with [`Intent::Read`]: there the extent is one page of zeros, and tells how
/// long the hole is.
pub struct Extent {
    phys: u64,
    pages: usize,
    hole: usize,
    memory: Option<&'static dyn PageMemory>,
    replaced: bool,
}

impl Extent {
    /// Pages on each of which the caller passes on one reference.
    pub fn counted(phys: u64, pages: usize, memory: &'static dyn PageMemory) -> Self {
        Self { phys, pages, hole: 0, memory: Some(memory), replaced: false }
    }

    /// Pages that never go away: those of an image in memory.
    pub fn fixed(phys: u64, pages: usize) -> Self {
        Self { phys, pages, hole: 0, memory: None, replaced: false }
    }

    /// The page of zeros, which stands for `pages` pages of a hole from here on.
    pub fn hole(zero_page: u64, pages: usize) -> Self {
        Self { hole: pages, ..Self::fixed(zero_page, 1) }
    }

    /// Notes that these pages took the place of others (or of a hole) that earlier extents
    /// showed.
    #[must_use]
    pub fn with_replaced(mut self, replaced: bool) -> Self {
        self.replaced = replaced;
        self
    }

    /// The physical address of the first page.
    pub fn phys(&self) -> u64 {
        self.phys
    }

    /// How many pages, at least 1.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// How many pages of a hole begin here, at least; 0 if this is data.
    pub fn hole_pages(&self) -> usize {
        self.hole
    }

    /// Whether mappings of these pages of the file that were made from earlier extents are out
    /// of date and must go. See [`Inode::page_generation`](crate::Inode::page_generation).
    pub fn replaced(&self) -> bool {
        self.replaced
    }

    /// Whether the pages are counted: a mapping of them must hold references of its own.
    pub fn is_counted(&self) -> bool {
        self.memory.is_some()
    }

    /// Passes the references on to the caller: address, pages, and whether they are counted.
    pub fn into_raw(mut self) -> (u64, usize, bool) {
        let counted = self.memory.take().is_some();
        (self.phys, self.pages, counted)
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        if let Some(memory) = self.memory {
            memory.release(self.phys, self.pages);
        }
    }
}

impl core::fmt::Debug for Extent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Extent({:#x}, {} pages)", self.phys, self.pages)
    }
}

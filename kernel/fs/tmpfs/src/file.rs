//! The data of a regular file: handing out its pages.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use errno::Errno;
use lock::SpinLock;
use vfs::{Extent, Intent, PAGE_SIZE, ranks, seals};

use crate::lower::{Piece, damaged};
use crate::pages::{Found, Freed, Pages};
use crate::shared::Shared;

/// Bytes that a file can have: its last page still has a number below 2⁵¹.
pub(crate) const SIZE_MAX: u64 = i64::MAX as u64 & !(PAGE_SIZE - 1);
/// Pages that one call fills with zeros or copies, to keep it short.
const FILL_MAX: u64 = 64;
/// As [`FILL_MAX`], where other vCPUs may be waiting for the file's lock.
const FILL_LOCKED_MAX: u64 = 16;
/// Pages allocated at once for a file that grows.
const RUN_MAX: u64 = 1024;

pub(crate) struct File {
    pub(crate) lower: Option<erofs::Inode>,
    /// Changes under the lock of the pages.
    pub(crate) size: AtomicU64,
    pub(crate) generation: AtomicU64,
    pub(crate) seals: AtomicU32,
    pub(crate) pages: SpinLock<Pages>,
}

/// New pages that are not yet the file's.
struct Fresh {
    phys: u64,
    /// Filled.
    pages: u64,
    /// Behind them, undefined.
    reserve: u64,
    /// Filled with what the image has, not with zeros.
    lower: bool,
}

impl File {
    pub(crate) fn new(lower: Option<erofs::Inode>) -> Self {
        let size = lower.as_ref().map_or(0, |inode| inode.size);
        Self {
            lower,
            size: AtomicU64::new(size),
            generation: AtomicU64::new(0),
            // Only memory files that ask for it can be sealed.
            seals: AtomicU32::new(seals::SEAL),
            pages: SpinLock::new(ranks::PAGES, Pages::new(size.div_ceil(PAGE_SIZE))),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn sealed(&self, seals: u32) -> bool {
        self.seals.load(Ordering::Acquire) & seals != 0
    }

    /// Pages of storage, those of the image included.
    pub(crate) fn pages_held(&self) -> u64 {
        let pages = self.pages.lock();
        pages.held() + pages.lower_pages()
    }

    pub(crate) fn begin_write(&self, start: u64, end: u64) -> Result<(), Errno> {
        if start > end {
            return Err(Errno::EINVAL);
        }
        if end > SIZE_MAX {
            return Err(Errno::EFBIG);
        }
        let grows = end > self.size() && self.sealed(seals::GROW);
        if self.sealed(seals::WRITE | seals::FUTURE_WRITE) || grows {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    pub(crate) fn extent(
        &self,
        shared: &Shared,
        first: u64,
        max_pages: usize,
        intent: Intent,
    ) -> Result<Extent, Errno> {
        let max = (max_pages as u64).max(1);
        match intent {
            Intent::Read => self.look(shared, first, max, false),
            Intent::Share => self.look(shared, first, max, true),
            Intent::Write => {
                let beyond = first >= self.size().div_ceil(PAGE_SIZE);
                if self.sealed(seals::WRITE) || beyond && self.sealed(seals::GROW) {
                    return Err(Errno::EPERM);
                }
                self.own(shared, first, max)
            }
        }
    }

    /// Pages as they are; holes as zeros, or with `fill` as pages of their own.
    fn look(&self, shared: &Shared, first: u64, max: u64, fill: bool) -> Result<Extent, Errno> {
        loop {
            let pages = self.pages.lock();
            let end = self.size().div_ceil(PAGE_SIZE);
            if first >= end {
                return Err(Errno::ENXIO);
            }
            let limit = match pages.find(first, max.min(end - first)) {
                Found::Data { phys, pages: count } => {
                    // Under the lock, or the pages could be gone before they are retained.
                    shared.memory.retain(phys, count as usize);
                    return Ok(Extent::counted(phys, count as usize, shared.memory));
                }
                Found::Hole { pages: count } if fill => {
                    drop(pages);
                    return self.own(shared, first, count);
                }
                Found::Hole { pages: count } => {
                    return Ok(Extent::hole(shared.memory.zero_page(), count as usize));
                }
                Found::Lower { pages } => pages,
            };
            drop(pages);
            match self.piece(shared, first)? {
                Piece::InPlace { phys, pages } => {
                    return Ok(Extent::fixed(phys, pages.min(limit) as usize));
                }
                Piece::Hole { .. } if fill => return self.own(shared, first, limit),
                Piece::Hole { pages } => {
                    let count = pages.min(limit).max(1) as usize;
                    return Ok(Extent::hole(shared.memory.zero_page(), count));
                }
                Piece::Elsewhere => {}
            }
            // Not on a page in the image: the copy is the file's from now on. Nobody has seen
            // the original, so nothing is replaced.
            let fresh = self.prepare(shared, first, limit, 0, true)?;
            self.enter(shared, first, fresh, false);
        }
    }

    /// Pages of the file's own.
    pub(crate) fn own(&self, shared: &Shared, first: u64, max: u64) -> Result<Extent, Errno> {
        if first >= SIZE_MAX / PAGE_SIZE {
            return Err(Errno::EFBIG);
        }
        let max = max.min(SIZE_MAX / PAGE_SIZE - first);
        let mut replaced = false;
        loop {
            let mut pages = self.pages.lock();
            let (limit, lower) = match pages.find(first, max) {
                Found::Data { phys, pages: count } => {
                    shared.memory.retain(phys, count as usize);
                    let extent = Extent::counted(phys, count as usize, shared.memory);
                    return Ok(extent.with_replaced(replaced));
                }
                Found::Hole { pages } => (pages, false),
                Found::Lower { pages } => (pages, true),
            };
            if let Some((phys, count)) = pages.use_reserve(first, limit.min(FILL_LOCKED_MAX)) {
                shared.memory.zero(phys, (count * PAGE_SIZE) as usize);
                replaced |= self.replaces(first);
                continue;
            }
            let run = pages.run_ending_at(first);
            drop(pages);
            // Twice what there is already, where the file grows at its end.
            let wanted = match run {
                _ if lower || run == 0 => 0,
                _ => (run * 2).next_power_of_two().min(RUN_MAX),
            };
            let fresh = self.prepare(shared, first, limit, wanted, lower)?;
            replaced |= self.enter(shared, first, fresh, true);
        }
    }

    /// Whether somebody can have seen something else at `page`; counts that. The lock of the
    /// pages is held.
    fn replaces(&self, page: u64) -> bool {
        let seen = page < self.size().div_ceil(PAGE_SIZE);
        if seen {
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
        seen
    }

    pub(crate) fn piece(&self, shared: &Shared, first: u64) -> Result<Piece, Errno> {
        let (Some(lower), Some(inode)) = (&shared.lower, &self.lower) else {
            return Err(Errno::EUCLEAN);
        };
        lower.piece(inode, first)
    }

    /// Allocates up to `limit` pages for page `first` and fills them with zeros or, for
    /// `lower`, with what the image has. `wanted` is how many it may be with a reserve.
    fn prepare(
        &self,
        shared: &Shared,
        first: u64,
        limit: u64,
        wanted: u64,
        lower: bool,
    ) -> Result<Fresh, Errno> {
        let mut pages = limit.min(FILL_MAX);
        let mut total = pages.max(wanted);
        // First without the reserve, then with less and less.
        let phys = loop {
            match shared.take_pages(total) {
                Ok(()) => match shared.memory.allocate(total as usize, false) {
                    Some(phys) => break phys,
                    None => shared.give_pages(total),
                },
                Err(error) if total == 1 => return Err(error),
                Err(_) => {}
            }
            if total == 1 {
                return Err(Errno::ENOMEM);
            }
            total = if total > pages { pages } else { total / 2 };
            pages = pages.min(total);
        };
        if lower {
            self.copy_up(shared, first, phys, pages)?;
        } else {
            shared.memory.zero(phys, (pages * PAGE_SIZE) as usize);
        }
        Ok(Fresh { phys, pages, reserve: total - pages, lower })
    }

    fn copy_up(&self, shared: &Shared, first: u64, phys: u64, pages: u64) -> Result<(), Errno> {
        let (Some(lower), Some(inode)) = (&shared.lower, &self.lower) else {
            return Err(Errno::EUCLEAN);
        };
        let (mut done, end) = (0, pages * PAGE_SIZE);
        let position = first * PAGE_SIZE;
        let result = loop {
            if done == end {
                break Ok(());
            }
            let extent = match lower.image.extent(inode, position + done) {
                Ok(extent) => extent,
                Err(error) => break Err(damaged(error)),
            };
            // Behind the end of the file come zeros.
            let length = extent.map_or(end - done, |extent| extent.length.min(end - done));
            let bytes = match extent.map(|extent| lower.image.data(extent)) {
                Some(Ok(bytes)) => bytes,
                Some(Err(error)) => break Err(damaged(error)),
                None => None,
            };
            match bytes.and_then(|bytes| bytes.get(..length as usize)) {
                Some(bytes) => shared.memory.write(phys + done, bytes),
                None => shared.memory.zero(phys + done, length as usize),
            }
            done += length;
        };
        if result.is_err() {
            shared.memory.release(phys, pages as usize);
            shared.give_pages(pages);
        }
        result
    }

    /// Makes new pages the file's, unless another vCPU was quicker or the file has changed
    /// there. Tells whether they take the place of something that was visible; not if `seen` is
    /// false, because nobody was shown what was there.
    fn enter(&self, shared: &Shared, first: u64, fresh: Fresh, seen: bool) -> bool {
        let Fresh { phys, pages: filled, reserve, lower } = fresh;
        let mut freed = Freed::default();
        let mut pages = self.pages.lock();
        let fits = match pages.find(first, filled) {
            Found::Data { .. } => false,
            Found::Hole { pages } => !lower && pages == filled,
            Found::Lower { pages } => lower && pages == filled,
        };
        let mut replaced = false;
        if fits {
            pages.fill(first, phys, filled, reserve, &mut freed);
            replaced = seen && self.replaces(first);
        } else {
            freed.push(phys, filled + reserve);
        }
        drop(pages);
        shared.free(freed);
        replaced
    }
}

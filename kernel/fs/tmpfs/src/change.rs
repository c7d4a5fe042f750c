//! The data of a regular file: size, holes, seals.

use core::sync::atomic::Ordering;

use errno::Errno;
use vfs::{Allocate, PAGE_SIZE, SeekTarget, seals};

use crate::file::{File, SIZE_MAX};
use crate::lower::Piece;
use crate::pages::{Found, Freed, Pages};
use crate::shared::Shared;

impl File {
    /// Bytes up to `end` were written.
    ///
    /// Pages are zeros behind the end of the file, since they are made so and truncation clears
    /// what it cuts off. So nothing is cleared here, where another vCPU may have copied data in
    /// already that it has not reported yet.
    pub(crate) fn written(&self, end: u64) {
        let _pages = self.pages.lock();
        if end > self.size() {
            self.size.store(end.min(SIZE_MAX), Ordering::Release);
        }
    }

    pub(crate) fn truncate(&self, shared: &Shared, size: u64) -> Result<(), Errno> {
        if size > SIZE_MAX {
            return Err(Errno::EFBIG);
        }
        let mut freed = Freed::default();
        loop {
            let mut pages = self.pages.lock();
            let old = self.size();
            let against = if size < old { seals::SHRINK } else { seals::GROW };
            if size != old && self.sealed(against) {
                return Err(Errno::EPERM);
            }
            if size >= old {
                self.size.store(size, Ordering::Release);
                return Ok(());
            }
            // What is cut off the last page reads as zeros if the file grows again.
            let last = size / PAGE_SIZE;
            if !size.is_multiple_of(PAGE_SIZE) && matches!(pages.find(last, 1), Found::Lower { .. })
            {
                drop(pages);
                self.own(shared, last, 1)?;
                continue;
            }
            self.zero_own(shared, &pages, size, size.next_multiple_of(PAGE_SIZE));
            pages.truncate(size.div_ceil(PAGE_SIZE), &mut freed);
            self.size.store(size, Ordering::Release);
            self.generation.fetch_add(1, Ordering::AcqRel);
            break;
        }
        shared.free(freed);
        Ok(())
    }

    /// Zeros bytes within one page, if the page is the file's own.
    fn zero_own(&self, shared: &Shared, pages: &Pages, start: u64, end: u64) {
        if start < end
            && let Found::Data { phys, .. } = pages.find(start / PAGE_SIZE, 1)
        {
            shared.memory.zero(phys + start % PAGE_SIZE, (end - start) as usize);
        }
    }

    pub(crate) fn allocate(
        &self,
        shared: &Shared,
        how: Allocate,
        start: u64,
        end: u64,
    ) -> Result<(), Errno> {
        if end > SIZE_MAX {
            return Err(Errno::EFBIG);
        }
        let keep_size = match how {
            Allocate::Reserve { keep_size } | Allocate::ZeroRange { keep_size } => keep_size,
            Allocate::PunchHole => true,
        };
        if !keep_size && end > self.size() && self.sealed(seals::GROW) {
            return Err(Errno::EPERM);
        }
        match how {
            Allocate::Reserve { .. } => self.reserve(shared, start, end)?,
            Allocate::PunchHole | Allocate::ZeroRange { .. } => {
                if self.sealed(seals::WRITE | seals::FUTURE_WRITE) {
                    return Err(Errno::EPERM);
                }
                self.clear(shared, start, end)?;
            }
        }
        if !keep_size && end > self.size() {
            self.written(end);
        }
        Ok(())
    }

    fn reserve(&self, shared: &Shared, start: u64, end: u64) -> Result<(), Errno> {
        let (mut page, end) = (start / PAGE_SIZE, end.div_ceil(PAGE_SIZE));
        let missing = (end - page).saturating_sub(self.pages.lock().held());
        let used = shared.used_pages.load(Ordering::Relaxed);
        if used.saturating_add(missing) > shared.limits.pages
            || missing > shared.memory.total_pages()
        {
            return Err(Errno::ENOSPC);
        }
        while page < end {
            page += self.own(shared, page, end - page)?.pages() as u64;
        }
        Ok(())
    }

    /// Makes bytes `start` to `end` read as zeros and frees their pages.
    fn clear(&self, shared: &Shared, start: u64, end: u64) -> Result<(), Errno> {
        let (first, last) = (start.div_ceil(PAGE_SIZE), end / PAGE_SIZE);
        let mut freed = Freed::default();
        if first > last {
            // All within one page.
            self.clear_within(shared, start, end)?;
        } else {
            self.clear_within(shared, start, first * PAGE_SIZE)?;
            self.clear_within(shared, last * PAGE_SIZE, end)?;
            if first < last {
                self.pages.lock().punch(first, last, &mut freed);
            }
        }
        self.generation.fetch_add(1, Ordering::AcqRel);
        shared.free(freed);
        Ok(())
    }

    /// Zeros bytes within one page.
    fn clear_within(&self, shared: &Shared, start: u64, end: u64) -> Result<(), Errno> {
        if start == end {
            return Ok(());
        }
        loop {
            let pages = self.pages.lock();
            match pages.find(start / PAGE_SIZE, 1) {
                Found::Hole { .. } => return Ok(()),
                Found::Data { .. } => {
                    self.zero_own(shared, &pages, start, end);
                    return Ok(());
                }
                Found::Lower { .. } => {}
            }
            drop(pages);
            self.own(shared, start / PAGE_SIZE, 1)?;
        }
    }

    pub(crate) fn seek(
        &self,
        shared: &Shared,
        start: u64,
        target: SeekTarget,
    ) -> Result<u64, Errno> {
        let size = self.size();
        if start >= size {
            return Err(Errno::ENXIO);
        }
        let end = size.div_ceil(PAGE_SIZE);
        let mut page = start / PAGE_SIZE;
        while page < end {
            let found = self.pages.lock().find(page, end - page);
            let (data, pages) = match found {
                Found::Data { pages, .. } => (true, pages),
                Found::Hole { pages } => (false, pages),
                Found::Lower { pages } => match self.piece(shared, page)? {
                    Piece::InPlace { pages: more, .. } => (true, pages.min(more)),
                    Piece::Elsewhere => (true, 1),
                    Piece::Hole { pages: more } => (false, pages.min(more)),
                },
            };
            if data == (target == SeekTarget::Data) {
                return Ok(start.max(page * PAGE_SIZE));
            }
            page += pages;
        }
        match target {
            SeekTarget::Data => Err(Errno::ENXIO),
            SeekTarget::Hole => Ok(size),
        }
    }

    pub(crate) fn trim(&self, shared: &Shared) {
        let mut freed = Freed::default();
        self.pages.lock().trim(&mut freed);
        shared.free(freed);
    }

    pub(crate) fn add_seals(&self, new: u32) -> Result<(), Errno> {
        const ALL: u32 =
            seals::SEAL | seals::SHRINK | seals::GROW | seals::WRITE | seals::FUTURE_WRITE;
        if new & !ALL != 0 {
            return Err(Errno::EINVAL);
        }
        let open = |old: u32| (old & seals::SEAL == 0).then_some(old | new);
        match self.seals.fetch_update(Ordering::AcqRel, Ordering::Acquire, open) {
            Ok(_) => Ok(()),
            Err(_) => Err(Errno::EPERM),
        }
    }

    /// Gives everything back; nobody uses the file any more.
    pub(crate) fn release(&mut self, shared: &Shared) {
        let mut freed = Freed::default();
        self.pages.get_mut().truncate(0, &mut freed);
        shared.free(freed);
    }
}

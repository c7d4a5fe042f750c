//! Which pages a file has: runs of its own, over those of the image.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use vfs::{PAGE_SIZE, PageMemory};

/// The pages of a file that are its own.
pub(crate) struct Pages {
    /// By first page; runs do not overlap, reserves included.
    runs: BTreeMap<u64, Run>,
    /// Where the file has no run, pages below this one are the image's.
    pub(crate) lower_end: u64,
    /// Pages in data runs, without reserves.
    held: u64,
}

/// Pages that follow each other in the file.
#[derive(Debug, Clone, Copy)]
struct Run {
    backing: Backing,
    pages: u64,
}

#[derive(Debug, Clone, Copy)]
enum Backing {
    /// In memory too they follow each other; behind them are `reserve` more, set aside for
    /// growth, with undefined content.
    Data { phys: u64, reserve: u64 },
    /// Zeros, where the image has something else.
    Hole,
}

/// What a file has at a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// Its own pages.
    Data { phys: u64, pages: u64 },
    /// Nothing but zeros, for this many pages.
    Hole { pages: u64 },
    /// What the image has, for this many pages.
    Lower { pages: u64 },
}

/// Memory that is no longer used, to be released without the lock.
#[derive(Default)]
pub(crate) struct Freed(Vec<(u64, u64)>);

impl Freed {
    pub(crate) fn push(&mut self, phys: u64, pages: u64) {
        if pages > 0 {
            self.0.push((phys, pages));
        }
    }

    /// Releases it all; returns how many pages it was.
    pub(crate) fn release(self, memory: &dyn PageMemory) -> u64 {
        let mut total = 0;
        for (phys, pages) in self.0 {
            memory.release(phys, pages as usize);
            total += pages;
        }
        total
    }
}

impl Pages {
    pub(crate) fn new(lower_end: u64) -> Self {
        Self { runs: BTreeMap::new(), lower_end, held: 0 }
    }

    /// Pages of the file's own.
    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    /// How many pages are still the image's.
    pub(crate) fn lower_pages(&self) -> u64 {
        let covered: u64 = self
            .runs
            .range(..self.lower_end)
            .map(|(&start, run)| run.pages.min(self.lower_end - start))
            .sum();
        self.lower_end - covered.min(self.lower_end)
    }

    fn before(&self, page: u64) -> Option<(u64, Run)> {
        self.runs.range(..=page).next_back().map(|(&start, &run)| (start, run))
    }

    /// What is at `page`, and for how many pages at most `limit`.
    pub(crate) fn find(&self, page: u64, limit: u64) -> Found {
        if let Some((start, run)) = self.before(page)
            && page - start < run.pages
        {
            let pages = (run.pages - (page - start)).min(limit);
            return match run.backing {
                Backing::Data { phys, .. } => {
                    Found::Data { phys: phys + (page - start) * PAGE_SIZE, pages }
                }
                Backing::Hole => Found::Hole { pages },
            };
        }
        let next = self.runs.range(page..).next().map_or(u64::MAX, |(&start, _)| start);
        let pages = (next - page).min(limit);
        if page < self.lower_end {
            Found::Lower { pages: pages.min(self.lower_end - page) }
        } else {
            Found::Hole { pages }
        }
    }

    /// How long the run of data is that ends right before `page`: a hint for how much to
    /// allocate there.
    pub(crate) fn run_ending_at(&self, page: u64) -> u64 {
        match page.checked_sub(1).and_then(|last| self.before(last)) {
            Some((start, Run { backing: Backing::Data { .. }, pages }))
                if start + pages == page =>
            {
                pages
            }
            _ => 0,
        }
    }

    /// Takes up to `limit` pages at `page` out of the reserve behind the run that ends there.
    /// Their content is undefined.
    pub(crate) fn use_reserve(&mut self, page: u64, limit: u64) -> Option<(u64, u64)> {
        if page < self.lower_end {
            return None;
        }
        let (&start, run) = self.runs.range_mut(..page).next_back()?;
        let Backing::Data { phys, reserve } = &mut run.backing else { return None };
        if start + run.pages != page || *reserve == 0 {
            return None;
        }
        let taken = limit.min(*reserve);
        let first = *phys + run.pages * PAGE_SIZE;
        *reserve -= taken;
        run.pages += taken;
        self.held += taken;
        Some((first, taken))
    }

    /// Enters `pages` new pages at `page`, where there is no data yet, with `reserve` more
    /// behind them.
    pub(crate) fn fill(
        &mut self,
        page: u64,
        phys: u64,
        pages: u64,
        reserve: u64,
        freed: &mut Freed,
    ) {
        self.cut(page, page + pages, freed);
        self.trim_before(page, freed);
        self.held += pages;
        let room = self.runs.range(page..).next().map_or(u64::MAX, |(&start, _)| start - page);
        let kept = reserve.min(room - pages);
        freed.push(phys + (pages + kept) * PAGE_SIZE, reserve - kept);
        // Runs that follow each other in memory as well become one.
        if let Some((&start, last)) = self.runs.range_mut(..page).next_back()
            && start + last.pages == page
            && let Backing::Data { phys: first, reserve } = &mut last.backing
            && *reserve == 0
            && *first + last.pages * PAGE_SIZE == phys
        {
            last.pages += pages;
            *reserve = kept;
            return;
        }
        let backing = Backing::Data { phys, reserve: kept };
        self.runs.insert(page, Run { backing, pages });
    }

    /// Gives back the reserve of the run before `page` as far as it reaches there.
    fn trim_before(&mut self, page: u64, freed: &mut Freed) {
        let Some((&start, run)) = self.runs.range_mut(..page).next_back() else { return };
        if let Backing::Data { phys, reserve } = &mut run.backing {
            let kept = (*reserve).min(page - start - run.pages);
            freed.push(*phys + (run.pages + kept) * PAGE_SIZE, *reserve - kept);
            *reserve = kept;
        }
    }

    /// Gives back all reserves.
    pub(crate) fn trim(&mut self, freed: &mut Freed) {
        for run in self.runs.values_mut() {
            if let Backing::Data { phys, reserve } = &mut run.backing {
                freed.push(*phys + run.pages * PAGE_SIZE, *reserve);
                *reserve = 0;
            }
        }
    }

    /// Takes all runs out of pages `start` to `end`; what the image has there shows again.
    fn cut(&mut self, start: u64, end: u64, freed: &mut Freed) {
        if let Some((first, run)) = self.before(start)
            && first < start
            && start - first < run.pages
        {
            self.split(first, start, freed);
        }
        if let Some((first, run)) = end.checked_sub(1).and_then(|last| self.before(last))
            && first < end
            && end - first < run.pages
        {
            self.split(first, end, freed);
        }
        while let Some((&first, &run)) = self.runs.range(start..end).next() {
            self.runs.remove(&first);
            if let Backing::Data { phys, reserve } = run.backing {
                self.held -= run.pages;
                freed.push(phys, run.pages + reserve);
            }
        }
    }

    /// Makes two runs of one; the reserve goes.
    fn split(&mut self, first: u64, at: u64, freed: &mut Freed) {
        let Some(run) = self.runs.get_mut(&first) else { return };
        let (front, back) = (at - first, run.pages - (at - first));
        run.pages = front;
        let backing = match &mut run.backing {
            Backing::Hole => Backing::Hole,
            Backing::Data { phys, reserve } => {
                freed.push(*phys + (front + back) * PAGE_SIZE, *reserve);
                *reserve = 0;
                Backing::Data { phys: *phys + front * PAGE_SIZE, reserve: 0 }
            }
        };
        self.runs.insert(at, Run { backing, pages: back });
    }

    /// Makes pages `start` to `end` a hole.
    pub(crate) fn punch(&mut self, start: u64, end: u64, freed: &mut Freed) {
        self.cut(start, end, freed);
        self.trim_before(end, freed);
        let end = end.min(self.lower_end);
        if start < end {
            self.runs.insert(start, Run { backing: Backing::Hole, pages: end - start });
        }
    }

    /// Ends the file before page `end`.
    pub(crate) fn truncate(&mut self, end: u64, freed: &mut Freed) {
        self.cut(end, u64::MAX, freed);
        self.trim_before(end, freed);
        self.lower_end = self.lower_end.min(end);
    }
}

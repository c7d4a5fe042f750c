//! Page memory on the heap, for tests and for tools that work on file systems.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use lock::{Rank, SpinLock};
use vfs::{PAGE_SIZE, PageMemory};

const RANK: Rank = Rank::new(200, "heap pages");

const WORD: usize = 8;

/// A number of pages on the heap. Slow: made of atomics, so that it is safe code.
pub struct HeapMemory {
    words: Box<[AtomicU64]>,
    /// References by page; page 0 is the page of zeros.
    counts: Box<[AtomicU32]>,
    free: SpinLock<Vec<bool>>,
}

impl HeapMemory {
    /// `pages` pages that live as long as the program.
    pub fn leak(pages: usize) -> &'static Self {
        let pages = pages + 1;
        let mut free = vec![true; pages];
        free[0] = false;
        Box::leak(Box::new(Self {
            words: (0..pages * PAGE_SIZE as usize / WORD).map(|_| AtomicU64::new(0)).collect(),
            counts: (0..pages).map(|_| AtomicU32::new(0)).collect(),
            free: SpinLock::new(RANK, free),
        }))
    }

    /// Pages that are allocated.
    pub fn used(&self) -> u64 {
        self.total_pages() - self.free_pages()
    }

    /// Calls `each` with every word of a range of bytes, which part of the word is in it, and
    /// where that part is in the range.
    fn each(
        &self,
        phys: u64,
        length: usize,
        mut each: impl FnMut(&AtomicU64, core::ops::Range<usize>, usize),
    ) {
        let start = phys as usize;
        let mut done = 0;
        while done < length {
            let within = (start + done) % WORD;
            let part = within..WORD.min(within + length - done);
            let count = part.len();
            each(&self.words[(start + done) / WORD], part, done);
            done += count;
        }
    }

    fn fill(&self, phys: u64, length: usize, value: u8) {
        self.each(phys, length, |word, part, _| change(word, part, |bytes| bytes.fill(value)));
    }

    fn counts(&self, phys: u64, pages: usize) -> &[AtomicU32] {
        let first = (phys / PAGE_SIZE) as usize;
        &self.counts[first..first + pages]
    }
}

impl PageMemory for HeapMemory {
    fn allocate(&self, pages: usize, zeroed: bool) -> Option<u64> {
        let mut free = self.free.lock();
        let mut run = 0;
        let found = free.iter().position(|&is_free| {
            run = if is_free { run + 1 } else { 0 };
            run == pages
        });
        let first = found? + 1 - pages;
        free[first..first + pages].fill(false);
        drop(free);
        let phys = first as u64 * PAGE_SIZE;
        for count in self.counts(phys, pages) {
            assert_eq!(count.swap(1, Ordering::AcqRel), 0, "a free page has references");
        }
        // Whoever forgets to fill pages shall see it.
        let value = if zeroed { 0 } else { 0xa5 };
        self.fill(phys, pages * PAGE_SIZE as usize, value);
        Some(phys)
    }

    fn retain(&self, phys: u64, pages: usize) {
        for count in self.counts(phys, pages) {
            assert!(count.fetch_add(1, Ordering::AcqRel) > 0, "a free page was retained");
        }
    }

    fn release(&self, phys: u64, pages: usize) {
        for (index, count) in self.counts(phys, pages).iter().enumerate() {
            let before = count.fetch_sub(1, Ordering::AcqRel);
            assert!(before > 0, "a free page was released");
            if before == 1 {
                self.free.lock()[(phys / PAGE_SIZE) as usize + index] = true;
            }
        }
    }

    fn read(&self, phys: u64, buffer: &mut [u8]) {
        self.each(phys, buffer.len(), |word, part, at| {
            let bytes = word.load(Ordering::Relaxed).to_ne_bytes();
            buffer[at..at + part.len()].copy_from_slice(&bytes[part]);
        });
    }

    fn write(&self, phys: u64, bytes: &[u8]) {
        self.each(phys, bytes.len(), |word, part, at| {
            let from = &bytes[at..at + part.len()];
            change(word, part, |bytes| bytes.copy_from_slice(from));
        });
    }

    fn zero(&self, phys: u64, length: usize) {
        self.fill(phys, length, 0);
    }

    fn copy(&self, from: u64, to: u64, length: usize) {
        let mut buffer = vec![0; length];
        self.read(from, &mut buffer);
        self.write(to, &buffer);
    }

    fn zero_page(&self) -> u64 {
        0
    }

    fn total_pages(&self) -> u64 {
        self.counts.len() as u64 - 1
    }

    fn free_pages(&self) -> u64 {
        self.free.lock().iter().filter(|&&free| free).count() as u64
    }
}

/// Changes part of a word; others may change other parts at the same time.
fn change(word: &AtomicU64, part: core::ops::Range<usize>, mut change: impl FnMut(&mut [u8])) {
    let mut changed = |old: u64| {
        let mut bytes = old.to_ne_bytes();
        change(&mut bytes[part.clone()]);
        u64::from_ne_bytes(bytes)
    };
    if part.len() == WORD {
        word.store(changed(0), Ordering::Relaxed);
        return;
    }
    let mut old = word.load(Ordering::Relaxed);
    while let Err(now) =
        word.compare_exchange_weak(old, changed(old), Ordering::Relaxed, Ordering::Relaxed)
    {
        old = now;
    }
}

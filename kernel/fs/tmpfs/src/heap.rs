//! Page memory on the heap, for tests and for tools that work on file systems.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use lock::{Rank, SpinLock};
use vfs::{PAGE_SIZE, PageMemory};

const RANK: Rank = Rank::new(200, "heap pages");

/// A number of pages on the heap. Slow: every byte is an atomic, so that it is safe code.
pub struct HeapMemory {
    bytes: Box<[AtomicU8]>,
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
            bytes: (0..pages * PAGE_SIZE as usize).map(|_| AtomicU8::new(0)).collect(),
            counts: (0..pages).map(|_| AtomicU32::new(0)).collect(),
            free: SpinLock::new(RANK, free),
        }))
    }

    /// Pages that are allocated.
    pub fn used(&self) -> u64 {
        self.total_pages() - self.free_pages()
    }

    fn at(&self, phys: u64, length: usize) -> &[AtomicU8] {
        &self.bytes[phys as usize..phys as usize + length]
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
        for byte in self.at(phys, pages * PAGE_SIZE as usize) {
            byte.store(value, Ordering::Relaxed);
        }
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
        let bytes = self.at(phys, buffer.len());
        for (to, from) in buffer.iter_mut().zip(bytes) {
            *to = from.load(Ordering::Relaxed);
        }
    }

    fn write(&self, phys: u64, bytes: &[u8]) {
        for (from, to) in bytes.iter().zip(self.at(phys, bytes.len())) {
            to.store(*from, Ordering::Relaxed);
        }
    }

    fn zero(&self, phys: u64, length: usize) {
        for byte in self.at(phys, length) {
            byte.store(0, Ordering::Relaxed);
        }
    }

    fn copy(&self, from: u64, to: u64, length: usize) {
        for (from, to) in self.at(from, length).iter().zip(self.at(to, length)) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
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

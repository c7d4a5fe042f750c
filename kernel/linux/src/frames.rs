//! The frame allocator as file systems see it.

use core::sync::atomic::{AtomicU64, Ordering};

use hal::PhysAddr;
use mm::frames;
use vfs::PageMemory;

/// The kernel's frames.
pub struct Frames;

/// The one allocator.
pub static MEMORY: Frames = Frames;

/// Whether so little memory is left that what begins now might not be able to end.
pub fn is_scarce() -> bool {
    frames::free() < frames::total() / 16
}

static ZERO: AtomicU64 = AtomicU64::new(0);

impl Frames {
    /// Copies memory of frames that the caller holds to `buffer`.
    pub fn read_at(&self, from: PhysAddr, buffer: &mut [u8]) {
        frames::read(from, buffer);
    }

    /// Copies `bytes` to memory of frames that the caller holds.
    pub fn write_at(&self, to: PhysAddr, bytes: &[u8]) {
        frames::write(to, bytes);
    }
}

impl PageMemory for Frames {
    fn allocate(&self, pages: usize, zeroed: bool) -> Option<u64> {
        let run = frames::allocate_run(pages)?;
        if zeroed {
            frames::zero(run, pages * 4096);
        }
        Some(run.0)
    }

    fn retain(&self, phys: u64, pages: usize) {
        for page in 0..pages as u64 {
            frames::retain(PhysAddr(phys + page * 4096));
        }
    }

    fn release(&self, phys: u64, pages: usize) {
        frames::release_run(PhysAddr(phys), pages);
    }

    fn read(&self, phys: u64, buffer: &mut [u8]) {
        frames::read(PhysAddr(phys), buffer);
    }

    fn write(&self, phys: u64, bytes: &[u8]) {
        frames::write(PhysAddr(phys), bytes);
    }

    fn zero(&self, phys: u64, length: usize) {
        frames::zero(PhysAddr(phys), length);
    }

    fn copy(&self, from: u64, to: u64, length: usize) {
        frames::copy(PhysAddr(from), PhysAddr(to), length);
    }

    fn zero_page(&self) -> u64 {
        match ZERO.load(Ordering::Relaxed) {
            0 => {
                let Some(page) = frames::allocate_zeroed() else {
                    panic!("no memory for a page of zeros")
                };
                match ZERO.compare_exchange(0, page.0, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => page.0,
                    Err(other) => {
                        frames::release(page);
                        other
                    }
                }
            }
            page => page,
        }
    }

    fn total_pages(&self) -> u64 {
        frames::total() as u64
    }

    fn free_pages(&self) -> u64 {
        frames::free() as u64
    }
}

//! The kernel heap.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{NonNull, null_mut};

use hal::{PAGE_SIZE, PerCpu, per_cpu};
use spin::Mutex;

use crate::frames;

/// Sizes of small blocks in bytes; each is aligned to the largest power of two that divides it.
const CLASSES: [usize; 16] =
    [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];

/// Blocks that a vCPU keeps of each class, at most.
const CACHED: usize = 64;

/// Frames that a class takes at once.
const SLAB_FRAMES: usize = 4;

/// A list of free blocks, linked through their first words.
struct FreeList {
    head: *mut u8,
    len: usize,
}

// SAFETY: the blocks on a list belong to the list's owner alone.
unsafe impl Send for FreeList {}

impl FreeList {
    const fn new() -> Self {
        Self { head: null_mut(), len: 0 }
    }

    fn push(&mut self, block: *mut u8) {
        // SAFETY: a free block is at least 16 bytes, aligned to 16, and ours.
        unsafe { block.cast::<*mut u8>().write(self.head) };
        self.head = block;
        self.len += 1;
    }

    fn pop(&mut self) -> Option<NonNull<u8>> {
        let block = NonNull::new(self.head)?;
        // SAFETY: `push` wrote the link.
        self.head = unsafe { block.cast::<*mut u8>().read() };
        self.len -= 1;
        Some(block)
    }
}

struct Caches {
    classes: UnsafeCell<[FreeList; CLASSES.len()]>,
}

// SAFETY: the caches of a vCPU are touched only there, between two yield points.
unsafe impl Sync for Caches {}

static CENTRAL: [Mutex<FreeList>; CLASSES.len()] =
    [const { Mutex::new(FreeList::new()) }; CLASSES.len()];
static CACHES: PerCpu<Caches> =
    per_cpu!(Caches { classes: UnsafeCell::new([const { FreeList::new() }; CLASSES.len()]) });

/// The kernel's global allocator.
pub struct Heap;

/// The class that serves `layout`; `None`: whole frames.
fn class_of(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align());
    if size > CLASSES[CLASSES.len() - 1] {
        return None;
    }
    let first = CLASSES.partition_point(|&class| class < size);
    (first..CLASSES.len()).find(|&class| CLASSES[class].is_multiple_of(layout.align()))
}

fn frames_of(layout: Layout) -> usize {
    layout.size().div_ceil(PAGE_SIZE as usize)
}

fn refill(class: usize, cache: &mut FreeList) {
    let mut central = CENTRAL[class].lock();
    if central.head.is_null() {
        drop(central);
        let Some(slab) = frames::allocate_run(SLAB_FRAMES).and_then(frames::pointer) else {
            return;
        };
        let size = CLASSES[class];
        for offset in (0..SLAB_FRAMES * PAGE_SIZE as usize / size).map(|index| index * size) {
            // SAFETY: the offset is inside the slab.
            cache.push(unsafe { slab.as_ptr().add(offset) });
        }
        if cache.len > CACHED {
            spill(class, cache);
        }
        return;
    }
    while cache.len < CACHED / 2 {
        let Some(block) = central.pop() else { break };
        cache.push(block.as_ptr());
    }
}

fn spill(class: usize, cache: &mut FreeList) {
    let mut central = CENTRAL[class].lock();
    while cache.len > CACHED / 2 {
        let Some(block) = cache.pop() else { break };
        central.push(block.as_ptr());
    }
}

// SAFETY: blocks come from frames that only the heap owns; a block is on one list or in use.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else {
            if layout.align() > 2 << 20 {
                return null_mut();
            }
            // A run is aligned to its rounded size, which covers larger alignments.
            let count = frames_of(layout).max(layout.align() / PAGE_SIZE as usize);
            let run = frames::allocate_run(count).and_then(frames::pointer);
            return run.map_or(null_mut(), NonNull::as_ptr);
        };
        // SAFETY: this vCPU's caches, and no yield point before the end of the borrow.
        let cache = unsafe { &mut (*CACHES.this().classes.get())[class] };
        if cache.head.is_null() {
            refill(class, cache);
        }
        cache.pop().map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else {
            let count = frames_of(layout).max(layout.align() / PAGE_SIZE as usize);
            return frames::release_run(frames::address_of(block), count);
        };
        if cfg!(debug_assertions) {
            // A use after free shows as this pattern.
            // SAFETY: the block is ours again, and as long as its class.
            unsafe { block.write_bytes(0xdd, CLASSES[class]) };
        }
        // SAFETY: this vCPU's caches, and no yield point before the end of the borrow.
        let cache = unsafe { &mut (*CACHES.this().classes.get())[class] };
        cache.push(block);
        if cache.len > CACHED {
            spill(class, cache);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_is_served_aligned_and_apart() {
        plat_test::memory(64 << 20, |regions| {
            // SAFETY: called once, with memory of the test platform.
            unsafe { frames::init(regions, false) }
        });
        let before = frames::free();
        let mut blocks = Vec::new();
        for size in (1..9000).step_by(37) {
            for align in [1, 8, 16, 64, 256, 4096, 8192] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout is not empty.
                let block = unsafe { Heap.alloc(layout) };
                assert!(!block.is_null() && (block as usize).is_multiple_of(align), "{layout:?}");
                // SAFETY: the block is that long.
                unsafe { block.write_bytes(size as u8, size) };
                blocks.push((block, layout));
            }
        }
        for (block, layout) in blocks {
            // SAFETY: written above, and still ours.
            let bytes = unsafe { core::slice::from_raw_parts(block, layout.size()) };
            assert!(bytes.iter().all(|&byte| byte == layout.size() as u8), "{layout:?}");
            // SAFETY: allocated above with this layout.
            unsafe { Heap.dealloc(block, layout) };
        }
        // What is left are slabs of small classes, not large runs.
        assert!(frames::free() + 4000 > before);
        // SAFETY: the layout is not empty.
        let too_large = unsafe { Heap.alloc(Layout::from_size_align(1 << 40, 16).unwrap()) };
        assert!(too_large.is_null());
    }
}

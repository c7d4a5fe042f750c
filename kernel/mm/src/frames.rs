//! The frame allocator.

use core::cell::UnsafeCell;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use hal::{PAGE_SIZE, PerCpu, PhysAddr, per_cpu};
use spin::Mutex;

use crate::buddy::{Buddy, Entry, MAX_ORDER};

/// Frames that a vCPU's cache holds at most, and how many it moves at once.
const CACHE: usize = 64;
const BATCH: usize = CACHE / 2;

/// Frames that are taken into use at once, 16 MiB, so that a machine with much memory starts as
/// fast as one with little. Their part of the frame table is nobody's before.
const GROWTH: u64 = 4096;

/// Runs of frames that are not in use yet, at most.
const MAX_RUNS: usize = 32;

struct Table {
    buddy: Buddy,
    /// The entries of the frames below the highest that is in use.
    entries: &'static mut [Entry],
    /// Where the entries are, and whether they read as zero before they are used.
    base: *mut Entry,
    zeroed: bool,
    /// The runs (first, end) that are not in use yet, highest first, and how many they are.
    fresh: [(u64, u64); MAX_RUNS],
    runs: usize,
}

// SAFETY: the pointer is to the frame table, which belongs to whoever holds the lock.
unsafe impl Send for Table {}

impl Table {
    /// Takes further frames into use; `false` when all are.
    fn grow(&mut self) -> bool {
        let Some(run) = self.runs.checked_sub(1).and_then(|last| self.fresh.get_mut(last)) else {
            return false;
        };
        let (start, end) = *run;
        let stop = (start / GROWTH + 1).saturating_mul(GROWTH).min(end);
        run.0 = stop;
        if stop == end {
            self.runs -= 1;
        }
        let (known, wanted) = (self.entries.len(), stop as usize);
        // SAFETY: the table has room for an entry and a count of every frame; those from
        // `known` on are used by nobody yet, and all zero bytes are valid.
        unsafe {
            if !self.zeroed {
                self.base.add(known).write_bytes(0, wanted - known);
                COUNTS.first.load(Ordering::Relaxed).add(known).write_bytes(0, wanted - known);
            }
            self.entries = core::slice::from_raw_parts_mut(self.base, wanted);
        }
        self.buddy.release_run(self.entries, start as u32, (stop - start) as u32);
        true
    }

    /// Takes a block of 2^order frames.
    fn allocate(&mut self, order: usize) -> Option<u32> {
        loop {
            if let Some(frame) = self.buddy.allocate(self.entries, order) {
                return Some(frame);
            }
            if !self.grow() {
                return None;
            }
        }
    }

    /// Frames that are not in use yet.
    fn unused(&self) -> usize {
        let runs = self.fresh.iter().take(self.runs);
        runs.map(|(start, end)| (end - start) as usize).sum()
    }
}

struct Cache {
    frames: UnsafeCell<([u32; CACHE], usize)>,
}

// SAFETY: a cache is touched only by its own vCPU, between two yield points.
unsafe impl Sync for Cache {}

static TABLE: Mutex<Table> = Mutex::new(Table {
    buddy: Buddy::new(),
    entries: &mut [],
    base: core::ptr::null_mut(),
    zeroed: false,
    fresh: [(0, 0); MAX_RUNS],
    runs: 0,
});
static CACHES: PerCpu<Cache> = per_cpu!(Cache { frames: UnsafeCell::new(([0; CACHE], 0)) });
static COUNTS: References = References {
    first: core::sync::atomic::AtomicPtr::new(core::ptr::null_mut()),
    len: AtomicUsize::new(0),
};
static TOTAL: AtomicUsize = AtomicUsize::new(0);
static IN_CACHES: AtomicUsize = AtomicUsize::new(0);

/// The reference counts of all frames.
struct References {
    first: core::sync::atomic::AtomicPtr<AtomicU32>,
    len: AtomicUsize,
}

impl References {
    #[inline]
    fn of(&self, frame: u32) -> &AtomicU32 {
        assert!((frame as usize) < self.len.load(Ordering::Relaxed), "frame {frame} is not ours");
        // SAFETY: `init` set the pointer to `len` counts that live for ever.
        unsafe { &*self.first.load(Ordering::Relaxed).add(frame as usize) }
    }
}

/// Takes over the memory between the given pairs of physical addresses (start, end), which are
/// sorted, do not overlap and are nobody else's. The frame table is put into the largest.
///
/// # Safety
/// Called once, before anything else here, on one vCPU. The regions are readable and writable
/// through the physical window, and the table's place reads as zero or may be zeroed when
/// `zeroed` is false.
pub unsafe fn init(regions: &[(u64, u64)], zeroed: bool) {
    let frame_of = |address: u64| address / PAGE_SIZE;
    let whole =
        |&(start, end): &(u64, u64)| (frame_of(start.next_multiple_of(PAGE_SIZE)), frame_of(end));
    let last = regions.iter().map(|region| whole(region).1).max().unwrap_or(0);
    let largest = regions.iter().map(whole).max_by_key(|(start, end)| end.saturating_sub(*start));
    let Some((table_start, largest_end)) = largest else { return };
    let entry_bytes = last * size_of::<Entry>() as u64;
    let count_bytes = last * size_of::<AtomicU32>() as u64;
    let table_frames = (entry_bytes + count_bytes).div_ceil(PAGE_SIZE);
    assert!(table_start + table_frames < largest_end, "too little memory for the frame table");
    let base = PhysAddr(table_start * PAGE_SIZE).pointer();
    let mut table = TABLE.lock();
    table.base = base.cast();
    table.zeroed = zeroed;
    COUNTS.first.store(base.wrapping_add(entry_bytes as usize).cast(), Ordering::Relaxed);
    COUNTS.len.store(last as usize, Ordering::Relaxed);
    for region in regions.iter().rev() {
        let (mut start, end) = whole(region);
        if start == table_start {
            start += table_frames;
        }
        if start < end {
            let runs = table.runs;
            assert!(runs < MAX_RUNS, "too many regions of memory");
            table.fresh[runs] = (start, end);
            table.runs += 1;
        }
    }
    TOTAL.store(table.unused(), Ordering::Relaxed);
}

/// Frames that the allocator manages.
pub fn total() -> usize {
    TOTAL.load(Ordering::Relaxed)
}

/// Frames that are free now, those in caches included.
pub fn free() -> usize {
    let table = TABLE.lock();
    table.buddy.free() + table.unused() + IN_CACHES.load(Ordering::Relaxed)
}

fn address(frame: u32) -> PhysAddr {
    PhysAddr(u64::from(frame) * PAGE_SIZE)
}

fn frame(address: PhysAddr) -> u32 {
    (address.0 / PAGE_SIZE) as u32
}

/// One frame with a reference count of one, content undefined.
pub fn allocate() -> Option<PhysAddr> {
    // SAFETY: this vCPU's cache, and no yield point before the end of the borrow.
    let (frames, used) = unsafe { &mut *CACHES.this().frames.get() };
    if *used == 0 {
        let mut table = TABLE.lock();
        while *used < BATCH {
            let Some(frame) = table.allocate(0) else { break };
            frames[*used] = frame;
            *used += 1;
        }
        IN_CACHES.fetch_add(*used, Ordering::Relaxed);
        if *used == 0 {
            return None;
        }
    }
    *used -= 1;
    IN_CACHES.fetch_sub(1, Ordering::Relaxed);
    COUNTS.of(frames[*used]).store(1, Ordering::Relaxed);
    Some(address(frames[*used]))
}

/// One frame of zeros with a reference count of one.
pub fn allocate_zeroed() -> Option<PhysAddr> {
    let address = allocate()?;
    // SAFETY: the frame is ours and a page long.
    unsafe { address.pointer().write_bytes(0, PAGE_SIZE as usize) };
    Some(address)
}

/// `count` frames in a row, each with a reference count of one, content undefined, aligned to
/// the next power of two up to 2 MiB.
pub fn allocate_run(count: usize) -> Option<PhysAddr> {
    if count == 1 {
        return allocate();
    }
    let order = count.checked_next_power_of_two()?.ilog2() as usize;
    if order > MAX_ORDER {
        return None;
    }
    let mut table = TABLE.lock();
    let first = table.allocate(order)?;
    let Table { buddy, entries, .. } = &mut *table;
    buddy.release_run(entries, first + count as u32, (1 << order) - count as u32);
    drop(table);
    for frame in first..first + count as u32 {
        COUNTS.of(frame).store(1, Ordering::Relaxed);
    }
    Some(address(first))
}

/// Adds a reference to a frame.
pub fn retain(address: PhysAddr) {
    let before = COUNTS.of(frame(address)).fetch_add(1, Ordering::Relaxed);
    debug_assert!(before > 0, "a free frame was retained");
}

/// The references to a frame.
pub fn references(address: PhysAddr) -> u32 {
    COUNTS.of(frame(address)).load(Ordering::Acquire)
}

/// Drops a reference to a frame; the last one frees it.
pub fn release(address: PhysAddr) {
    let frame = frame(address);
    let before = COUNTS.of(frame).fetch_sub(1, Ordering::AcqRel);
    assert!(before > 0, "a free frame was released");
    if before > 1 {
        return;
    }
    // SAFETY: this vCPU's cache, and no yield point before the end of the borrow.
    let (frames, used) = unsafe { &mut *CACHES.this().frames.get() };
    if *used == CACHE {
        let mut table = TABLE.lock();
        let Table { buddy, entries, .. } = &mut *table;
        for &frame in &frames[BATCH..] {
            buddy.release(entries, frame, 0);
        }
        *used = BATCH;
        IN_CACHES.fetch_sub(CACHE - BATCH, Ordering::Relaxed);
    }
    frames[*used] = frame;
    *used += 1;
    IN_CACHES.fetch_add(1, Ordering::Relaxed);
}

/// Drops a reference to each of `count` frames in a row.
pub fn release_run(address: PhysAddr, count: usize) {
    let first = frame(address);
    let mut run = first;
    let mut table = None;
    for frame in first..first + count as u32 {
        let before = COUNTS.of(frame).fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "a free frame was released");
        if before > 1 {
            give_back(&mut table, run, frame);
            run = frame + 1;
        }
    }
    give_back(&mut table, run, first + count as u32);
}

fn give_back(table: &mut Option<spin::MutexGuard<'static, Table>>, start: u32, end: u32) {
    if start < end {
        let table = table.get_or_insert_with(|| TABLE.lock());
        let Table { buddy, entries, .. } = &mut **table;
        buddy.release_run(entries, start, end - start);
    }
}

/// The memory of a frame run, as the heap uses it.
pub(crate) fn pointer(address: PhysAddr) -> Option<NonNull<u8>> {
    NonNull::new(address.pointer())
}

/// The address of memory that [`pointer`] gave.
pub(crate) fn address_of(pointer: *mut u8) -> PhysAddr {
    PhysAddr(pointer as u64 - hal::physical_window() as u64)
}

/// Copies memory of frames to `buffer`. The caller holds the frames.
pub fn read(from: PhysAddr, buffer: &mut [u8]) {
    // SAFETY: frames stay mapped in the window; programs may change them meanwhile, which a byte
    // copy survives.
    unsafe { from.pointer().copy_to_nonoverlapping(buffer.as_mut_ptr(), buffer.len()) };
}

/// Copies `bytes` to memory of frames. The caller holds the frames.
pub fn write(to: PhysAddr, bytes: &[u8]) {
    // SAFETY: as in `read`.
    unsafe { to.pointer().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
}

/// Fills memory of frames with zeros. The caller holds the frames.
pub fn zero(to: PhysAddr, length: usize) {
    // SAFETY: as in `read`.
    unsafe { to.pointer().write_bytes(0, length) };
}

/// Copies between frames. The caller holds them.
pub fn copy(from: PhysAddr, to: PhysAddr, length: usize) {
    // SAFETY: as in `read`.
    unsafe { from.pointer().copy_to(to.pointer(), length) };
}

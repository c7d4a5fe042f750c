//! The driver's side of a split virtqueue (VIRTIO 1.2, section 2.7).

use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU16, Ordering, fence};

/// Memory that driver and device share.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Where the driver sees it.
    pub pointer: *mut u8,
    /// Where the device sees it.
    pub physical: u64,
    /// Bytes.
    pub length: usize,
}

// SAFETY: the pointer means the same on every processor; using it is what needs an argument.
unsafe impl Send for Memory {}

/// A piece of memory that is given to the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where the device sees it.
    pub physical: u64,
    /// Bytes.
    pub length: u32,
    /// The device writes it; otherwise it reads it.
    pub device_writes: bool,
}

/// The most entries of a queue.
const MOST: u16 = 256;
// Where the parts of a queue of that size are in its memory.
const AVAILABLE: usize = 4096;
const USED: usize = 8192;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const NO_INTERRUPT: u16 = 1;
const NO_NOTIFY: u16 = 1;

/// A queue. Its memory belongs to the device until the device is reset.
pub struct Queue {
    memory: Memory,
    size: u16,
    event_index: bool,
    /// The descriptor behind each one, in a chain or among the free ones: the device's copy is
    /// not trusted.
    next: Vec<u16>,
    /// Descriptors in the chain that starts here; 0: none starts here.
    chains: Vec<u16>,
    free: u16,
    free_count: u16,
    /// What was made available, and how much of that the device was told of.
    available: u16,
    told: u16,
    used: u16,
}

// SAFETY: the memory is shared with the device only, by volatile and atomic accesses.
unsafe impl Send for Queue {}

impl Queue {
    /// Bytes of memory that a queue needs, aligned to 4096.
    pub const MEMORY: usize = 3 * 4096;

    /// A queue of at most `size` entries in zeroed memory. `event_index`:
    /// `VIRTIO_F_EVENT_IDX` was negotiated.
    ///
    /// # Safety
    /// `memory` is [`MEMORY`](Self::MEMORY) bytes for this queue alone, aligned to 4096, for as
    /// long as the device or the queue uses it.
    pub unsafe fn new(memory: Memory, size: u16, event_index: bool) -> Self {
        let size = size.clamp(2, MOST);
        let size = if size.is_power_of_two() { size } else { size.next_power_of_two() / 2 };
        Self {
            memory,
            size,
            event_index,
            next: (1..=size).collect(),
            chains: vec![0; usize::from(size)],
            free: 0,
            free_count: size,
            available: 0,
            told: 0,
            used: 0,
        }
    }

    /// Entries.
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// Where the device sees the descriptors, what is available, and what is used.
    pub const fn places(&self) -> [u64; 3] {
        let base = self.memory.physical;
        [base, base + AVAILABLE as u64, base + USED as u64]
    }

    /// Descriptors that are free.
    pub const fn room(&self) -> usize {
        self.free_count as usize
    }

    /// The name of the chain that [`add`](Self::add) makes next.
    pub const fn next_head(&self) -> u16 {
        self.free
    }

    fn half(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: the offset is inside the memory and aligned; device and driver access it
        // atomically.
        unsafe { AtomicU16::from_ptr(self.memory.pointer.add(offset).cast()) }
    }

    fn describe(&self, index: u16, part: &Part, flags: u16, next: u16) {
        let bytes = u128::from(part.physical)
            | u128::from(part.length) << 64
            | u128::from(flags) << 96
            | u128::from(next) << 112;
        // SAFETY: a descriptor of ours that the device does not look at yet.
        unsafe {
            let entry = self.memory.pointer.add(16 * usize::from(index)).cast::<[u64; 2]>();
            entry.write_volatile([bytes as u64, (bytes >> 64) as u64]);
        }
    }

    /// Gives the device a chain of parts; its name comes back with [`take`](Self::take). `None`:
    /// there is no room, or nothing to give.
    pub fn add(&mut self, parts: impl ExactSizeIterator<Item = Part>) -> Option<u16> {
        let count = parts.len();
        if count == 0 || count > self.room() {
            return None;
        }
        let head = self.free;
        let mut index = head;
        for (place, part) in parts.enumerate() {
            let next = self.next[usize::from(index)];
            let last = place + 1 == count;
            let flags = if last { 0 } else { NEXT } | if part.device_writes { WRITE } else { 0 };
            self.describe(index, &part, flags, if last { 0 } else { next });
            self.free = next;
            if !last {
                index = next;
            }
        }
        self.free_count -= count as u16;
        self.chains[usize::from(head)] = count as u16;
        let slot = usize::from(self.available % self.size);
        self.half(AVAILABLE + 4 + 2 * slot).store(head, Ordering::Relaxed);
        self.available = self.available.wrapping_add(1);
        Some(head)
    }

    /// Shows the device what was added; whether it must be notified.
    pub fn publish(&mut self) -> bool {
        if self.told == self.available {
            return false;
        }
        self.half(AVAILABLE + 2).store(self.available, Ordering::Release);
        fence(Ordering::SeqCst);
        let old = core::mem::replace(&mut self.told, self.available);
        if self.event_index {
            let event = self.half(USED + 4 + 8 * usize::from(self.size)).load(Ordering::Relaxed);
            // Whether the index went past the event (section 2.7.7.1).
            let passed = self.available.wrapping_sub(event).wrapping_sub(1);
            return passed < self.available.wrapping_sub(old);
        }
        self.half(USED).load(Ordering::Relaxed) & NO_NOTIFY == 0
    }

    fn has_used(&self) -> bool {
        self.half(USED + 2).load(Ordering::Acquire) != self.used
    }

    /// A chain that the device has used: its name, and the bytes that it wrote.
    pub fn take(&mut self) -> Option<(u16, u32)> {
        while self.has_used() {
            let at = USED + 4 + 8 * usize::from(self.used % self.size);
            // SAFETY: inside the memory, aligned; the device wrote it before the index.
            let [head, length] =
                unsafe { self.memory.pointer.add(at).cast::<[u32; 2]>().read_volatile() };
            self.used = self.used.wrapping_add(1);
            let Some(count) = self.chains.get_mut(head as usize).filter(|count| **count > 0) else {
                // No chain of ours: the device is wrong, and gets nothing for it.
                continue;
            };
            let count = core::mem::take(count);
            let head = head as u16;
            let mut last = head;
            for _ in 1..count {
                last = self.next[usize::from(last)];
            }
            self.next[usize::from(last)] = self.free;
            self.free = head;
            self.free_count += count;
            return Some((head, length));
        }
        None
    }

    /// Asks for an interrupt at the next used chain; `true`: there is one already.
    pub fn enable_interrupts(&mut self) -> bool {
        if self.event_index {
            self.half(AVAILABLE + 4 + 2 * usize::from(self.size))
                .store(self.used, Ordering::Relaxed);
        } else {
            self.half(AVAILABLE).store(0, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        self.has_used()
    }

    /// Asks for no interrupts until further notice.
    pub fn disable_interrupts(&mut self) {
        if self.event_index {
            // An index that the device reaches only after a whole round.
            self.half(AVAILABLE + 4 + 2 * usize::from(self.size))
                .store(self.used.wrapping_sub(1), Ordering::Relaxed);
        } else {
            self.half(AVAILABLE).store(NO_INTERRUPT, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The device's side, in the same memory.
    struct Device {
        memory: Memory,
        size: u16,
        seen: u16,
        used: u16,
    }

    impl Device {
        fn half(&self, offset: usize) -> &AtomicU16 {
            // SAFETY: as the queue's.
            unsafe { AtomicU16::from_ptr(self.memory.pointer.add(offset).cast()) }
        }

        fn take(&mut self) -> Option<(u16, Vec<Part>)> {
            if self.half(AVAILABLE + 2).load(Ordering::Acquire) == self.seen {
                return None;
            }
            let slot = usize::from(self.seen % self.size);
            let head = self.half(AVAILABLE + 4 + 2 * slot).load(Ordering::Relaxed);
            self.seen = self.seen.wrapping_add(1);
            let mut parts = Vec::new();
            let mut index = head;
            loop {
                // SAFETY: a descriptor of the table.
                let [physical, rest] = unsafe {
                    self.memory.pointer.add(16 * usize::from(index)).cast::<[u64; 2]>().read()
                };
                let flags = (rest >> 32) as u16;
                let device_writes = flags & WRITE != 0;
                parts.push(Part { physical, length: rest as u32, device_writes });
                if flags & NEXT == 0 {
                    return Some((head, parts));
                }
                index = (rest >> 48) as u16;
            }
        }

        fn give(&mut self, head: u32, length: u32) {
            let at = USED + 4 + 8 * usize::from(self.used % self.size);
            // SAFETY: inside the memory.
            unsafe { self.memory.pointer.add(at).cast::<[u32; 2]>().write([head, length]) };
            self.used = self.used.wrapping_add(1);
            self.half(USED + 2).store(self.used, Ordering::Release);
        }
    }

    fn pair(size: u16, event_index: bool) -> (Queue, Device) {
        #[repr(align(4096))]
        struct Pages([u8; Queue::MEMORY]);
        let pages = Box::leak(Box::new(Pages([0; Queue::MEMORY])));
        let pointer = pages.0.as_mut_ptr();
        let memory = Memory { pointer, physical: pointer as u64, length: Queue::MEMORY };
        // SAFETY: fresh memory that stays for ever.
        let queue = unsafe { Queue::new(memory, size, event_index) };
        let size = queue.size();
        (queue, Device { memory, size, seen: 0, used: 0 })
    }

    fn part(number: u64) -> Part {
        Part { physical: number * 4096, length: number as u32, device_writes: number % 2 == 1 }
    }

    #[test]
    fn chains_pass_and_come_back_in_any_order() {
        let (mut queue, mut device) = pair(8, false);
        for round in 0..1000u64 {
            let first = queue.add([part(1), part(2), part(3)].into_iter()).unwrap();
            let second = queue.add([part(round + 4)].into_iter()).unwrap();
            assert!(queue.publish());
            let (one, parts) = device.take().unwrap();
            assert_eq!((one, parts), (first, vec![part(1), part(2), part(3)]));
            let (two, parts) = device.take().unwrap();
            assert_eq!((two, parts), (second, vec![part(round + 4)]));
            assert!(device.take().is_none());
            device.give(u32::from(two), 7);
            device.give(u32::from(one), 0);
            assert_eq!(queue.take(), Some((second, 7)));
            assert_eq!(queue.take(), Some((first, 0)));
            assert_eq!(queue.take(), None);
            assert_eq!(queue.room(), 8);
        }
    }

    #[test]
    fn a_full_queue_takes_nothing() {
        let (mut queue, _) = pair(4, false);
        assert!(queue.add([part(1), part(2), part(3)].into_iter()).is_some());
        assert!(queue.add([part(1), part(2)].into_iter()).is_none());
        assert!(queue.add([part(1)].into_iter()).is_some());
        assert_eq!(queue.room(), 0);
    }

    #[test]
    fn what_a_wrong_device_says_is_ignored() {
        let (mut queue, mut device) = pair(4, false);
        let head = queue.add([part(1)].into_iter()).unwrap();
        queue.publish();
        device.give(3, 1);
        device.give(u32::MAX, 1);
        device.give(u32::from(head), 5);
        device.give(u32::from(head), 5);
        assert_eq!(queue.take(), Some((head, 5)));
        assert_eq!(queue.take(), None);
        assert_eq!(queue.room(), 4);
    }

    #[test]
    fn the_device_is_told_only_when_it_asked() {
        let (mut queue, device) = pair(8, true);
        let event = USED + 4 + 8 * 8;
        let add = |queue: &mut Queue| {
            queue.add([part(1)].into_iter()).unwrap();
            queue.publish()
        };
        assert!(add(&mut queue));
        // It wants to know of the fourth.
        device.half(event).store(3, Ordering::Relaxed);
        assert!(!add(&mut queue));
        assert!(!add(&mut queue));
        assert!(add(&mut queue));
        assert!(!add(&mut queue));
        assert!(!queue.publish());
    }

    #[test]
    fn an_interrupt_that_was_missed_is_noticed() {
        let (mut queue, mut device) = pair(8, true);
        let head = queue.add([part(1)].into_iter()).unwrap();
        queue.publish();
        assert!(!queue.enable_interrupts());
        device.give(u32::from(head), 0);
        assert!(queue.enable_interrupts());
        assert!(queue.take().is_some());
        assert!(!queue.enable_interrupts());
    }
}

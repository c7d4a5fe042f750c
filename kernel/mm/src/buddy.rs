//! A buddy system over frame numbers. All its state is in the frame table; it never touches
//! the frames themselves.

/// Largest block: 2^18 frames, 1 GiB.
pub(crate) const MAX_ORDER: usize = 18;

/// End of a list.
const NONE: u32 = u32::MAX;

/// What the buddy system keeps per frame. All zero: a frame that is not free.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Entry {
    next: u32,
    previous: u32,
    /// Order + 1 of the free block that starts here, or 0.
    free_order: u32,
}

/// The free lists.
pub(crate) struct Buddy {
    heads: [u32; MAX_ORDER + 1],
    free: usize,
}

impl Buddy {
    pub(crate) const fn new() -> Self {
        Self { heads: [NONE; MAX_ORDER + 1], free: 0 }
    }

    /// Number of free frames.
    pub(crate) fn free(&self) -> usize {
        self.free
    }

    fn push(&mut self, table: &mut [Entry], frame: u32, order: usize) {
        let head = self.heads[order];
        table[frame as usize] = Entry { next: head, previous: NONE, free_order: order as u32 + 1 };
        if let Some(entry) = table.get_mut(head as usize) {
            entry.previous = frame;
        }
        self.heads[order] = frame;
    }

    fn remove(&mut self, table: &mut [Entry], frame: u32, order: usize) {
        let Entry { next, previous, .. } = table[frame as usize];
        match table.get_mut(previous as usize) {
            Some(entry) => entry.next = next,
            None => self.heads[order] = next,
        }
        if let Some(entry) = table.get_mut(next as usize) {
            entry.previous = previous;
        }
        table[frame as usize] = Entry::default();
    }

    /// Takes a block of 2^order frames, aligned to its size.
    pub(crate) fn allocate(&mut self, table: &mut [Entry], order: usize) -> Option<u32> {
        let found = (order..=MAX_ORDER).find(|&order| self.heads[order] != NONE)?;
        let frame = self.heads[found];
        self.remove(table, frame, found);
        for half in (order..found).rev() {
            self.push(table, frame + (1 << half), half);
        }
        self.free -= 1 << order;
        Some(frame)
    }

    /// Gives a block of 2^order frames back and joins it with its free buddies.
    pub(crate) fn release(&mut self, table: &mut [Entry], frame: u32, order: usize) {
        debug_assert_eq!(table[frame as usize].free_order, 0, "frame {frame} freed twice");
        self.free += 1 << order;
        let (mut frame, mut order) = (frame, order);
        while order < MAX_ORDER {
            let buddy = frame ^ (1 << order);
            let same_order = |entry: &Entry| entry.free_order == order as u32 + 1;
            if !table.get(buddy as usize).is_some_and(same_order) {
                break;
            }
            self.remove(table, buddy, order);
            frame &= !(1 << order);
            order += 1;
        }
        self.push(table, frame, order);
    }

    /// Gives back `count` frames from `frame` on, in the largest aligned blocks.
    pub(crate) fn release_run(&mut self, table: &mut [Entry], frame: u32, count: u32) {
        let (mut frame, end) = (frame, frame + count);
        while frame < end {
            let aligned = frame.trailing_zeros().min(MAX_ORDER as u32);
            let fits = (end - frame).ilog2();
            let order = aligned.min(fits) as usize;
            self.release(table, frame, order);
            frame += 1 << order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_comes_back_as_one_block() {
        let mut table = vec![Entry::default(); 1 << 10];
        let mut buddy = Buddy::new();
        buddy.release_run(&mut table, 0, 1 << 10);
        assert_eq!(buddy.heads[10], 0);
        let blocks: Vec<_> =
            (0..6).map(|order| (buddy.allocate(&mut table, order).unwrap(), order)).collect();
        for &(frame, order) in &blocks {
            assert_eq!(frame % (1 << order), 0);
        }
        for (frame, order) in blocks {
            buddy.release(&mut table, frame, order);
        }
        assert_eq!((buddy.free(), buddy.heads[10]), (1 << 10, 0));
    }

    #[test]
    fn odd_runs_are_cut_into_aligned_blocks() {
        let mut table = vec![Entry::default(); 1 << 10];
        let mut buddy = Buddy::new();
        buddy.release_run(&mut table, 3, 1000);
        assert_eq!(buddy.free(), 1000);
        let mut seen = std::collections::BTreeSet::new();
        while let Some(frame) = buddy.allocate(&mut table, 0) {
            assert!((3..1003).contains(&frame) && seen.insert(frame));
        }
        assert_eq!((seen.len(), buddy.free()), (1000, 0));
    }
}

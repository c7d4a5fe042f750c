//! Timers: a heap of times, and for each timer the time that counts.

use alloc::collections::{BTreeMap, BinaryHeap};
use core::cmp::Reverse;

#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(i64, u64, usize, u32)>>,
    /// Time and sequence number for which a timer is set; other heap entries are stale.
    set: BTreeMap<(usize, u32), (i64, u64)>,
    sequence: u64,
}

impl Timers {
    /// Sets a timer, replacing the time it was set for.
    pub(crate) fn set(&mut self, element: usize, number: u32, at: i64) {
        self.sequence += 1;
        self.set.insert((element, number), (at, self.sequence));
        self.heap.push(Reverse((at, self.sequence, element, number)));
        if self.heap.len() > 64 + 4 * self.set.len() {
            let set = &self.set;
            self.heap.retain(|Reverse((at, sequence, element, number))| {
                set.get(&(*element, *number)) == Some(&(*at, *sequence))
            });
        }
    }

    pub(crate) fn clear(&mut self, element: usize, number: u32) {
        self.set.remove(&(element, number));
    }

    pub(crate) fn time(&self, element: usize, number: u32) -> Option<i64> {
        self.set.get(&(element, number)).map(|(at, _)| *at)
    }

    fn drop_stale(&mut self) {
        while let Some(Reverse((at, sequence, element, number))) = self.heap.peek() {
            if self.set.get(&(*element, *number)) == Some(&(*at, *sequence)) {
                break;
            }
            self.heap.pop();
        }
    }

    /// The time of the next timer.
    pub(crate) fn next(&mut self) -> Option<i64> {
        self.drop_stale();
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Takes the next timer that is due at `now`.
    pub(crate) fn due(&mut self, now: i64) -> Option<(usize, u32)> {
        if self.next()? > now {
            return None;
        }
        let Reverse((_, _, element, number)) = self.heap.pop()?;
        self.set.remove(&(element, number));
        Some((element, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_expire_in_order_and_can_be_moved() {
        let mut timers = Timers::default();
        timers.set(0, 0, 30);
        timers.set(1, 0, 20);
        timers.set(2, 0, 20);
        timers.set(1, 0, 40);
        assert_eq!((timers.next(), timers.due(10)), (Some(20), None));
        assert_eq!(
            (timers.due(30), timers.due(30), timers.due(30)),
            (Some((2, 0)), Some((0, 0)), None)
        );
        timers.clear(1, 0);
        assert_eq!(timers.next(), None);
    }
}

use alloc::vec;
use alloc::vec::Vec;

use crate::Instant;

/// log2 of the tick in nanoseconds: about 0.26 ms.
const TICK_SHIFT: u32 = 18;
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Levels; the furthest deadline is 2^(5·6) ticks, some 78 hours. Later ones are clamped and
/// re-sorted when they come due.
const LEVELS: usize = 5;
const NONE: u32 = u32::MAX;

/// Names a pending timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimerId(u32);

/// A hierarchical timer wheel: arming, cancelling and expiry cost the same for any number of
/// timers (Varghese and Lauck, 1987).
///
/// Timers fire up to one tick (0.26 ms) late and never early.
#[derive(Debug)]
pub struct Wheel<T> {
    nodes: Vec<Node<T>>,
    free: u32,
    heads: Vec<u32>,
    occupied: [u64; LEVELS],
    /// The next tick to be looked at.
    tick: u64,
    count: usize,
}

#[derive(Debug)]
struct Node<T> {
    tick: u64,
    next: u32,
    previous: u32,
    slot: u32,
    value: Option<T>,
}

impl<T> Wheel<T> {
    /// A wheel without timers, at `now`.
    pub fn new(now: Instant) -> Self {
        Wheel {
            nodes: Vec::new(),
            free: NONE,
            heads: vec![NONE; LEVELS * SLOTS],
            occupied: [0; LEVELS],
            tick: now.nanos() >> TICK_SHIFT,
            count: 0,
        }
    }

    /// Timers pending.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether none is pending.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Arms a timer.
    pub fn insert(&mut self, deadline: Instant, value: T) -> TimerId {
        // Round up: the tick in which the deadline has passed for certain.
        let tick = (deadline.nanos() >> TICK_SHIFT).saturating_add(1);
        let index = match self.free {
            NONE => {
                self.nodes.push(Node {
                    tick,
                    next: NONE,
                    previous: NONE,
                    slot: 0,
                    value: Some(value),
                });
                self.nodes.len() as u32 - 1
            }
            index => {
                let node = &mut self.nodes[index as usize];
                self.free = node.next;
                node.tick = tick;
                node.value = Some(value);
                index
            }
        };
        self.count += 1;
        self.link(index);
        TimerId(index)
    }

    /// Disarms a timer and returns its value. The id must be pending.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        self.nodes.get(id.0 as usize)?.value.as_ref()?;
        self.unlink(id.0);
        self.release(id.0)
    }

    /// Takes one timer that is due at `now`; call until `None`.
    pub fn expire(&mut self, now: Instant) -> Option<T> {
        let target = now.nanos() >> TICK_SHIFT;
        loop {
            if self.count == 0 {
                self.tick = self.tick.max(target);
                return None;
            }
            if self.tick > target {
                return None;
            }
            let slot = (self.tick as usize) % SLOTS;
            let head = self.heads[slot];
            if head != NONE {
                self.unlink(head);
                return self.release(head);
            }
            self.step(target);
        }
    }

    /// When [`Wheel::expire`] may next have something to give: never later than the first
    /// timer, possibly earlier when that is far away.
    pub fn next_deadline(&self) -> Instant {
        if self.count == 0 {
            return Instant::NEVER;
        }
        let tick = self.next_tick();
        Instant::from_nanos(tick.checked_shl(TICK_SHIFT).unwrap_or(u64::MAX))
    }

    /// The next tick, from the current one on, with a slot of any level to look at.
    fn next_tick(&self) -> u64 {
        let mut best = u64::MAX;
        for level in 0..LEVELS {
            if self.occupied[level] == 0 {
                continue;
            }
            let shift = SLOT_BITS * level as u32;
            let position = self.tick >> shift;
            let rotated = self.occupied[level].rotate_right((position % SLOTS as u64) as u32);
            let mut distance = u64::from(rotated.trailing_zeros());
            if level > 0 && distance == 0 && self.tick & ((1 << shift) - 1) != 0 {
                // The slot under the hand was cascaded when the hand entered it, so what is in
                // it now is a whole turn away.
                let others = rotated & !1;
                distance =
                    if others == 0 { SLOTS as u64 } else { u64::from(others.trailing_zeros()) };
            }
            best = best.min((position + distance) << shift).max(self.tick);
        }
        best
    }

    /// Moves the hand to the next tick with something in it, at most one behind `target`.
    fn step(&mut self, target: u64) {
        let slot_empty = self.tick + 1;
        let next = {
            // The current level-0 slot is empty; look from the next tick on.
            let saved = self.tick;
            self.tick = slot_empty;
            let boundary = self.pending_cascade();
            let next = if boundary { slot_empty } else { self.next_tick() };
            self.tick = saved;
            next
        };
        self.tick = next.clamp(slot_empty, target + 1);
        self.cascade();
    }

    /// Whether the current tick starts a slot of a higher level that holds timers.
    fn pending_cascade(&self) -> bool {
        (1..LEVELS).any(|level| {
            let shift = SLOT_BITS * level as u32;
            self.tick & ((1 << shift) - 1) == 0
                && self.occupied[level] >> ((self.tick >> shift) % SLOTS as u64) & 1 == 1
        })
    }

    /// Sorts the slots of higher levels that begin at the current tick into lower ones.
    fn cascade(&mut self) {
        for level in (1..LEVELS).rev() {
            let shift = SLOT_BITS * level as u32;
            if self.tick & ((1 << shift) - 1) != 0 {
                continue;
            }
            let slot = level * SLOTS + (self.tick >> shift) as usize % SLOTS;
            let mut index = core::mem::replace(&mut self.heads[slot], NONE);
            self.occupied[level] &= !(1 << (slot % SLOTS));
            while index != NONE {
                let next = self.nodes[index as usize].next;
                self.link(index);
                index = next;
            }
        }
    }

    fn link(&mut self, index: u32) {
        let due = self.nodes[index as usize].tick.max(self.tick);
        let delta = due - self.tick;
        let mut level = 0;
        while level + 1 < LEVELS && delta >> (SLOT_BITS * (level as u32 + 1)) != 0 {
            level += 1;
        }
        let shift = SLOT_BITS * level as u32;
        let furthest = (self.tick >> shift) + SLOTS as u64 - 1;
        let position = (due >> shift).min(furthest);
        let slot = level * SLOTS + (position % SLOTS as u64) as usize;
        let head = self.heads[slot];
        let node = &mut self.nodes[index as usize];
        node.slot = slot as u32;
        node.previous = NONE;
        node.next = head;
        if head != NONE {
            self.nodes[head as usize].previous = index;
        }
        self.heads[slot] = index;
        self.occupied[level] |= 1 << (slot % SLOTS);
    }

    fn unlink(&mut self, index: u32) {
        let node = &self.nodes[index as usize];
        let (previous, next, slot) = (node.previous, node.next, node.slot as usize);
        if previous == NONE {
            self.heads[slot] = next;
            if next == NONE {
                self.occupied[slot / SLOTS] &= !(1 << (slot % SLOTS));
            }
        } else {
            self.nodes[previous as usize].next = next;
        }
        if next != NONE {
            self.nodes[next as usize].previous = previous;
        }
    }

    fn release(&mut self, index: u32) -> Option<T> {
        self.count -= 1;
        let node = &mut self.nodes[index as usize];
        node.next = self.free;
        self.free = index;
        node.value.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MILLISECOND, SECOND};
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    const TICK: u64 = 1 << TICK_SHIFT;

    fn run(start: u64, timers: &[(u64, bool)], steps: &[u64]) {
        let mut now = Instant::from_nanos(start);
        let mut wheel = Wheel::new(now);
        let mut pending = BTreeMap::new();
        for (number, &(after, cancel)) in timers.iter().enumerate() {
            let deadline = now + after;
            let id = wheel.insert(deadline, number);
            if cancel && number % 2 == 1 {
                assert_eq!(wheel.cancel(id), Some(number));
            } else {
                pending.insert(number, deadline);
            }
        }
        for &step in steps {
            now += step;
            let expected = wheel.next_deadline();
            while let Some(number) = wheel.expire(now) {
                let deadline = pending.remove(&number).expect("fires once");
                assert!(deadline <= now, "early");
            }
            for deadline in pending.values() {
                assert!(*deadline + TICK > now, "late: {deadline:?} at {now:?}");
                assert!(wheel.next_deadline() <= *deadline + TICK);
            }
            let _ = expected;
        }
        assert_eq!(wheel.len(), pending.len());
    }

    proptest! {
        #[test]
        fn timers_fire_once_in_time(
            start in 0u64..100 * SECOND,
            timers in prop::collection::vec((0u64..400 * SECOND, any::<bool>()), 0..40),
            steps in prop::collection::vec(0u64..20 * SECOND, 0..60),
        ) {
            run(start, &timers, &steps);
        }

        #[test]
        fn short_timers_fire_in_time(
            start in 0u64..SECOND,
            timers in prop::collection::vec((0u64..90 * MILLISECOND, any::<bool>()), 0..40),
            steps in prop::collection::vec(0u64..3 * MILLISECOND, 0..60),
        ) {
            run(start, &timers, &steps);
        }
    }

    #[test]
    fn sleeping_until_next_deadline_reaches_a_far_timer_in_few_steps() {
        let mut wheel = Wheel::new(Instant::ZERO);
        wheel.insert(Instant::from_millis(7_200_000), ());
        let mut steps = 0;
        let mut now = Instant::ZERO;
        while wheel.expire(now).is_none() {
            now = wheel.next_deadline();
            steps += 1;
            assert!(steps < 20);
        }
        assert!(now.millis() >= 7_200_000 && now.millis() < 7_200_002);
    }
}

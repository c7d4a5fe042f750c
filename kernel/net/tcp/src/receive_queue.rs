use alloc::collections::VecDeque;
use alloc::vec::Vec;

use drupe_net_base::{BufferPool, Chain, Chunk};

use crate::Seq;
use crate::options::SackBlocks;

/// Payloads in memory more than this many times their size are copied, so that a few octets do
/// not keep a whole ring buffer from its device.
const WASTE: usize = 4;
/// Memory for copied payloads.
const COPY_SIZE: usize = 2048;
/// Most ranges kept out of order; a peer that makes more holes has to send again.
const MOST_RANGES: usize = 1024;

/// Data in order, waiting for the application.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReceiveQueue {
    chunks: VecDeque<Chunk>,
    length: usize,
    footprint: usize,
}

impl ReceiveQueue {
    pub fn len(&self) -> usize {
        self.length
    }

    /// Memory that the queue keeps alive, in octets.
    pub fn footprint(&self) -> usize {
        self.footprint
    }

    /// Adds data at the end.
    pub fn push(&mut self, mut data: Chain, pool: &dyn BufferPool) {
        while let Some(chunk) = data.pop() {
            self.length += chunk.len();
            if chunk.footprint() > WASTE * chunk.len() && self.copy(&chunk, pool) {
                continue;
            }
            let joined = self.chunks.back_mut().is_some_and(|last| last.absorb(&chunk));
            if !joined {
                self.footprint += chunk.footprint();
                self.chunks.push_back(chunk);
            }
        }
    }

    /// Copies a small chunk behind the last one. False, with nothing done, if there is no memory.
    fn copy(&mut self, chunk: &Chunk, pool: &dyn BufferPool) -> bool {
        if let Some(last) = self.chunks.back_mut()
            && last.spare() >= chunk.len()
            && last.append(chunk.bytes()) > 0
        {
            return true;
        }
        let size = if self.chunks.is_empty() { chunk.len() } else { COPY_SIZE };
        let Some(mut copy) = pool.allocate(size.max(chunk.len())) else { return false };
        if copy.spare() < chunk.len() || copy.append(chunk.bytes()) == 0 {
            return false;
        }
        self.footprint += copy.footprint();
        self.chunks.push_back(copy);
        true
    }

    /// Takes up to `limit` octets off the front.
    pub fn read(&mut self, limit: usize) -> Chain {
        let mut out = Chain::new();
        let mut left = limit;
        while left > 0
            && let Some(front) = self.chunks.front_mut()
        {
            if front.len() <= left {
                left -= front.len();
                self.footprint -= front.footprint();
                if let Some(chunk) = self.chunks.pop_front() {
                    out.push(chunk);
                }
            } else {
                out.push(front.slice(0, left));
                front.advance(left);
                left = 0;
            }
        }
        self.length -= out.len();
        self.shrink();
        out
    }

    /// Up to `limit` octets from `offset`, left in place.
    pub fn peek(&self, offset: usize, limit: usize) -> Chain {
        let mut out = Chain::new();
        let (mut skip, mut left) = (offset, limit);
        for chunk in &self.chunks {
            if left == 0 {
                break;
            }
            if skip >= chunk.len() {
                skip -= chunk.len();
                continue;
            }
            let part = chunk.slice(skip, left);
            skip = 0;
            left -= part.len();
            out.push(part);
        }
        out
    }

    /// Shows pieces to `visit`, which says how much it consumed; stops at the first piece that
    /// is not consumed whole. Returns the octets consumed.
    pub fn visit(&mut self, visit: &mut dyn FnMut(&[u8]) -> usize) -> usize {
        let mut done = 0;
        while let Some(front) = self.chunks.front_mut() {
            let length = front.len();
            let taken = visit(front.bytes()).min(length);
            done += taken;
            self.length -= taken;
            if taken < length {
                front.advance(taken);
                break;
            }
            self.footprint -= front.footprint();
            self.chunks.pop_front();
        }
        self.shrink();
        done
    }

    fn shrink(&mut self) {
        if self.chunks.is_empty() && self.chunks.capacity() > 4 {
            self.chunks = VecDeque::new();
        }
    }

    /// Copies everything into as little memory as possible.
    pub fn compact(&mut self, pool: &dyn BufferPool) {
        let everything = self.peek(0, self.length);
        let Some(mut copy) = everything.copied(pool) else { return };
        drop(everything);
        *self = ReceiveQueue::default();
        while let Some(chunk) = copy.pop() {
            self.length += chunk.len();
            self.footprint += chunk.footprint();
            self.chunks.push_back(chunk);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = ReceiveQueue::default();
    }
}

/// Data that arrived ahead of a hole (RFC 9293 §3.10.7.4), and what to tell the peer about it.
#[derive(Debug, Clone, Default)]
pub(crate) struct OutOfOrder {
    /// Disjoint, not touching, ascending.
    ranges: Vec<Island>,
    footprint: usize,
    /// Numbers inside the most recently changed ranges, latest first (RFC 2018 §4).
    recent: [Option<Seq>; 4],
}

#[derive(Debug, Clone)]
struct Island {
    start: Seq,
    end: Seq,
    data: Chain,
}

impl OutOfOrder {
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub fn footprint(&self) -> usize {
        self.footprint
    }

    /// Adds data from `seq`. What is there already stays. Returns false if it was refused.
    pub fn insert(&mut self, seq: Seq, data: Chain, pool: &dyn BufferPool) -> bool {
        let data = match data.footprint() > WASTE * data.len() {
            true => data.copied(pool).unwrap_or(data),
            false => data,
        };
        let end = seq + data.len() as u32;
        let first = self.ranges.partition_point(|island| island.end.before(seq));
        let mut last = first;
        while self.ranges.get(last).is_some_and(|island| island.start.at_or_before(end)) {
            last += 1;
        }
        if first == last {
            if self.ranges.len() >= MOST_RANGES {
                return false;
            }
            self.footprint += data.footprint();
            self.ranges.insert(first, Island { start: seq, end, data });
        } else if last == first + 1 && self.ranges[first].end == seq {
            self.footprint += data.footprint();
            let island = &mut self.ranges[first];
            island.data.append(data);
            island.end = end;
        } else {
            let mut whole = Chain::new();
            let start = seq.min(self.ranges[first].start);
            let mut at = start;
            for island in self.ranges.drain(first..last) {
                self.footprint -= island.data.footprint();
                if at.before(island.start) {
                    whole.append(
                        data.slice(at.since(seq) as usize, island.start.since(at) as usize),
                    );
                }
                whole.append(island.data);
                at = island.end;
            }
            if at.before(end) {
                whole.append(data.slice(at.since(seq) as usize, end.since(at) as usize));
                at = end;
            }
            self.footprint += whole.footprint();
            self.ranges.insert(first, Island { start, end: at, data: whole });
        }
        self.remember(seq);
        true
    }

    fn remember(&mut self, seq: Seq) {
        let island =
            |at: Seq| self.ranges.iter().position(|i| i.start.at_or_before(at) && at.before(i.end));
        let this = island(seq);
        let mut recent = [Some(seq), None, None, None];
        let mut count = 1;
        for old in self.recent.into_iter().flatten() {
            if count < 4 && island(old).is_some() && island(old) != this {
                recent[count] = Some(old);
                count += 1;
            }
        }
        self.recent = recent;
    }

    /// Takes what continues the stream at `next`, if anything does.
    pub fn take(&mut self, next: Seq) -> Option<Chain> {
        let mut out: Option<Chain> = None;
        let mut next = next;
        while self.ranges.first().is_some_and(|island| island.start.at_or_before(next)) {
            let mut island = self.ranges.remove(0);
            self.footprint -= island.data.footprint();
            if island.end.after(next) {
                island.data.advance(next.since(island.start) as usize);
                next = island.end;
                out.get_or_insert_default().append(island.data);
            }
        }
        if self.ranges.is_empty() {
            *self = OutOfOrder::default();
        }
        out
    }

    /// The ranges to report, latest first.
    pub fn report(&self, blocks: &mut SackBlocks) {
        let mut last = None;
        for at in self.recent.into_iter().flatten() {
            let index = self.ranges.partition_point(|island| island.end.at_or_before(at));
            if let Some(island) = self.ranges.get(index)
                && island.start.at_or_before(at)
                && last != Some(index)
            {
                blocks.push(island.start, island.end);
                last = Some(index);
            }
        }
    }

    /// Whether `start..end` is here already.
    pub fn covers(&self, start: Seq, end: Seq) -> bool {
        let index = self.ranges.partition_point(|island| island.end.at_or_before(start));
        self.ranges
            .get(index)
            .is_some_and(|i| i.start.at_or_before(start) && end.at_or_before(i.end))
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = OutOfOrder::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drupe_net_base::HeapPool;
    use proptest::prelude::*;

    proptest! {
        /// Any order of any overlapping pieces gives the stream.
        #[test]
        fn pieces_reassemble(
            pieces in prop::collection::vec((0u32..300, 1u32..60), 1..40),
            start in any::<u32>(),
        ) {
            let pool = HeapPool::new(1 << 22);
            let base = Seq(start);
            let stream: Vec<u8> = (0..400u32).map(|n| (n * 7) as u8).collect();
            let mut islands = OutOfOrder::default();
            let mut next = base;
            let mut queue = ReceiveQueue::default();
            let mut have = [false; 400];
            for (from, length) in pieces {
                let piece = stream[from as usize..(from + length) as usize].to_vec();
                have[from as usize..(from + length) as usize].fill(true);
                let seq = base + from;
                // The connection trims what is old.
                let old = next.since(seq).min(length);
                let mut data = Chain::from(piece);
                data.advance(old as usize);
                if data.is_empty() { continue; }
                prop_assert!(islands.insert(seq + old, data, &*pool));
                let mut blocks = SackBlocks::default();
                islands.report(&mut blocks);
                prop_assert!(!blocks.as_slice().is_empty());
                for (a, b) in blocks.as_slice() {
                    prop_assert!(islands.covers(*a, *b));
                }
                if let Some(data) = islands.take(next) {
                    next += data.len() as u32;
                    queue.push(data, &*pool);
                }
            }
            let expected = have.iter().take_while(|&&have| have).count();
            prop_assert_eq!(queue.read(1000).to_vec(), &stream[..expected]);
            prop_assert_eq!(queue.footprint(), 0);
            islands.clear();
            drop(islands);
            prop_assert_eq!(pool.usage().used, 0);
        }
    }
}

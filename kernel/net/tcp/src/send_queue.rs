use alloc::collections::VecDeque;

use drupe_net_base::{BufferPool, Chain, Chunk};

/// Data from the application that is not acknowledged yet.
///
/// Octets are addressed by their distance from the first one. Small writes fill up the memory of
/// the last chunk as long as nothing (a frame under way) shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct SendQueue {
    /// Chunks with the stream offset of their first octet.
    chunks: VecDeque<(u64, Chunk)>,
    /// Stream offset of the first octet.
    front: u64,
    length: usize,
}

/// Most memory asked for at once.
const LARGEST: usize = 64 * 1024;

impl SendQueue {
    pub fn len(&self) -> usize {
        self.length
    }

    /// Copies bytes in; returns how many the pool had room for.
    pub fn push_bytes(&mut self, bytes: &[u8], pool: &dyn BufferPool) -> usize {
        let mut done = 0;
        if let Some((_, last)) = self.chunks.back_mut() {
            done = last.append(bytes);
            self.length += done;
        }
        while done < bytes.len() {
            let left = bytes.len() - done;
            // A stream of small writes gets larger and larger memory.
            let size = left.max(self.length.min(LARGEST / 4)).min(LARGEST);
            let Some(mut chunk) = pool.allocate(size) else { break };
            let copied = chunk.append(&bytes[done..]);
            if copied == 0 {
                break;
            }
            done += copied;
            self.push_chunk(chunk);
        }
        done
    }

    /// Takes chunks over without copying.
    pub fn push_chain(&mut self, mut chain: Chain) {
        while let Some(chunk) = chain.pop() {
            self.push_chunk(chunk);
        }
    }

    fn push_chunk(&mut self, chunk: Chunk) {
        let offset = self.front + self.length as u64;
        self.length += chunk.len();
        self.chunks.push_back((offset, chunk));
    }

    /// The octets from `offset`, up to `length`, sharing memory.
    pub fn slice(&self, offset: usize, length: usize) -> Chain {
        let mut out = Chain::new();
        let start = self.front + offset as u64;
        let mut left = length.min(self.length.saturating_sub(offset));
        let mut index = self.chunks.partition_point(|(at, _)| *at <= start).saturating_sub(1);
        let mut position = start;
        while left > 0
            && let Some((at, chunk)) = self.chunks.get(index)
        {
            let part = chunk.slice((position - at) as usize, left);
            left -= part.len();
            position += part.len() as u64;
            out.push(part);
            index += 1;
        }
        out
    }

    /// Drops octets from the front.
    pub fn release(&mut self, octets: usize) {
        let octets = octets.min(self.length);
        self.front += octets as u64;
        self.length -= octets;
        while let Some((at, chunk)) = self.chunks.front_mut() {
            let gone = (self.front - *at) as usize;
            if gone < chunk.len() {
                chunk.advance(gone);
                *at = self.front;
                break;
            }
            self.chunks.pop_front();
        }
        if self.chunks.is_empty() && self.chunks.capacity() > 4 {
            // An idle connection keeps no memory.
            self.chunks = VecDeque::new();
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = SendQueue::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use drupe_net_base::HeapPool;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_vector(
            steps in prop::collection::vec((0u8..4, 0usize..600, 0usize..600), 1..40),
        ) {
            let pool = HeapPool::new(1 << 22);
            let mut queue = SendQueue::default();
            let mut model: Vec<u8> = Vec::new();
            let mut next = 0u8;
            let mut held = Vec::new();
            for (kind, a, b) in steps {
                let fresh: Vec<u8> = (0..a).map(|_| { next = next.wrapping_add(1); next }).collect();
                match kind {
                    0 => {
                        prop_assert_eq!(queue.push_bytes(&fresh, &*pool), a);
                        model.extend(&fresh);
                    }
                    1 => {
                        model.extend(&fresh);
                        queue.push_chain(Chain::from(fresh));
                    }
                    2 => {
                        queue.release(a);
                        model.drain(..a.min(model.len()));
                    }
                    _ => {
                        let slice = queue.slice(a, b);
                        let from = a.min(model.len());
                        let to = (from + b).min(model.len());
                        let expected = model[from..to].to_vec();
                        prop_assert_eq!(slice.to_vec(), expected.clone());
                        held.push((slice, expected));
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
            for (slice, expected) in held {
                prop_assert_eq!(slice.to_vec(), expected);
            }
        }
    }
}

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::{BufferPool, Chunk};

/// A sequence of chunks read as one run of bytes.
///
/// The first chunk lives inline, so a packet in one piece costs no allocation. No chunk in a chain
/// is empty.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    first: Chunk,
    rest: VecDeque<Chunk>,
    length: usize,
}

impl Chain {
    /// A chain without bytes.
    pub const fn new() -> Self {
        Chain { first: Chunk::empty(), rest: VecDeque::new(), length: 0 }
    }

    /// Total bytes.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Number of chunks.
    pub fn chunk_count(&self) -> usize {
        usize::from(!self.first.is_empty()) + self.rest.len()
    }

    /// The first chunk; empty if the chain is.
    pub const fn first(&self) -> &Chunk {
        &self.first
    }

    /// The chunks in order.
    pub fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        core::iter::once(&self.first).filter(|chunk| !chunk.is_empty()).chain(&self.rest)
    }

    /// The memory that the chunks keep alive, in bytes; memory shared by two chunks of this
    /// chain counts twice.
    pub fn footprint(&self) -> usize {
        self.chunks().map(Chunk::footprint).sum()
    }

    /// Puts a chunk at the end.
    pub fn push(&mut self, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        self.length += chunk.len();
        if self.first.is_empty() {
            self.first = chunk;
            return;
        }
        let last = self.rest.back_mut().unwrap_or(&mut self.first);
        if !last.absorb(&chunk) {
            self.rest.push_back(chunk);
        }
    }

    /// Puts another chain at the end.
    pub fn append(&mut self, mut other: Chain) {
        if self.length == 0 {
            *self = other;
            return;
        }
        while let Some(chunk) = other.pop() {
            self.push(chunk);
        }
    }

    /// Takes the first chunk.
    pub fn pop(&mut self) -> Option<Chunk> {
        if self.first.is_empty() {
            return None;
        }
        let next = self.rest.pop_front().unwrap_or_default();
        let first = core::mem::replace(&mut self.first, next);
        self.length -= first.len();
        Some(first)
    }

    /// Drops up to `count` bytes from the front.
    pub fn advance(&mut self, mut count: usize) {
        while count > 0 && self.length > 0 {
            let take = count.min(self.first.len());
            self.first.advance(take);
            self.length -= take;
            count -= take;
            if self.first.is_empty() {
                self.first = self.rest.pop_front().unwrap_or_default();
            }
        }
    }

    /// Keeps at most the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        if length >= self.length {
            return;
        }
        self.length = length;
        if length <= self.first.len() {
            self.first.truncate(length);
            self.rest.clear();
            if length == 0 {
                self.first = Chunk::empty();
            }
            return;
        }
        let mut left = length - self.first.len();
        let mut keep = 0;
        for chunk in &mut self.rest {
            if left == 0 {
                break;
            }
            chunk.truncate(left);
            left -= chunk.len();
            keep += 1;
        }
        self.rest.truncate(keep);
    }

    /// Takes up to `count` bytes off the front as a chain of their own.
    pub fn split_to(&mut self, count: usize) -> Chain {
        if count >= self.length {
            return core::mem::take(self);
        }
        let mut front = Chain::new();
        let mut left = count;
        while left > 0 {
            if self.first.len() <= left {
                let Some(chunk) = self.pop() else { break };
                left -= chunk.len();
                front.push(chunk);
            } else {
                front.push(self.first.slice(0, left));
                self.advance(left);
                left = 0;
            }
        }
        front
    }

    /// A second chain over `length` bytes from `offset`, clamped, sharing the memory.
    pub fn slice(&self, offset: usize, length: usize) -> Chain {
        let mut out = Chain::new();
        let mut skip = offset;
        let mut left = length;
        for chunk in self.chunks() {
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

    /// Copies bytes from `offset` into `out`; returns how many there were.
    pub fn copy_to(&self, offset: usize, out: &mut [u8]) -> usize {
        let mut skip = offset;
        let mut done = 0;
        for chunk in self.chunks() {
            if done == out.len() {
                break;
            }
            let bytes = chunk.bytes();
            if skip >= bytes.len() {
                skip -= bytes.len();
                continue;
            }
            let part = &bytes[skip..];
            skip = 0;
            let count = part.len().min(out.len() - done);
            out[done..done + count].copy_from_slice(&part[..count]);
            done += count;
        }
        done
    }

    /// All bytes in one vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length);
        for chunk in self.chunks() {
            out.extend_from_slice(chunk.bytes());
        }
        out
    }

    /// Makes the first `length` bytes lie in the first chunk, copying if they do not. Returns
    /// whether they now do; false when the chain is shorter or the pool is empty.
    pub fn gather(&mut self, length: usize, pool: &dyn BufferPool) -> bool {
        if self.length < length {
            return false;
        }
        if self.first.len() >= length {
            return true;
        }
        let Some(mut chunk) = pool.allocate(length) else { return false };
        let copied = chunk.fill(length, |spare| self.copy_to(0, spare));
        if copied < length {
            return false;
        }
        self.advance(length);
        let mut whole = Chain::from(chunk);
        whole.append(core::mem::take(self));
        *self = whole;
        true
    }

    /// The same bytes copied into fresh memory from the pool, in as few chunks as it gives.
    pub fn copied(&self, pool: &dyn BufferPool) -> Option<Chain> {
        let mut out = Chain::new();
        while out.len() < self.length {
            let left = self.length - out.len();
            let mut chunk = pool.allocate(left)?;
            let offset = out.len();
            if chunk.fill(left, |spare| self.copy_to(offset, spare)) == 0 {
                return None;
            }
            out.push(chunk);
        }
        Some(out)
    }
}

impl From<Chunk> for Chain {
    fn from(chunk: Chunk) -> Self {
        let mut chain = Chain::new();
        chain.push(chunk);
        chain
    }
}

impl From<Vec<u8>> for Chain {
    fn from(vec: Vec<u8>) -> Self {
        Chain::from(Chunk::from_vec(vec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeapPool;
    use proptest::prelude::*;

    fn build(parts: &[Vec<u8>]) -> (Chain, Vec<u8>) {
        let mut chain = Chain::new();
        for part in parts {
            chain.push(Chunk::from_vec(part.clone()));
        }
        (chain, parts.concat())
    }

    fn check(chain: &Chain, bytes: &[u8]) {
        assert_eq!(chain.len(), bytes.len());
        assert_eq!(chain.to_vec(), bytes);
        assert!(chain.chunks().all(|chunk| !chunk.is_empty()));
    }

    proptest! {
        #[test]
        fn every_operation_agrees_with_a_vector(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..6),
            a in 0usize..80, b in 0usize..80,
        ) {
            let (chain, bytes) = build(&parts);
            check(&chain, &bytes);
            let from = a.min(bytes.len());
            let to = (from + b).min(bytes.len());
            check(&chain.slice(a, b), &bytes[from..to]);
            let mut cut = chain.clone();
            cut.truncate(a);
            check(&cut, &bytes[..from]);
            let mut late = chain.clone();
            late.advance(a);
            check(&late, &bytes[from..]);
            let mut tail = chain.clone();
            let mut front = tail.split_to(a);
            check(&front, &bytes[..from]);
            check(&tail, &bytes[from..]);
            front.append(tail);
            check(&front, &bytes);
            let pool = HeapPool::new(1 << 20);
            let mut gathered = chain.clone();
            prop_assert_eq!(gathered.gather(a, &*pool), a <= bytes.len());
            check(&gathered, &bytes);
            prop_assert!(a > bytes.len() || gathered.first().len() >= a);
            check(&chain.copied(&*pool).unwrap(), &bytes);
        }
    }
}

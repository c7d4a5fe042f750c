use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// Memory behind chunks: heap buffers, or pages that a device ring lends.
///
/// The last chunk to drop hands the memory to [`Memory::recycle`], where a pool or a ring takes it
/// back.
pub trait Memory: Send + Sync {
    /// All bytes, initialised.
    fn bytes(&self) -> &[u8];

    /// All bytes, for the only owner.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Takes the memory back. When two chunks drop at the same moment on two CPUs this may be
    /// skipped, so accounting belongs into `Drop`.
    fn recycle(self: Arc<Self>) {}
}

/// Memory from a vector, without a pool.
struct Plain(Box<[u8]>);

impl Memory for Plain {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// A range of shared memory.
///
/// Cloning and slicing cost one reference count. Bytes that another chunk can see never change:
/// writing needs the only reference, and [`Chunk::append`] checks that.
#[derive(Clone, Default)]
pub struct Chunk {
    memory: Option<Arc<dyn Memory>>,
    start: u32,
    end: u32,
}

impl Chunk {
    /// A chunk without bytes or memory.
    pub const fn empty() -> Self {
        Chunk { memory: None, start: 0, end: 0 }
    }

    /// The whole of `memory`, up to 4 GiB.
    pub fn new(memory: Arc<dyn Memory>) -> Self {
        let end = u32::try_from(memory.bytes().len()).unwrap_or(u32::MAX);
        Chunk { memory: Some(memory), start: 0, end }
    }

    /// A chunk of `memory` without bytes yet, to be filled by [`Chunk::append`] or
    /// [`Chunk::fill`].
    pub fn vacant(memory: Arc<dyn Memory>) -> Self {
        Chunk { memory: Some(memory), start: 0, end: 0 }
    }

    /// The bytes of `vec`, moved.
    pub fn from_vec(vec: Vec<u8>) -> Self {
        Chunk::new(Arc::new(Plain(vec.into_boxed_slice())))
    }

    /// Bytes in this chunk.
    pub const fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.end == self.start
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.memory {
            Some(memory) => {
                memory.bytes().get(self.start as usize..self.end as usize).unwrap_or(&[])
            }
            None => &[],
        }
    }

    /// The bytes for writing, if nothing else refers to this memory.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let (start, end) = (self.start as usize, self.end as usize);
        Arc::get_mut(self.memory.as_mut()?)?.bytes_mut().get_mut(start..end)
    }

    /// Size of the memory that this chunk keeps alive, in bytes: what it costs, as against
    /// [`Chunk::len`].
    pub fn footprint(&self) -> usize {
        self.memory.as_ref().map_or(0, |memory| memory.bytes().len())
    }

    /// Bytes between the end of this chunk and the end of its memory.
    pub fn spare(&self) -> usize {
        self.footprint() - self.end as usize
    }

    /// Copies bytes behind the end of this chunk, as many as fit. Returns how many; 0 when
    /// something else refers to the memory.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        self.fill(bytes.len(), |spare| {
            spare.copy_from_slice(&bytes[..spare.len()]);
            spare.len()
        })
    }

    /// Lets `write` fill up to `limit` bytes behind the end and say how many it wrote. It is not
    /// called when the memory is shared or full.
    pub fn fill(&mut self, limit: usize, write: impl FnOnce(&mut [u8]) -> usize) -> usize {
        let end = self.end as usize;
        let Some(memory) = self.memory.as_mut().and_then(Arc::get_mut) else { return 0 };
        let bytes = memory.bytes_mut();
        let stop = bytes.len().min(end.saturating_add(limit));
        if stop <= end {
            return 0;
        }
        let written = write(&mut bytes[end..stop]).min(stop - end);
        self.end += written as u32;
        written
    }

    /// The sub-range of `length` bytes from `offset`, both clamped to this chunk.
    pub fn slice(&self, offset: usize, length: usize) -> Chunk {
        let offset = offset.min(self.len());
        let length = length.min(self.len() - offset);
        let start = self.start + offset as u32;
        Chunk { memory: self.memory.clone(), start, end: start + length as u32 }
    }

    /// Drops up to `count` bytes from the front.
    pub fn advance(&mut self, count: usize) {
        self.start += count.min(self.len()) as u32;
    }

    /// Keeps at most the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.end = self.start + length.min(self.len()) as u32;
    }

    /// Whether `next` continues this chunk in the same memory.
    pub fn is_continued_by(&self, next: &Chunk) -> bool {
        match (&self.memory, &next.memory) {
            (Some(mine), Some(other)) => Arc::ptr_eq(mine, other) && self.end == next.start,
            _ => false,
        }
    }

    /// Takes over the range of `next` if [`Chunk::is_continued_by`] holds.
    pub fn absorb(&mut self, next: &Chunk) -> bool {
        let joins = self.is_continued_by(next);
        if joins {
            self.end = next.end;
        }
        joins
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take()
            && Arc::strong_count(&memory) == 1
        {
            memory.recycle();
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({}..{} of {})", self.start, self.end, self.footprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn shared_memory_is_not_written() {
        let mut chunk = Chunk::vacant(Arc::new(Plain(vec![0; 8].into())));
        assert_eq!(chunk.append(b"abc"), 3);
        let shared = chunk.slice(1, 2);
        assert_eq!(chunk.append(b"d"), 0);
        assert!(chunk.bytes_mut().is_none());
        drop(shared);
        assert_eq!(chunk.append(b"defghij"), 5);
        assert_eq!(chunk.bytes(), b"abcdefgh");
    }

    #[test]
    fn ranges_clamp() {
        let mut chunk = Chunk::from_vec(vec![1, 2, 3]);
        assert_eq!(chunk.slice(2, 9).bytes(), &[3]);
        assert_eq!(chunk.slice(7, 1).len(), 0);
        chunk.advance(9);
        assert!(chunk.is_empty());
    }
}

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use lock::{Rank, SpinLock};

use crate::{Chunk, Memory};

/// Where payload memory comes from.
pub trait BufferPool: Send + Sync {
    /// An empty chunk with room for `size` bytes, or for as many as the pool gives at once (at
    /// least 2 KiB, or `size` if that is less). `None` when the memory limit is reached.
    fn allocate(&self, size: usize) -> Option<Chunk>;
}

/// Capacities of the buffers that [`HeapPool`] hands out, ascending.
const CLASSES: [usize; 4] = [256, 2048, 16 * 1024, 64 * 1024];
/// Above every lock of the stack: buffers go back from anywhere.
const FREE: Rank = Rank::new(140, "net buffers");
/// Free buffers kept per class; more go back to the heap.
const KEEP: [usize; 4] = [1024, 1024, 256, 64];

/// What a [`HeapPool`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUsage {
    /// Bytes in buffers that chunks refer to.
    pub used: usize,
    /// Bytes in buffers that wait for reuse.
    pub free: usize,
}

/// Buffers from the heap in a few sizes, reused, up to a limit in bytes.
#[derive(Debug)]
pub struct HeapPool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    limit: usize,
    used: AtomicUsize,
    free: [SpinLock<Vec<Arc<Buffer>>>; CLASSES.len()],
}

#[derive(Debug)]
struct Buffer {
    bytes: Box<[u8]>,
    class: usize,
    /// Set while chunks refer to this buffer: the pool that counts it as used.
    pool: Option<Arc<Inner>>,
}

impl HeapPool {
    /// A pool that lets at most `limit` bytes be in use.
    pub fn new(limit: usize) -> Arc<Self> {
        let free = [const { SpinLock::new(FREE, Vec::new()) }; CLASSES.len()];
        let used = AtomicUsize::new(0);
        Arc::new(HeapPool { inner: Arc::new(Inner { limit, used, free }) })
    }

    /// The memory held now.
    pub fn usage(&self) -> PoolUsage {
        let free = CLASSES.iter().zip(&self.inner.free);
        PoolUsage {
            used: self.inner.used.load(Ordering::Relaxed),
            free: free.map(|(size, list)| size * list.lock().len()).sum(),
        }
    }

    /// Gives the buffers that wait for reuse back to the heap.
    pub fn trim(&self) {
        for list in &self.inner.free {
            let buffers = core::mem::take(&mut *list.lock());
            drop(buffers);
        }
    }
}

impl BufferPool for HeapPool {
    fn allocate(&self, size: usize) -> Option<Chunk> {
        let class = CLASSES.iter().position(|&class| size <= class).unwrap_or(CLASSES.len() - 1);
        let capacity = CLASSES[class];
        let before = self.inner.used.fetch_add(capacity, Ordering::Relaxed);
        if before + capacity > self.inner.limit {
            self.inner.used.fetch_sub(capacity, Ordering::Relaxed);
            return None;
        }
        let pool = Some(self.inner.clone());
        let reused = self.inner.free[class].lock().pop();
        let buffer = match reused {
            Some(mut buffer) => match Arc::get_mut(&mut buffer) {
                Some(inner) => {
                    inner.pool = pool;
                    buffer
                }
                None => Arc::new(Buffer::new(class, pool)),
            },
            None => Arc::new(Buffer::new(class, pool)),
        };
        Some(Chunk::vacant(buffer))
    }
}

impl Buffer {
    fn new(class: usize, pool: Option<Arc<Inner>>) -> Self {
        Buffer { bytes: vec![0; CLASSES[class]].into_boxed_slice(), class, pool }
    }
}

impl Memory for Buffer {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    fn recycle(mut self: Arc<Self>) {
        let class = self.class;
        let Some(pool) = Arc::get_mut(&mut self).and_then(|buffer| buffer.pool.take()) else {
            return;
        };
        pool.used.fetch_sub(CLASSES[class], Ordering::Relaxed);
        let mut list = pool.free[class].lock();
        if list.len() < KEEP[class] {
            list.push(self);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.used.fetch_sub(self.bytes.len(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_return_and_are_reused() {
        let pool = HeapPool::new(1 << 20);
        let mut chunk = pool.allocate(1000).unwrap();
        chunk.append(b"hello");
        let clone = chunk.slice(0, 3);
        drop(chunk);
        assert_eq!(pool.usage(), PoolUsage { used: 2048, free: 0 });
        drop(clone);
        assert_eq!(pool.usage(), PoolUsage { used: 0, free: 2048 });
        let again = pool.allocate(2048).unwrap();
        assert_eq!(pool.usage(), PoolUsage { used: 2048, free: 0 });
        assert_eq!(again.len(), 0);
        drop(again);
        pool.trim();
        assert_eq!(pool.usage(), PoolUsage { used: 0, free: 0 });
    }

    #[test]
    fn the_limit_holds() {
        let pool = HeapPool::new(5000);
        let first = pool.allocate(2048).unwrap();
        let _second = pool.allocate(2048).unwrap();
        assert!(pool.allocate(2048).is_none());
        drop(first);
        assert!(pool.allocate(2048).is_some());
    }
}

//! Pipes: `pipe(2)`, named pipes.
//!
//! A pipe is a ring of pages. One reader and one writer at a time move bytes; they copy from and
//! to programs without holding the ring's lock, so each holds it only to take or give a page.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use core::any::Any;

use errno::Errno;
use lock::SpinLock;
use vfs::Location;

use super::{File, OpenFile, events, flags};
use crate::error::{Result, fail};
use crate::notifier::Notifier;
use crate::rank;
use crate::thread::Thread;
use crate::user::{self, Sink, Source};

/// Bytes of a page: a write of at most this many is not torn (`PIPE_BUF`).
pub const PAGE: usize = 4096;
/// Pages of a new pipe.
const DEFAULT_PAGES: usize = 16;
/// Bytes that a pipe may have without privileges, as Linux's `pipe-max-size`.
const MAX_CAPACITY: u64 = 1 << 20;
/// Free pages that a pipe keeps for the next write.
const SPARE: usize = 2;

type Page = Box<[u8]>;

struct Slot {
    page: Page,
    start: usize,
    end: usize,
    /// Written in packet mode: a read takes it alone and drops what does not fit.
    packet: bool,
}

struct Ring {
    slots: VecDeque<Slot>,
    /// Whether a reader has taken the first slot out and may put a rest of it back.
    out: bool,
    limit: usize,
    spare: VecDeque<Page>,
    bytes: usize,
    readers: u32,
    writers: u32,
    /// How often an end was opened, ever: whoever waits for one sees it even if it is gone again.
    readers_opened: u64,
    writers_opened: u64,
}

impl Ring {
    fn is_full(&self) -> bool {
        self.slots.len() + usize::from(self.out) >= self.limit
    }

    fn recycle(&mut self, page: Page) {
        if self.spare.len() < SPARE {
            self.spare.push_back(page);
        }
    }
}

/// A pipe.
pub struct Pipe {
    ring: SpinLock<Ring>,
    reading: sched::Mutex<()>,
    writing: sched::Mutex<()>,
    notifier: Notifier,
}

impl Default for Pipe {
    fn default() -> Self {
        Self::new()
    }
}

impl Pipe {
    /// An empty pipe without ends.
    pub fn new() -> Self {
        Self {
            ring: SpinLock::new(
                rank::STREAM,
                Ring {
                    slots: VecDeque::new(),
                    out: false,
                    limit: DEFAULT_PAGES,
                    spare: VecDeque::new(),
                    bytes: 0,
                    readers: 0,
                    writers: 0,
                    readers_opened: 0,
                    writers_opened: 0,
                },
            ),
            reading: sched::Mutex::new(()),
            writing: sched::Mutex::new(()),
            notifier: Notifier::new(),
        }
    }

    /// Moves bytes out; `EAGAIN` when there are none but may be.
    pub fn read(&self, to: &mut dyn Sink) -> Result<usize> {
        if to.room() == 0 {
            return Ok(0);
        }
        let reading = self.reading.lock();
        let mut done = 0;
        let mut made_room = false;
        let result = loop {
            let mut slot = {
                let mut ring = self.ring.lock();
                match ring.slots.pop_front() {
                    Some(slot) => {
                        ring.out = true;
                        slot
                    }
                    None if done > 0 || ring.writers == 0 => break Ok(done),
                    None => break fail(Errno::EAGAIN),
                }
            };
            let length = slot.end - slot.start;
            let wanted = length.min(to.room().min(PAGE as u64) as usize);
            let moved = to.put(&slot.page[slot.start..slot.start + wanted]);
            let count = *moved.as_ref().unwrap_or(&0);
            let packet = slot.packet;
            slot.start += if packet && count == wanted { length } else { count };
            let mut ring = self.ring.lock();
            // Looked at now, not when the slot was taken out: it may have filled up meanwhile.
            let was_full = ring.is_full();
            ring.out = false;
            ring.bytes -= length - (slot.end - slot.start);
            let empty = if slot.start == slot.end {
                made_room |= was_full;
                ring.recycle(slot.page);
                ring.slots.is_empty()
            } else {
                ring.slots.push_front(slot);
                false
            };
            drop(ring);
            done += count;
            match moved {
                Err(error) if done == 0 => break Err(error),
                Err(_) => break Ok(done),
                Ok(_) if count < wanted || to.room() == 0 || packet => break Ok(done),
                // Nothing more has to be looked for while the writer keeps up.
                Ok(_) if empty => break Ok(done),
                Ok(_) => {}
            }
        };
        drop(reading);
        if made_room {
            self.notifier.notify_of(events::OUT | events::WRNORM);
        }
        result
    }

    /// Moves bytes in; `EAGAIN` when none can be now. `packet`: as units of their own.
    pub fn write(&self, from: &mut dyn Source, packet: bool) -> Result<usize> {
        let writing = self.writing.lock();
        let mut done = 0;
        let result = loop {
            let left = usize::try_from(from.left()).unwrap_or(usize::MAX);
            if left == 0 {
                break Ok(done);
            }
            // What exceeds whole pages goes to the last page if it fits there.
            let odd = left % PAGE;
            let (merge, page) = {
                let mut ring = self.ring.lock();
                if ring.readers == 0 {
                    break if done > 0 { Ok(done) } else { fail(Errno::EPIPE) };
                }
                let fits = |slot: &Slot| !slot.packet && slot.end + odd <= PAGE;
                let merge = done == 0 && odd > 0 && !packet && ring.slots.back().is_some_and(fits);
                if !merge && ring.is_full() {
                    break if done > 0 { Ok(done) } else { fail(Errno::EAGAIN) };
                }
                (merge, ring.spare.pop_front())
            };
            let mut page = page.unwrap_or_else(|| vec![0; PAGE].into_boxed_slice());
            let wanted = if merge { odd } else { left.min(PAGE) };
            let moved = from.get(&mut page[..wanted]);
            let count = *moved.as_ref().unwrap_or(&0);
            let mut ring = self.ring.lock();
            if count == 0 {
                ring.recycle(page);
            } else {
                ring.bytes += count;
                match ring.slots.back_mut().filter(|slot| merge && slot.end + count <= PAGE) {
                    Some(last) => {
                        last.page[last.end..last.end + count].copy_from_slice(&page[..count]);
                        last.end += count;
                        ring.recycle(page);
                    }
                    None => ring.slots.push_back(Slot { page, start: 0, end: count, packet }),
                }
            }
            drop(ring);
            done += count;
            match moved {
                Err(error) if done == 0 => break Err(error),
                Err(_) => break Ok(done),
                Ok(_) if count < wanted => break Ok(done),
                Ok(_) => {}
            }
        };
        drop(writing);
        if done > 0 {
            self.notifier.notify_of(events::IN | events::RDNORM);
        }
        result
    }

    /// Calls `with` with the bytes that a read of `limit` bytes would give, without taking them.
    pub fn peek(&self, limit: usize) -> Result<alloc::vec::Vec<u8>> {
        let reading = self.reading.lock();
        let ring = self.ring.lock();
        let mut bytes = alloc::vec::Vec::new();
        for slot in &ring.slots {
            let part = &slot.page[slot.start..slot.end];
            bytes.extend_from_slice(&part[..part.len().min(limit - bytes.len())]);
        }
        let ended = ring.writers == 0;
        drop(ring);
        drop(reading);
        if bytes.is_empty() && !ended { fail(Errno::EAGAIN) } else { Ok(bytes) }
    }

    /// Bytes that a write can put in now; `EPIPE` when nobody would read them.
    pub fn space(&self) -> Result<usize> {
        let ring = self.ring.lock();
        if ring.readers == 0 {
            return fail(Errno::EPIPE);
        }
        Ok(ring.limit.saturating_sub(ring.slots.len() + usize::from(ring.out)) * PAGE)
    }
}

/// An end of a pipe: reads, writes, or (of named pipes) both.
pub struct PipeEnd {
    /// The pipe.
    pub pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
    /// Writers that had been there before it was opened: only later ones hang up.
    seen: u64,
}

impl PipeEnd {
    fn new(pipe: &Arc<Pipe>, options: u32) -> Self {
        let reads = options & flags::ACCESS != flags::WRONLY;
        let writes = options & flags::ACCESS != 0;
        let mut ring = pipe.ring.lock();
        let alone = reads && ring.writers == 0 && options & flags::NONBLOCK != 0;
        let seen = if alone { ring.writers_opened } else { u64::MAX };
        ring.readers += u32::from(reads);
        ring.writers += u32::from(writes);
        ring.readers_opened += u64::from(reads);
        ring.writers_opened += u64::from(writes);
        drop(ring);
        Self { pipe: Arc::clone(pipe), reads, writes, seen }
    }

    /// Bytes that the pipe holds at most.
    pub fn capacity(&self) -> u64 {
        (self.pipe.ring.lock().limit * PAGE) as u64
    }

    /// Changes what the pipe holds at most (`F_SETPIPE_SZ`); gives what it is then.
    pub fn set_capacity(&self, bytes: u64, privileged: bool) -> Result {
        let bytes = bytes as u32;
        if bytes > 1 << 31 {
            return fail(Errno::EINVAL);
        }
        let pages = (bytes as usize).div_ceil(PAGE).max(1).next_power_of_two();
        let capacity = (pages * PAGE) as u64;
        let mut ring = self.pipe.ring.lock();
        if pages > ring.limit && capacity > MAX_CAPACITY && !privileged {
            return fail(Errno::EPERM);
        }
        if pages < ring.slots.len() + usize::from(ring.out) {
            return fail(Errno::EBUSY);
        }
        ring.limit = pages;
        drop(ring);
        self.pipe.notifier.notify_of(events::OUT | events::WRNORM);
        Ok(capacity)
    }
}

impl File for PipeEnd {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, _position: u64) -> Result<usize> {
        self.pipe.read(to)
    }

    fn write(&self, open: &OpenFile, from: &mut dyn Source, _position: u64) -> Result<usize> {
        self.pipe.write(from, open.flags() & flags::DIRECT != 0)
    }

    fn writes_all(&self) -> bool {
        true
    }

    fn ready(&self) -> u32 {
        let ring = self.pipe.ring.lock();
        let mut ready = 0;
        if self.reads {
            if !ring.slots.is_empty() || ring.out {
                ready |= events::IN | events::RDNORM;
            }
            if ring.writers == 0 && ring.writers_opened != self.seen {
                ready |= events::HUP;
            }
        }
        if self.writes {
            if !ring.is_full() {
                ready |= events::OUT | events::WRNORM;
            }
            if ring.readers == 0 {
                ready |= events::ERR;
            }
        }
        ready
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.pipe.notifier)
    }

    fn ioctl(&self, _thread: &Thread, request: u32, argument: u64) -> Result {
        const FIONREAD: u32 = 0x541b;
        if request != FIONREAD {
            return fail(Errno::ENOTTY);
        }
        let bytes = self.pipe.ring.lock().bytes as u32;
        user::write(argument, &bytes)?;
        Ok(0)
    }

    fn reopen(self: Arc<Self>, options: u32) -> Result<Arc<dyn File>> {
        Ok(Arc::new(Self::new(&self.pipe, options)))
    }

    fn label(&self) -> alloc::string::String {
        alloc::format!("pipe:[{}]", Arc::as_ptr(&self.pipe).addr() >> 4 & 0xffff_ffff)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn closed(&self, _open: &OpenFile) {
        let mut ring = self.pipe.ring.lock();
        ring.readers -= u32::from(self.reads);
        ring.writers -= u32::from(self.writes);
        let gone = if ring.readers == 0 && ring.writers == 0 {
            ring.bytes = 0;
            ring.limit = DEFAULT_PAGES;
            core::mem::take(&mut ring.slots)
        } else {
            VecDeque::new()
        };
        drop(ring);
        drop(gone);
        self.pipe.notifier.notify();
    }
}

/// The two ends of a new pipe: for reading, and for writing without ever waiting.
pub fn pipe_to_program() -> [Arc<OpenFile>; 2] {
    let pipe = Arc::new(Pipe::new());
    [0, flags::WRONLY | flags::NONBLOCK].map(|options| {
        OpenFile::new(Arc::new(PipeEnd::new(&pipe, options & flags::ACCESS)), None, options)
    })
}

/// `pipe2(2)`.
pub fn pipe2(thread: &Thread, [descriptors, options, ..]: [u64; 6]) -> Result {
    let options = options as u32;
    if options & !(flags::CLOEXEC | flags::NONBLOCK | flags::DIRECT) != 0 {
        return fail(Errno::EINVAL);
    }
    let pipe = Arc::new(Pipe::new());
    let ends = [0, flags::WRONLY].map(|access| {
        let kept = access | options & (flags::NONBLOCK | flags::DIRECT);
        // Both ends come at once: neither is one that was opened alone.
        OpenFile::new(Arc::new(PipeEnd::new(&pipe, access)), None, kept)
    });
    super::add_pair(thread, descriptors, ends, options & flags::CLOEXEC != 0)
}

/// `pipe(2)`.
pub fn pipe(thread: &Thread, [descriptors, ..]: [u64; 6]) -> Result {
    pipe2(thread, [descriptors, 0, 0, 0, 0, 0])
}

/// Opens a named pipe: waits for the other end unless told not to.
pub fn open_fifo(thread: &Thread, location: Location, options: u32) -> Result<Arc<OpenFile>> {
    let pipe = location.inode().attachment().get_or_insert(Pipe::new);
    let access = options & flags::ACCESS;
    let may_wait = options & flags::NONBLOCK == 0;
    let (readers, writers) = {
        let ring = pipe.ring.lock();
        if access == flags::WRONLY && !may_wait && ring.readers == 0 {
            return fail(Errno::ENXIO);
        }
        let met = |present: u32, opened: u64| if present > 0 { u64::MAX } else { opened };
        (met(ring.readers, ring.readers_opened), met(ring.writers, ring.writers_opened))
    };
    let end = PipeEnd::new(&pipe, options);
    let open = OpenFile::new(Arc::new(end), Some(location), options);
    pipe.notifier.notify();
    let alone = |ring: &Ring| match access {
        0 => ring.writers_opened == writers,
        flags::WRONLY => ring.readers_opened == readers,
        _ => false,
    };
    if may_wait {
        open.wait_for(thread, true, u64::MAX, || {
            if alone(&pipe.ring.lock()) { fail(Errno::EAGAIN) } else { Ok(()) }
        })?;
    }
    Ok(open)
}

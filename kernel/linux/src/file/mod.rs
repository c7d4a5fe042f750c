//! Open files: what descriptors stand for.
//!
//! A [`File`] never blocks: what cannot be done now fails with `EAGAIN`, and [`OpenFile`] waits
//! for the file's notifier where the program wants to wait. So one mechanism serves blocking
//! calls, `poll` and `epoll`.

mod anonymous;
mod attached;
mod attributes;
mod context;
mod device;
mod directory;
mod epoll;
mod eventfd;
mod inotify;
mod input_output;
mod locks;
mod memory_file;
mod mount;
mod names;
mod open;
mod pipe;
mod poll;
mod regular;
mod signalfd;
mod size;
mod splice;
mod stat;
mod statfs;
mod stream;
mod table;
mod timerfd;
mod transfer;
mod xattr;

use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU32, Ordering};

use errno::Errno;
use vfs::Location;

pub use anonymous::{place_of_unnamed, reopen};
pub use attached::{Attached, attached};
pub use attributes::*;
pub use context::FileContext;
pub use device::open_device;
pub use directory::*;
pub use epoll::*;
pub use eventfd::{eventfd, eventfd2};
pub use inotify::{Listener, inotify_add_watch, inotify_init, inotify_init1, inotify_rm_watch};
pub use input_output::*;
pub use locks::flock;
pub use memory_file::{memfd_create, memory_file, memory_file_of, set_memory_files};
pub use mount::{mount, umount2};
pub use names::*;
pub use open::*;
pub use pipe::{PipeEnd, open_fifo, pipe, pipe_to_program, pipe2};
pub use poll::{deadline_of, poll, ppoll, pselect6, select};
pub use regular::{GeneratedFile, RegularFile, read_pages};
pub use signalfd::{signalfd, signalfd4};
pub use size::*;
pub use splice::{splice, tee, vmsplice};
pub use stat::*;
pub use statfs::*;
pub use stream::{standard_streams, terminal_streams};
pub use table::{FileTable, add_pair, close, close_range, dup, dup2, dup3, fcntl};
pub use timerfd::{timerfd_create, timerfd_gettime, timerfd_settime};
pub use transfer::*;
pub use xattr::*;

use crate::error::{Fail, Result, fail};
use crate::memory::Mapped;
use crate::notifier::Notifier;
use crate::thread::Thread;
use crate::user::{Sink, Source};

/// Flags of an open file, as `open(2)` and `fcntl(2)` have them.
#[allow(missing_docs, dead_code, reason = "Linux's list, whole")]
pub mod flags {
    pub const ACCESS: u32 = 3;
    pub const WRONLY: u32 = 1;
    pub const RDWR: u32 = 2;
    pub const CREAT: u32 = 0o100;
    pub const EXCL: u32 = 0o200;
    pub const NOCTTY: u32 = 0o400;
    pub const TRUNC: u32 = 0o1000;
    pub const APPEND: u32 = 0o2000;
    pub const NONBLOCK: u32 = 0o4000;
    pub const DSYNC: u32 = 0o10000;
    pub const ASYNC: u32 = 0o20000;
    pub const DIRECT: u32 = 0o40000;
    pub const LARGEFILE: u32 = 0o100000;
    pub const DIRECTORY: u32 = 0o200000;
    pub const NOFOLLOW: u32 = 0o400000;
    pub const NOATIME: u32 = 0o1000000;
    pub const CLOEXEC: u32 = 0o2000000;
    pub const SYNC: u32 = 0o4010000;
    pub const PATH: u32 = 0o10000000;
    pub const TMPFILE: u32 = 0o20200000;
}

/// Events of `poll(2)`.
#[allow(missing_docs, dead_code, reason = "Linux's list, whole")]
pub mod events {
    pub const IN: u32 = 1;
    pub const PRI: u32 = 2;
    pub const OUT: u32 = 4;
    pub const ERR: u32 = 8;
    pub const HUP: u32 = 0x10;
    pub const NVAL: u32 = 0x20;
    pub const RDNORM: u32 = 0x40;
    pub const RDBAND: u32 = 0x80;
    pub const WRNORM: u32 = 0x100;
    pub const WRBAND: u32 = 0x200;
    pub const RDHUP: u32 = 0x2000;
    /// What a file that is always ready shows.
    pub const ALWAYS: u32 = IN | OUT | RDNORM | WRNORM;
}

/// What an open file does.
pub trait File: Any + Send + Sync {
    /// Reads. `position`: where, for files that have positions.
    fn read(&self, open: &OpenFile, to: &mut dyn Sink, position: u64) -> Result<usize> {
        let _ = (open, to, position);
        fail(Errno::EINVAL)
    }

    /// Writes. `position`: where, for files that have positions.
    fn write(&self, open: &OpenFile, from: &mut dyn Source, position: u64) -> Result<usize> {
        let _ = (open, from, position);
        fail(Errno::EINVAL)
    }

    /// What is ready now.
    fn ready(&self) -> u32 {
        events::ALWAYS
    }

    /// Who tells about changes of what is ready; `None`: it never changes.
    fn notifier(&self) -> Option<&Notifier> {
        None
    }

    /// When a call that begins now stops waiting.
    fn deadline(&self, writing: bool) -> u64 {
        let _ = writing;
        u64::MAX
    }

    /// What a read gives that has waited until its [deadline](Self::deadline).
    fn late(&self) -> Result<usize> {
        fail(Errno::EAGAIN)
    }

    /// Whether a write that may wait goes on until all is written.
    fn writes_all(&self) -> bool {
        false
    }

    /// Whether it has positions.
    fn is_seekable(&self) -> bool {
        false
    }

    /// Whether its positions mean something; those of `/dev/null` are always 0.
    fn keeps_position(&self) -> bool {
        true
    }

    /// What writes hold so that each is whole, for files where that matters.
    fn write_order(&self) -> Option<&sched::Mutex<()>> {
        None
    }

    /// `ioctl(2)`.
    fn ioctl(&self, thread: &Thread, request: u32, argument: u64) -> Result {
        let _ = (thread, request, argument);
        fail(Errno::ENOTTY)
    }

    /// What a mapping of it shows: `Some(None)` is memory of zeros; `None`: it cannot be mapped.
    fn mappable(&self) -> Option<Option<Mapped>> {
        None
    }

    /// What `/proc/self/fd` shows for a file without a path.
    fn label(&self) -> alloc::string::String {
        "anon_inode:[file]".into()
    }

    /// Lines that `/proc/self/fdinfo` shows besides the common ones.
    fn information(&self) -> alloc::string::String {
        alloc::string::String::new()
    }

    /// Opens the same thing once more, through `/proc/self/fd`, for files without a place.
    fn reopen(self: Arc<Self>, options: u32) -> Result<Arc<dyn File>> {
        let _ = options;
        fail(Errno::ENXIO)
    }

    /// As itself.
    fn as_any(&self) -> &dyn Any;

    /// The last descriptor is gone.
    fn closed(&self, open: &OpenFile) {
        let _ = open;
    }
}

/// An open file description: what descriptors share that were made from each other.
pub struct OpenFile {
    /// What it does.
    pub file: Arc<dyn File>,
    /// Where it was opened; files without a place in a file system have none.
    pub location: Option<Location>,
    flags: AtomicU32,
    position: sched::Mutex<u64>,
    /// Owner of signals (`F_SETOWN`): a process, or a group if negative.
    pub owner: AtomicU32,
    /// The signal that tells its owner that it is ready (`F_SETSIG`); 0 is `SIGIO`.
    pub signal: AtomicU32,
}

impl OpenFile {
    /// A new description.
    pub fn new(file: Arc<dyn File>, location: Option<Location>, flags: u32) -> Arc<Self> {
        Arc::new(Self {
            file,
            location,
            flags: AtomicU32::new(
                flags
                    & !(flags::CLOEXEC | flags::CREAT | flags::EXCL | flags::TRUNC | flags::NOCTTY),
            ),
            position: sched::Mutex::new(0),
            owner: AtomicU32::new(0),
            signal: AtomicU32::new(0),
        })
    }

    /// Its flags.
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// Changes the flags that can change.
    pub fn set_flags(&self, new: u32) {
        const CHANGEABLE: u32 =
            flags::APPEND | flags::NONBLOCK | flags::ASYNC | flags::DIRECT | flags::NOATIME;
        let kept = self.flags() & !CHANGEABLE;
        self.flags.store(kept | new & CHANGEABLE, Ordering::Relaxed);
    }

    /// Whether only its place matters (`O_PATH`).
    pub fn is_path(&self) -> bool {
        self.flags() & flags::PATH != 0
    }

    /// Whether it was opened for reading.
    pub fn may_read(&self) -> bool {
        matches!(self.flags() & flags::ACCESS, 0 | flags::RDWR) && !self.is_path()
    }

    /// Whether it was opened for writing.
    pub fn may_write(&self) -> bool {
        matches!(self.flags() & flags::ACCESS, flags::WRONLY | flags::RDWR) && !self.is_path()
    }

    /// What a mapping of it shows; see [`File::mappable`].
    pub fn mappable(&self) -> Option<Option<Mapped>> {
        self.file.mappable()
    }

    /// Waits until `attempt` does not fail with `EAGAIN`; not at all where the program does not
    /// want to wait.
    pub fn wait_for<T>(
        &self,
        thread: &Thread,
        may_wait: bool,
        deadline: u64,
        mut attempt: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        match attempt() {
            Err(Fail::Errno(Errno::EAGAIN)) if may_wait => {}
            other => return other,
        }
        let Some(notifier) = self.file.notifier() else { return fail(Errno::EAGAIN) };
        let listener: Arc<dyn crate::notifier::Listener> =
            Arc::new(crate::notifier::WakeTask(sched::current()));
        notifier.add(&listener);
        let result = loop {
            match attempt() {
                Err(Fail::Errno(Errno::EAGAIN)) => {}
                other => break other,
            }
            if thread.is_interrupted() {
                break Err(Fail::Restart);
            }
            if deadline != u64::MAX && hal::monotonic() >= deadline {
                break fail(Errno::EAGAIN);
            }
            sched::park_until(deadline);
        };
        notifier.remove(&listener);
        result
    }

    fn may_wait(&self) -> bool {
        self.flags() & flags::NONBLOCK == 0
    }

    /// `read(2)`: at the current position, which moves on.
    pub fn read(&self, thread: &Thread, to: &mut dyn Sink) -> Result<usize> {
        if !self.may_read() {
            return fail(Errno::EBADF);
        }
        if self.file.is_seekable() {
            let mut position = self.position.lock();
            let count = self.file.read(self, to, *position)?;
            *position += count as u64;
            self.happened(inotify::mask::ACCESS, count);
            return Ok(count);
        }
        let deadline = self.file.deadline(false);
        let result =
            self.wait_for(thread, self.may_wait(), deadline, || self.file.read(self, to, 0));
        match result {
            Err(Fail::Errno(Errno::EAGAIN)) if self.may_wait() => self.file.late(),
            other => other,
        }
    }

    /// `write(2)`: at the current position, which moves on, or at the end.
    pub fn write(&self, thread: &Thread, from: &mut dyn Source) -> Result<usize> {
        if !self.may_write() {
            return fail(Errno::EBADF);
        }
        if self.file.is_seekable() {
            let mut position = self.position.lock();
            let _order = self.file.write_order().map(sched::Mutex::lock);
            *position = self.end_to_append().unwrap_or(*position);
            let count = self.file.write(self, from, *position)?;
            *position += count as u64;
            self.happened(inotify::mask::MODIFY, count);
            return Ok(count);
        }
        // A blocking write of a stream ends when all is written.
        let mut total = 0;
        let deadline = self.file.deadline(true);
        loop {
            let step =
                self.wait_for(thread, self.may_wait(), deadline, || self.file.write(self, from, 0));
            match step {
                Ok(count) => total += count,
                Err(_) if total > 0 => return Ok(total),
                Err(error) => return Err(error),
            }
            if from.left() == 0 || !self.may_wait() || !self.file.writes_all() {
                return Ok(total);
            }
        }
    }

    /// `pread(2)`.
    pub fn read_at(&self, to: &mut dyn Sink, position: u64) -> Result<usize> {
        if !self.may_read() {
            return fail(Errno::EBADF);
        }
        if !self.file.is_seekable() {
            return fail(Errno::ESPIPE);
        }
        check_end(position, to.room())?;
        let count = self.file.read(self, to, position)?;
        self.happened(inotify::mask::ACCESS, count);
        Ok(count)
    }

    /// `pwrite(2)`.
    pub fn write_at(&self, from: &mut dyn Source, position: u64) -> Result<usize> {
        if !self.may_write() {
            return fail(Errno::EBADF);
        }
        if !self.file.is_seekable() {
            return fail(Errno::ESPIPE);
        }
        check_end(position, from.left())?;
        let _order = self.file.write_order().map(sched::Mutex::lock);
        let count = self.file.write(self, from, self.end_to_append().unwrap_or(position))?;
        self.happened(inotify::mask::MODIFY, count);
        Ok(count)
    }

    /// Writes at the end, whatever the flags say (`RWF_APPEND`); `moves`: the position goes there.
    pub fn append(&self, thread: &Thread, from: &mut dyn Source, moves: bool) -> Result<usize> {
        let Some(location) = self.location.as_ref().filter(|_| self.file.is_seekable()) else {
            return self.write(thread, from);
        };
        if !self.may_write() {
            return fail(Errno::EBADF);
        }
        let mut position = self.position.lock();
        let _order = self.file.write_order().map(sched::Mutex::lock);
        let end = location.inode().size();
        let count = self.file.write(self, from, end)?;
        self.happened(inotify::mask::MODIFY, count);
        if moves {
            *position = end + count as u64;
        }
        Ok(count)
    }

    /// Tells whoever watches the file that bytes were read or written.
    fn happened(&self, what: u32, count: usize) {
        if count > 0
            && let Some(location) = &self.location
        {
            inotify::happened(location, what);
        }
    }

    /// Where a write goes that appends.
    fn end_to_append(&self) -> Option<u64> {
        let location = self.location.as_ref().filter(|_| self.flags() & flags::APPEND != 0)?;
        Some(location.inode().size())
    }

    /// The position, unless a call is just moving it.
    pub fn position_now(&self) -> Option<u64> {
        self.position.try_lock().map(|position| *position)
    }

    /// The position, locked.
    pub fn position(&self) -> sched::MutexGuard<'_, u64> {
        self.position.lock()
    }
}

/// Whether bytes at a position are where a file can have some.
fn check_end(position: u64, length: u64) -> Result<()> {
    let end = position.checked_add(length).filter(|end| *end <= regular::MAX_OFFSET);
    if end.is_some() { Ok(()) } else { fail(Errno::EINVAL) }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        locks::description_closed(self);
        if let Some(location) = self.location.as_ref().filter(|_| !self.is_path()) {
            let what = if self.may_write() {
                inotify::mask::CLOSE_WRITE
            } else {
                inotify::mask::CLOSE_NOWRITE
            };
            inotify::happened(location, what);
        }
        let file = Arc::clone(&self.file);
        file.closed(self);
    }
}

/// A process has closed a descriptor of a file: its POSIX locks on it end.
pub fn released(thread: &Thread, file: &OpenFile) {
    locks::released(&thread.files(), file);
}

//! Descriptors.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use errno::Errno;
use lock::SpinLock;
use vfs::seals;

use super::{OpenFile, flags, locks};
use crate::error::{Result, fail};
use crate::memory::mappers;
use crate::process::Resource;
use crate::rank;
use crate::thread::Thread;
use crate::user;

#[derive(Clone)]
struct Entry {
    file: Arc<OpenFile>,
    close_on_exec: bool,
}

/// The descriptors of a process.
pub struct FileTable {
    entries: SpinLock<Vec<Option<Entry>>>,
    /// Threads that use it.
    users: AtomicUsize,
}

impl Default for FileTable {
    fn default() -> Self {
        Self::new()
    }
}

impl FileTable {
    /// No descriptors, for one thread.
    pub const fn new() -> Self {
        Self { entries: SpinLock::new(rank::FILE_TABLE, Vec::new()), users: AtomicUsize::new(1) }
    }

    /// A copy for one other thread.
    pub fn duplicate(&self) -> Self {
        let entries = self.entries.lock().clone();
        Self { entries: SpinLock::new(rank::FILE_TABLE, entries), users: AtomicUsize::new(1) }
    }

    /// One more thread uses it.
    pub fn join(&self) {
        self.users.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether several threads use it.
    pub fn is_shared(&self) -> bool {
        self.users.load(Ordering::Relaxed) > 1
    }

    /// One thread less uses it; the last one closes everything.
    pub fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            let entries = core::mem::take(&mut *self.entries.lock());
            for entry in entries.iter().flatten() {
                locks::released(self, &entry.file);
            }
        }
    }

    /// The file behind a descriptor, whatever it is for.
    pub fn get_any(&self, descriptor: u64) -> Result<Arc<OpenFile>> {
        let index = usize::try_from(descriptor as i32).map_err(|_| Errno::EBADF)?;
        let entries = self.entries.lock();
        let entry = entries.get(index).and_then(Option::as_ref);
        Ok(entry.map(|entry| Arc::clone(&entry.file)).ok_or(Errno::EBADF)?)
    }

    /// The file behind a descriptor that was not opened with `O_PATH`.
    pub fn get(&self, descriptor: u64) -> Result<Arc<OpenFile>> {
        let file = self.get_any(descriptor)?;
        if file.is_path() { fail(Errno::EBADF) } else { Ok(file) }
    }

    /// Puts a file at the lowest free descriptor from `lowest` on, below `limit`.
    pub fn add(
        &self,
        file: Arc<OpenFile>,
        close_on_exec: bool,
        lowest: usize,
        limit: u64,
    ) -> Result<u64> {
        let mut entries = self.entries.lock();
        let free = entries.iter().skip(lowest).position(Option::is_none);
        let index = free.map_or(entries.len().max(lowest), |offset| lowest + offset);
        if index as u64 >= limit {
            return fail(Errno::EMFILE);
        }
        if index >= entries.len() {
            entries.resize(index + 1, None);
        }
        entries[index] = Some(Entry { file, close_on_exec });
        Ok(index as u64)
    }

    /// Puts a file at a descriptor; gives what was there.
    fn replace(
        &self,
        index: usize,
        file: Arc<OpenFile>,
        close_on_exec: bool,
    ) -> Option<Arc<OpenFile>> {
        let mut entries = self.entries.lock();
        if index >= entries.len() {
            entries.resize(index + 1, None);
        }
        entries[index].replace(Entry { file, close_on_exec }).map(|entry| entry.file)
    }

    /// Takes a file off its descriptor.
    pub fn remove(&self, index: usize) -> Option<Arc<OpenFile>> {
        self.entries.lock().get_mut(index)?.take().map(|entry| entry.file)
    }

    /// The file behind a descriptor, and whether it closes on exec.
    pub fn entry(&self, descriptor: u32) -> Option<(Arc<OpenFile>, bool)> {
        let entries = self.entries.lock();
        let entry = entries.get(descriptor as usize)?.as_ref()?;
        Some((Arc::clone(&entry.file), entry.close_on_exec))
    }

    /// How many descriptors there is room for without growing.
    pub fn size(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether a descriptor of a file is left.
    pub fn has(&self, file: &Arc<OpenFile>) -> bool {
        let entries = self.entries.lock();
        entries.iter().flatten().any(|entry| Arc::ptr_eq(&entry.file, file))
    }

    /// All descriptors in use, lowest first, with whether they close on exec.
    pub fn list(&self) -> Vec<(u32, Arc<OpenFile>, bool)> {
        let entries = self.entries.lock();
        let used = entries.iter().enumerate().filter_map(|(index, entry)| {
            let entry = entry.as_ref()?;
            Some((index as u32, Arc::clone(&entry.file), entry.close_on_exec))
        });
        used.collect()
    }

    /// Closes what is to be closed by `execve(2)`.
    pub fn close_on_exec(&self) {
        let doomed: Vec<_> = self.list().into_iter().filter(|(_, _, close)| *close).collect();
        for (index, file, _) in doomed {
            drop(self.remove(index as usize));
            locks::released(self, &file);
        }
    }

    fn set_close_on_exec(&self, index: usize, close: bool) -> Result<()> {
        match self.entries.lock().get_mut(index).and_then(Option::as_mut) {
            Some(entry) => {
                entry.close_on_exec = close;
                Ok(())
            }
            None => fail(Errno::EBADF),
        }
    }

    fn closes_on_exec(&self, index: usize) -> Result<bool> {
        let entries = self.entries.lock();
        let entry = entries.get(index).and_then(Option::as_ref).ok_or(Errno::EBADF)?;
        Ok(entry.close_on_exec)
    }
}

impl Thread {
    /// Puts a file at the lowest free descriptor.
    pub fn add_file(&self, file: Arc<OpenFile>, close_on_exec: bool) -> Result<u64> {
        self.files().add(file, close_on_exec, 0, self.process.limits.soft(Resource::Files))
    }
}

/// Puts two files at the lowest free descriptors and tells the program which.
pub fn add_pair(
    thread: &Thread,
    address: u64,
    [first, second]: [Arc<OpenFile>; 2],
    close_on_exec: bool,
) -> Result {
    let first = thread.add_file(first, close_on_exec)?;
    let told = thread.add_file(second, close_on_exec).and_then(|second| {
        crate::user::write(address, &[first as i32, second as i32]).inspect_err(|_| {
            drop(thread.files().remove(second as usize));
        })
    });
    if told.is_err() {
        drop(thread.files().remove(first as usize));
    }
    told.map(|()| 0)
}

/// `close(2)`.
pub fn close(thread: &Thread, [descriptor, ..]: [u64; 6]) -> Result {
    let index = usize::try_from(descriptor as i32).map_err(|_| Errno::EBADF)?;
    match thread.files().remove(index) {
        Some(file) => {
            super::released(thread, &file);
            Ok(0)
        }
        None => fail(Errno::EBADF),
    }
}

/// `close_range(2)`.
pub fn close_range(thread: &Thread, [first, last, options, ..]: [u64; 6]) -> Result {
    const UNSHARE: u32 = 2;
    const CLOEXEC: u32 = 4;
    let (first, last, options) = (first as u32, last as u32, options as u32);
    if first > last || options & !(UNSHARE | CLOEXEC) != 0 {
        return fail(Errno::EINVAL);
    }
    if options & UNSHARE != 0 {
        thread.unshare_files();
    }
    for (index, file, _) in thread.files().list() {
        if (first..=last).contains(&index) {
            if options & CLOEXEC != 0 {
                thread.files().set_close_on_exec(index as usize, true)?;
            } else if thread.files().remove(index as usize).is_some() {
                super::released(thread, &file);
            }
        }
    }
    Ok(0)
}

/// `dup(2)`.
pub fn dup(thread: &Thread, [descriptor, ..]: [u64; 6]) -> Result {
    let file = thread.files().get_any(descriptor)?;
    thread.add_file(file, false)
}

/// `dup2(2)`.
pub fn dup2(thread: &Thread, [old, new, ..]: [u64; 6]) -> Result {
    if old as u32 == new as u32 {
        thread.files().get_any(old)?;
        return Ok(new);
    }
    dup3(thread, [old, new, 0, 0, 0, 0])
}

/// `dup3(2)`.
pub fn dup3(thread: &Thread, [old, new, options, ..]: [u64; 6]) -> Result {
    if options as u32 & !flags::CLOEXEC != 0 || old as u32 == new as u32 {
        return fail(Errno::EINVAL);
    }
    let file = thread.files().get_any(old)?;
    let limit = thread.process.limits.soft(Resource::Files);
    let index = usize::try_from(new as i32)
        .ok()
        .filter(|index| (*index as u64) < limit)
        .ok_or(Errno::EBADF)?;
    let closed = thread.files().replace(index, file, options as u32 & flags::CLOEXEC != 0);
    if let Some(file) = closed {
        super::released(thread, &file);
    }
    Ok(index as u64)
}

/// `fcntl(2)`.
pub fn fcntl(thread: &Thread, [descriptor, command, argument, ..]: [u64; 6]) -> Result {
    const F_DUPFD: u32 = 0;
    const F_GETFD: u32 = 1;
    const F_SETFD: u32 = 2;
    const F_GETFL: u32 = 3;
    const F_SETFL: u32 = 4;
    const F_SETOWN: u32 = 8;
    const F_GETOWN: u32 = 9;
    const F_SETSIG: u32 = 10;
    const F_GETSIG: u32 = 11;
    const F_SETOWN_EX: u32 = 15;
    const F_GETOWN_EX: u32 = 16;
    const F_DUPFD_CLOEXEC: u32 = 1030;
    const F_SETPIPE_SZ: u32 = 1031;
    const F_GETPIPE_SZ: u32 = 1032;
    const F_ADD_SEALS: u32 = 1033;
    const F_GET_SEALS: u32 = 1034;
    let file = thread.files().get_any(descriptor)?;
    let index = descriptor as u32 as usize;
    let command = command as u32;
    if file.is_path() && !matches!(command, F_DUPFD | F_DUPFD_CLOEXEC | F_GETFD | F_SETFD | F_GETFL)
    {
        return fail(Errno::EBADF);
    }
    match command {
        locks::command::GET..=locks::command::SET_WAIT
        | locks::command::GET_OFD..=locks::command::SET_WAIT_OFD => {
            locks::record_lock(thread, &file, command, argument)
        }
        F_DUPFD | F_DUPFD_CLOEXEC => {
            let limit = thread.process.limits.soft(Resource::Files);
            let lowest = usize::try_from(argument as i32).map_err(|_| Errno::EINVAL)?;
            if lowest as u64 >= limit {
                return fail(Errno::EINVAL);
            }
            thread.files().add(file, command == F_DUPFD_CLOEXEC, lowest, limit)
        }
        F_GETFD => Ok(u64::from(thread.files().closes_on_exec(index)?)),
        F_SETFD => {
            thread.files().set_close_on_exec(index, argument & 1 != 0)?;
            Ok(0)
        }
        F_GETFL => Ok(u64::from(file.flags())),
        F_SETFL => {
            file.set_flags(argument as u32);
            Ok(0)
        }
        F_SETOWN => {
            file.owner.store(argument as u32, core::sync::atomic::Ordering::Relaxed);
            Ok(0)
        }
        F_GETOWN => Ok(u64::from(file.owner.load(core::sync::atomic::Ordering::Relaxed))),
        F_SETPIPE_SZ | F_GETPIPE_SZ => {
            let Some(end) = file.file.as_any().downcast_ref::<super::PipeEnd>() else {
                return fail(Errno::EBADF);
            };
            if command == F_GETPIPE_SZ {
                return Ok(end.capacity());
            }
            end.set_capacity(argument, thread.has_capability(24))
        }
        F_SETSIG => {
            if argument > u64::from(crate::signal::number::LAST) {
                return fail(Errno::EINVAL);
            }
            file.signal.store(argument as u32, core::sync::atomic::Ordering::Relaxed);
            Ok(0)
        }
        F_GETSIG => Ok(u64::from(file.signal.load(core::sync::atomic::Ordering::Relaxed))),
        F_SETOWN_EX => {
            // Threads, too, are numbered like processes.
            let [kind, number]: [i32; 2] = user::read(argument)?;
            let owner = match kind {
                0 | 1 => number,
                2 => number.wrapping_neg(),
                _ => return fail(Errno::EINVAL),
            };
            file.owner.store(owner as u32, core::sync::atomic::Ordering::Relaxed);
            Ok(0)
        }
        F_GETOWN_EX => {
            let owner = file.owner.load(core::sync::atomic::Ordering::Relaxed) as i32;
            let kind = if owner < 0 { 2 } else { 1 };
            user::write(argument, &[kind, owner.wrapping_abs()])?;
            Ok(0)
        }
        F_ADD_SEALS | F_GET_SEALS => {
            let Some(Some(mapped)) = file.mappable() else { return fail(Errno::EINVAL) };
            if command == F_GET_SEALS {
                return Ok(u64::from(mapped.inode.seals()?));
            }
            if !file.may_write() {
                return fail(Errno::EPERM);
            }
            let writes = argument as u32 & (seals::WRITE | seals::FUTURE_WRITE) == seals::WRITE;
            if writes && mappers::can_be_stored_to(&mapped.inode) {
                return fail(Errno::EBUSY);
            }
            mapped.inode.add_seals(argument as u32)?;
            Ok(0)
        }
        _ => fail(Errno::EINVAL),
    }
}

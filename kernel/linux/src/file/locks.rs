//! Advisory locks: `flock(2)`, and the record locks of `fcntl(2)`.
//!
//! POSIX locks belong to a table of descriptors and end when it closes any descriptor of the
//! file; OFD and `flock` locks belong to an open file description and end with it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use errno::Errno;
use lock::SpinLock;
use vfs::{FileLocks, Kind, Location, LockKind, LockRange, Owner};

use super::attached::{Attached, attached};
use super::{FileTable, OpenFile};
use crate::error::{Fail, Result, fail};
use crate::layout;
use crate::rank;
use crate::thread::Thread;
use crate::user;

layout! {
    /// `struct flock`.
    pub struct RecordLock {
        pub kind: u16,
        pub whence: u16,
        pub padding: u32,
        pub start: i64,
        pub length: i64,
        pub process: i32,
        pub end: u32,
    }
}

const READ: u16 = 0;
const WRITE: u16 = 1;
const UNLOCK: u16 = 2;

/// The commands of `fcntl(2)` for record locks.
pub mod command {
    /// `F_GETLK`.
    pub const GET: u32 = 5;
    /// `F_SETLKW`; `F_SETLK` is between the two.
    pub const SET_WAIT: u32 = 7;
    /// `F_OFD_GETLK`.
    pub const GET_OFD: u32 = 36;
    /// `F_OFD_SETLK`.
    pub const SET_OFD: u32 = 37;
    /// `F_OFD_SETLKW`.
    pub const SET_WAIT_OFD: u32 = 38;
}

fn owner_of_table(table: &FileTable) -> Owner {
    Owner::Process(core::ptr::from_ref(table).addr() as u64)
}

fn owner_of_file(file: &OpenFile) -> Owner {
    Owner::Description(core::ptr::from_ref(file).addr() as u64)
}

/// Which owner waits for which: two that wait for each other would wait for ever.
static WAITS: SpinLock<BTreeMap<u64, u64>> = SpinLock::new(rank::STREAM, BTreeMap::new());

/// Notes that one owner of POSIX locks waits for another.
///
/// # Errors
/// `EDEADLK` if the other waits for it, over however many others.
fn begin_wait(waiter: Owner, holder: Owner) -> Result<()> {
    let (Owner::Process(waiter), Owner::Process(holder)) = (waiter, holder) else { return Ok(()) };
    let mut waits = WAITS.lock();
    let mut next = Some(holder);
    // Nobody waits for two at once, so a chain has at most as many parts as there are waits.
    for _ in 0..=waits.len() {
        match next {
            Some(owner) if owner == waiter => return fail(Errno::EDEADLK),
            Some(owner) => next = waits.get(&owner).copied(),
            None => break,
        }
    }
    waits.insert(waiter, holder);
    Ok(())
}

fn end_wait(waiter: Owner) {
    if let Owner::Process(waiter) = waiter {
        WAITS.lock().remove(&waiter);
    }
}

/// Locks, as soon as nobody is in the way if the caller wants to wait.
fn acquire(
    thread: &Thread,
    attached: &Attached,
    table: &SpinLock<FileLocks>,
    (owner, kind, range): (Owner, LockKind, LockRange),
    process: i32,
    wait: bool,
) -> Result {
    let attempt = || table.lock().set(owner, kind, range, process);
    let locked = match attempt() {
        Ok(weakened) => Ok(weakened),
        Err(_) if !wait => return fail(Errno::EAGAIN),
        Err(_) => {
            let result = thread.wait_until(&attached.unlocked, u64::MAX, || match attempt() {
                Ok(weakened) => Some(Ok(weakened)),
                Err(conflict) => begin_wait(owner, conflict.owner).err().map(Err),
            });
            end_wait(owner);
            match result? {
                Some(result) => result,
                None => return fail(Errno::EAGAIN),
            }
        }
    };
    if locked? {
        attached.unlocked.wake_all();
    }
    Ok(0)
}

/// The locks of a file. Named pipes have none: what is attached to them is the pipe.
fn table_of(location: &Location) -> Result<Arc<Attached>> {
    match location.kind() {
        Kind::Fifo => fail(Errno::ENOLCK),
        _ => Ok(attached(&**location.inode())),
    }
}

/// `flock(2)`.
pub fn flock(thread: &Thread, [descriptor, operation, ..]: [u64; 6]) -> Result {
    const SHARED: u32 = 1;
    const EXCLUSIVE: u32 = 2;
    const NO_WAIT: u32 = 4;
    const UNLOCK: u32 = 8;
    let kind = match operation as u32 & !NO_WAIT {
        SHARED => Some(LockKind::Shared),
        EXCLUSIVE => Some(LockKind::Exclusive),
        UNLOCK => None,
        _ => return fail(Errno::EINVAL),
    };
    let file = thread.files().get(descriptor)?;
    // Nobody else can get at a file without a place.
    let Some(location) = &file.location else { return Ok(0) };
    let attached = table_of(location)?;
    let owner = owner_of_file(&file);
    // A lock of the other kind is let go of first, also when the new one cannot be had.
    let released = {
        let mut held = attached.whole.lock();
        let same = held.iter().any(|lock| lock.owner == owner && Some(lock.kind) == kind);
        if same {
            return Ok(0);
        }
        held.release(owner)
    };
    if released {
        attached.unlocked.wake_all();
    }
    let Some(kind) = kind else { return Ok(0) };
    let wait = operation as u32 & NO_WAIT == 0;
    let pid = thread.process.pid as i32;
    acquire(thread, &attached, &attached.whole, (owner, kind, LockRange::ALL), pid, wait)
}

/// The range that a lock is about.
fn range_of(file: &OpenFile, lock: &RecordLock) -> Result<LockRange> {
    let size = || file.location.as_ref().map_or(0, |location| location.inode().size());
    let base = match lock.whence {
        0 => 0,
        1 => *file.position(),
        2 => size(),
        _ => return fail(Errno::EINVAL),
    };
    let start = lock.start.checked_add(base as i64).ok_or(Errno::EOVERFLOW)?;
    if start >= 0 && lock.length > 0 && start.checked_add(lock.length - 1).is_none() {
        return fail(Errno::EOVERFLOW);
    }
    Ok(LockRange::new(start, lock.length).ok_or(Errno::EINVAL)?)
}

/// The record locks of `fcntl(2)`.
pub fn record_lock(thread: &Thread, file: &Arc<OpenFile>, number: u32, address: u64) -> Result {
    let lock: RecordLock = user::read(address)?;
    let by_file = matches!(number, command::GET_OFD | command::SET_OFD | command::SET_WAIT_OFD);
    let get = matches!(number, command::GET | command::GET_OFD);
    if by_file && lock.process != 0 {
        return fail(Errno::EINVAL);
    }
    let kind = match lock.kind {
        READ => Some(LockKind::Shared),
        WRITE => Some(LockKind::Exclusive),
        UNLOCK if !get => None,
        _ => return fail(Errno::EINVAL),
    };
    let range = range_of(file, &lock)?;
    let Some(location) = &file.location else { return fail(Errno::EBADF) };
    let attached = table_of(location)?;
    let (owner, process) = if by_file {
        (owner_of_file(file), -1)
    } else {
        (owner_of_table(&thread.files()), thread.process.pid as i32)
    };
    if get {
        let conflict = kind.and_then(|kind| attached.records.lock().conflict(owner, kind, range));
        let answer = match conflict {
            None => RecordLock { kind: UNLOCK, ..lock },
            Some(conflict) => RecordLock {
                kind: if conflict.kind == LockKind::Shared { READ } else { WRITE },
                whence: 0,
                start: conflict.range.start() as i64,
                length: conflict.range.length() as i64,
                process: conflict.process,
                ..lock
            },
        };
        user::write(address, &answer)?;
        return Ok(0);
    }
    let Some(kind) = kind else {
        if attached.records.lock().unlock(owner, range) {
            attached.unlocked.wake_all();
        }
        return Ok(0);
    };
    let allowed = if kind == LockKind::Shared { file.may_read() } else { file.may_write() };
    if !allowed {
        return fail(Errno::EBADF);
    }
    let wait = matches!(number, command::SET_WAIT | command::SET_WAIT_OFD);
    let result = acquire(thread, &attached, &attached.records, (owner, kind, range), process, wait);
    if result == Err(Fail::Errno(Errno::EAGAIN)) {
        return result;
    }
    // Another thread may have closed the descriptor meanwhile, and the lock must not outlive it.
    if result.is_ok() && !by_file && !thread.files().has(file) {
        released(&thread.files(), file);
        return fail(Errno::EBADF);
    }
    result
}

/// A table of descriptors has closed one of a file: its POSIX locks on the file end.
pub fn released(table: &FileTable, file: &OpenFile) {
    release(file, owner_of_table(table));
}

/// An open file description ends: its locks end.
pub fn description_closed(file: &OpenFile) {
    release(file, owner_of_file(file));
}

fn release(file: &OpenFile, owner: Owner) {
    let Some(location) = &file.location else { return };
    let Some(attached) = location.inode().attachment().get::<Attached>() else { return };
    let mut changed = attached.records.lock().release(owner);
    if matches!(owner, Owner::Description(_)) {
        changed |= attached.whole.lock().release(owner);
    }
    if changed {
        attached.unlocked.wake_all();
    }
}

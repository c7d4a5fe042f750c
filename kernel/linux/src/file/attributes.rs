//! Permissions, owners, times.

use alloc::sync::Arc;

use errno::Errno;
use vfs::{Location, TimeChange, Timestamp};

use super::OpenFile;
use super::open::AT_FDCWD;
use super::stat::{AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, find_at};
use crate::abi::{Timespec, Timeval};
use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::user;

/// The place of an open file whose attributes are to change.
fn place_of(file: &OpenFile) -> Result<Location> {
    Ok(file.location.clone().ok_or(Errno::EINVAL)?)
}

fn found(found: core::result::Result<Location, Arc<OpenFile>>) -> Result<Location> {
    match found {
        Ok(location) => Ok(location),
        Err(file) => place_of(&file),
    }
}

/// `fchmodat2(2)`.
pub fn fchmodat2(thread: &Thread, [directory, path, mode, options, ..]: [u64; 6]) -> Result {
    if options & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return fail(Errno::EINVAL);
    }
    let path = user::read_path(path)?;
    let location = found(find_at(thread, directory, &path, options)?)?;
    thread.with_context(|context| context.change_mode(&location, (mode & 0o7777) as u16))?;
    Ok(0)
}

/// `fchmodat(2)`.
pub fn fchmodat(thread: &Thread, [directory, path, mode, ..]: [u64; 6]) -> Result {
    fchmodat2(thread, [directory, path, mode, 0, 0, 0])
}

/// `chmod(2)`.
pub fn chmod(thread: &Thread, [path, mode, ..]: [u64; 6]) -> Result {
    fchmodat2(thread, [AT_FDCWD, path, mode, 0, 0, 0])
}

/// `fchmod(2)`.
pub fn fchmod(thread: &Thread, [descriptor, mode, ..]: [u64; 6]) -> Result {
    let location = place_of(&*thread.files().get(descriptor)?)?;
    thread.with_context(|context| context.change_mode(&location, (mode & 0o7777) as u16))?;
    Ok(0)
}

fn change_owner(thread: &Thread, location: &Location, uid: u64, gid: u64) -> Result {
    let wanted = |number: u64| Some(number as u32).filter(|number| *number != u32::MAX);
    let (uid, gid) = (wanted(uid), wanted(gid));
    thread.with_context(|context| context.change_owner(location, uid, gid))?;
    Ok(0)
}

/// `fchownat(2)`.
pub fn fchownat(thread: &Thread, [directory, path, uid, gid, options, _]: [u64; 6]) -> Result {
    if options & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return fail(Errno::EINVAL);
    }
    let path = user::read_path(path)?;
    let location = found(find_at(thread, directory, &path, options)?)?;
    change_owner(thread, &location, uid, gid)
}

/// `chown(2)`.
pub fn chown(thread: &Thread, [path, uid, gid, ..]: [u64; 6]) -> Result {
    fchownat(thread, [AT_FDCWD, path, uid, gid, 0, 0])
}

/// `lchown(2)`.
pub fn lchown(thread: &Thread, [path, uid, gid, ..]: [u64; 6]) -> Result {
    fchownat(thread, [AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW, 0])
}

/// `fchown(2)`.
pub fn fchown(thread: &Thread, [descriptor, uid, gid, ..]: [u64; 6]) -> Result {
    let location = place_of(&*thread.files().get(descriptor)?)?;
    change_owner(thread, &location, uid, gid)
}

const NOW: [TimeChange; 2] = [TimeChange::Now; 2];

fn change_times(
    thread: &Thread,
    directory: u64,
    path: u64,
    [accessed, modified]: [TimeChange; 2],
    options: u64,
) -> Result {
    if options & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return fail(Errno::EINVAL);
    }
    let location = if path == 0 && directory as i32 != AT_FDCWD as i32 {
        if options != 0 {
            return fail(Errno::EINVAL);
        }
        place_of(&*thread.files().get(directory)?)?
    } else {
        let path = user::read_path(path)?;
        found(find_at(thread, directory, &path, options)?)?
    };
    thread.with_context(|context| context.change_times(&location, accessed, modified))?;
    Ok(0)
}

/// `utimensat(2)`.
pub fn utimensat(thread: &Thread, [directory, path, times, options, ..]: [u64; 6]) -> Result {
    const UTIME_NOW: i64 = 0x3fff_ffff;
    const UTIME_OMIT: i64 = 0x3fff_fffe;
    if times == 0 {
        return change_times(thread, directory, path, NOW, options);
    }
    let mut changes = NOW;
    let mut valid = true;
    for (index, change) in changes.iter_mut().enumerate() {
        let time: Timespec = user::read(times + 16 * index as u64)?;
        *change = match time.nanoseconds {
            UTIME_NOW => TimeChange::Now,
            UTIME_OMIT => TimeChange::Keep,
            nanoseconds => {
                valid &= (0..1_000_000_000).contains(&nanoseconds);
                let nanoseconds = nanoseconds as u32;
                TimeChange::To(Timestamp { seconds: time.seconds, nanoseconds })
            }
        };
    }
    // Then not even the path is looked at.
    if changes == [TimeChange::Keep; 2] {
        return Ok(0);
    }
    if !valid {
        return fail(Errno::EINVAL);
    }
    change_times(thread, directory, path, changes, options)
}

/// `futimesat(2)`.
pub fn futimesat(thread: &Thread, [directory, path, times, ..]: [u64; 6]) -> Result {
    let mut changes = NOW;
    if times != 0 {
        let read: [Timeval; 2] = [user::read(times)?, user::read(times.wrapping_add(16))?];
        for (change, time) in changes.iter_mut().zip(read) {
            if !(0..1_000_000).contains(&time.microseconds) {
                return fail(Errno::EINVAL);
            }
            let nanoseconds = time.microseconds as u32 * 1000;
            *change = TimeChange::To(Timestamp { seconds: time.seconds, nanoseconds });
        }
    }
    change_times(thread, directory, path, changes, 0)
}

/// `utimes(2)`.
pub fn utimes(thread: &Thread, [path, times, ..]: [u64; 6]) -> Result {
    futimesat(thread, [AT_FDCWD, path, times, 0, 0, 0])
}

/// `utime(2)`.
pub fn utime(thread: &Thread, [path, times, ..]: [u64; 6]) -> Result {
    let mut changes = NOW;
    if times != 0 {
        let seconds: [i64; 2] = user::read(times)?;
        changes = seconds.map(|seconds| TimeChange::To(Timestamp { seconds, nanoseconds: 0 }));
    }
    change_times(thread, AT_FDCWD, path, changes, 0)
}

//! Sizes and storage of files: `truncate(2)`, `fallocate(2)`, and what asks for data to be kept.

use alloc::sync::Arc;

use errno::Errno;
use vfs::{Allocate, Final, Inode, Kind, Location, Resolve};

use super::OpenFile;
use super::regular::MAX_OFFSET;
use crate::error::{Result, fail};
use crate::memory::mappers;
use crate::process::Resource;
use crate::signal::{self, Info, number::SIGXFSZ};
use crate::thread::Thread;
use crate::{time, user};

/// Tells a thread that it wanted a file to grow above its limit.
pub fn too_large(thread: &Thread) {
    if let Some(own) = thread.process.thread(thread.tid()) {
        signal::send_to_thread(&own, SIGXFSZ, Info::user(thread));
    }
}

/// Whether a file may get a size.
fn check_growth(thread: &Thread, inode: &dyn Inode, size: u64) -> Result<()> {
    if size > inode.size() && size > thread.process.limits.soft(Resource::FileSize) {
        too_large(thread);
        return fail(Errno::EFBIG);
    }
    Ok(())
}

/// `truncate(2)`.
pub fn truncate(thread: &Thread, [path, size, ..]: [u64; 6]) -> Result {
    if size > MAX_OFFSET {
        return fail(Errno::EINVAL);
    }
    let path = user::read_path(path)?;
    thread.with_context(|context| {
        let location = context.resolve(None, &path, Final::Follow, Resolve::default())?;
        if location.kind() == Kind::File {
            context.check(&location, vfs::Access::WRITE)?;
            check_growth(thread, &**location.inode(), size)?;
        }
        context.truncate(&location, size)?;
        cut_off(thread, location.inode());
        Ok(0)
    })
}

/// Mappings do not show what a file no longer has.
pub fn cut_off(thread: &Thread, inode: &Arc<dyn Inode>) {
    mappers::forget_pages(thread, inode, inode.size(), u64::MAX, true);
}

/// The regular file behind an open one.
fn regular(file: &OpenFile) -> Option<&Location> {
    file.location.as_ref().filter(|location| location.kind() == Kind::File)
}

/// `ftruncate(2)`.
pub fn ftruncate(thread: &Thread, [descriptor, size, ..]: [u64; 6]) -> Result {
    if size > MAX_OFFSET {
        return fail(Errno::EINVAL);
    }
    let file = thread.files().get(descriptor)?;
    let Some(location) = regular(&file).filter(|_| file.may_write()) else {
        return fail(Errno::EINVAL);
    };
    check_growth(thread, &**location.inode(), size)?;
    thread.with_context(|context| context.truncate_open(location, size))?;
    cut_off(thread, location.inode());
    Ok(0)
}

/// `fallocate(2)`.
pub fn fallocate(thread: &Thread, [descriptor, options, offset, length, ..]: [u64; 6]) -> Result {
    const KEEP_SIZE: u32 = 1;
    const PUNCH_HOLE: u32 = 2;
    const ZERO_RANGE: u32 = 0x10;
    /// A storage request is split here, so that no other thread waits for long.
    const STEP: u64 = 16 << 20;
    let file = thread.files().get(descriptor)?;
    let keep_size = options as u32 & KEEP_SIZE != 0;
    if offset > MAX_OFFSET || length > MAX_OFFSET || length == 0 {
        return fail(Errno::EINVAL);
    }
    let how = match options as u32 & !KEEP_SIZE {
        0 => Allocate::Reserve { keep_size },
        PUNCH_HOLE if keep_size => Allocate::PunchHole,
        ZERO_RANGE => Allocate::ZeroRange { keep_size },
        _ => return fail(Errno::EOPNOTSUPP),
    };
    if !file.may_write() {
        return fail(Errno::EBADF);
    }
    let Some(location) = regular(&file) else {
        let kind = super::metadata_of(&file).0.kind;
        return fail(if kind == Kind::Fifo { Errno::ESPIPE } else { Errno::ENODEV });
    };
    let end = offset + length;
    if end > MAX_OFFSET {
        return fail(Errno::EFBIG);
    }
    if !keep_size {
        check_growth(thread, &**location.inode(), end)?;
    }
    let mut start = offset;
    while start < end {
        let next = end.min(start + STEP);
        location.inode().allocate(how, start, next, time::timestamp())?;
        if how == Allocate::PunchHole {
            mappers::forget_pages(thread, location.inode(), start, next, false);
        }
        start = next;
        sched::preempt();
        if start < end && thread.is_interrupted() {
            return Err(crate::error::Fail::Restart);
        }
    }
    thread.with_context(|context| context.strip_set_id(location));
    Ok(0)
}

/// Whether an open file has data that could be kept: there is no storage below memory, so that
/// is all that is left to say.
fn check_kept(file: &Arc<OpenFile>) -> Result {
    match &file.location {
        Some(location) if matches!(location.kind(), Kind::File | Kind::Directory) => Ok(0),
        _ => fail(Errno::EINVAL),
    }
}

/// `fsync(2)`.
pub fn fsync(thread: &Thread, [descriptor, ..]: [u64; 6]) -> Result {
    check_kept(&thread.files().get(descriptor)?)
}

/// `fdatasync(2)`.
pub fn fdatasync(thread: &Thread, arguments: [u64; 6]) -> Result {
    fsync(thread, arguments)
}

/// `sync(2)`.
pub fn sync(_thread: &Thread, _: [u64; 6]) -> Result {
    Ok(0)
}

/// `syncfs(2)`.
pub fn syncfs(thread: &Thread, [descriptor, ..]: [u64; 6]) -> Result {
    thread.files().get(descriptor).map(|_| 0)
}

/// `sync_file_range(2)`.
pub fn sync_file_range(
    thread: &Thread,
    [descriptor, offset, length, options, ..]: [u64; 6],
) -> Result {
    let file = thread.files().get(descriptor)?;
    let end = offset.checked_add(length).filter(|end| *end <= MAX_OFFSET);
    if options as u32 & !7 != 0 || offset > MAX_OFFSET || end.is_none() {
        return fail(Errno::EINVAL);
    }
    match check_kept(&file) {
        Ok(_) => Ok(0),
        Err(_) => fail(Errno::ESPIPE),
    }
}

/// `readahead(2)`: everything is in memory.
pub fn readahead(thread: &Thread, [descriptor, ..]: [u64; 6]) -> Result {
    let file = thread.files().get(descriptor)?;
    if !file.may_read() {
        return fail(Errno::EBADF);
    }
    if regular(&file).is_some() { Ok(0) } else { fail(Errno::EINVAL) }
}

/// `fadvise64(2)`: everything is in memory.
pub fn fadvise64(thread: &Thread, [descriptor, _, length, advice, ..]: [u64; 6]) -> Result {
    const LAST: u32 = 5;
    let file = thread.files().get(descriptor)?;
    if super::metadata_of(&file).0.kind == Kind::Fifo {
        return fail(Errno::ESPIPE);
    }
    if length > MAX_OFFSET || advice as u32 > LAST {
        return fail(Errno::EINVAL);
    }
    Ok(0)
}

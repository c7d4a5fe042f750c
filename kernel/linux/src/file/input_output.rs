//! `read(2)`, `write(2)` and their kin.

use errno::Errno;
use vfs::{Kind, SeekTarget};

use super::regular::MAX_OFFSET;
use crate::error::{Fail, Result, fail};
use crate::memory::TASK_END;
use crate::signal::{self, Info, number::SIGPIPE};
use crate::thread::Thread;
use crate::user::{self, Buffer};

/// A write to a stream that nobody reads raises a signal as well.
pub fn with_broken_pipe(thread: &Thread, result: Result<usize>) -> Result {
    if result == Err(Fail::Errno(Errno::EPIPE))
        && let Some(own) = thread.process.thread(thread.tid())
    {
        signal::send_to_thread(&own, SIGPIPE, Info::user(thread));
    }
    result.map(|count| count as u64)
}

/// A buffer that the program names as a whole. One that reaches out of its memory is refused
/// before anything is done, unless the file refuses first.
fn whole_buffer(allowed: bool, base: u64, length: u64) -> Result<Buffer> {
    let end = base.checked_add(length).filter(|end| *end <= TASK_END);
    if allowed && end.is_none() {
        return fail(Errno::EFAULT);
    }
    Ok(Buffer::new(base, length))
}

/// `read(2)`.
pub fn read(thread: &Thread, [descriptor, buffer, count, ..]: [u64; 6]) -> Result {
    let file = thread.files().get(descriptor)?;
    file.read(thread, &mut whole_buffer(file.may_read(), buffer, count)?).map(|count| count as u64)
}

/// `write(2)`.
pub fn write(thread: &Thread, [descriptor, buffer, count, ..]: [u64; 6]) -> Result {
    let file = thread.files().get(descriptor)?;
    with_broken_pipe(
        thread,
        file.write(thread, &mut whole_buffer(file.may_write(), buffer, count)?),
    )
}

/// `readv(2)`.
pub fn readv(thread: &Thread, [descriptor, array, count, ..]: [u64; 6]) -> Result {
    let file = thread.files().get(descriptor)?;
    file.read(thread, &mut Buffer::from_array(array, count)?).map(|count| count as u64)
}

/// `writev(2)`.
pub fn writev(thread: &Thread, [descriptor, array, count, ..]: [u64; 6]) -> Result {
    let file = thread.files().get(descriptor)?;
    with_broken_pipe(thread, file.write(thread, &mut Buffer::from_array(array, count)?))
}

fn offset_of(offset: u64) -> Result<u64> {
    if offset > MAX_OFFSET { fail(Errno::EINVAL) } else { Ok(offset) }
}

/// `pread64(2)`.
pub fn pread64(thread: &Thread, [descriptor, buffer, count, offset, ..]: [u64; 6]) -> Result {
    let offset = offset_of(offset)?;
    let file = thread.files().get(descriptor)?;
    file.read_at(&mut whole_buffer(file.may_read(), buffer, count)?, offset)
        .map(|count| count as u64)
}

/// `pwrite64(2)`.
pub fn pwrite64(thread: &Thread, [descriptor, buffer, count, offset, ..]: [u64; 6]) -> Result {
    let offset = offset_of(offset)?;
    let file = thread.files().get(descriptor)?;
    file.write_at(&mut whole_buffer(file.may_write(), buffer, count)?, offset)
        .map(|count| count as u64)
}

/// `preadv(2)`.
pub fn preadv(thread: &Thread, [descriptor, array, count, offset, ..]: [u64; 6]) -> Result {
    let offset = offset_of(offset)?;
    let file = thread.files().get(descriptor)?;
    file.read_at(&mut Buffer::from_array(array, count)?, offset).map(|count| count as u64)
}

/// `pwritev(2)`.
pub fn pwritev(thread: &Thread, [descriptor, array, count, offset, ..]: [u64; 6]) -> Result {
    let offset = offset_of(offset)?;
    let file = thread.files().get(descriptor)?;
    file.write_at(&mut Buffer::from_array(array, count)?, offset).map(|count| count as u64)
}

/// Flags of `preadv2(2)` that change nothing a program can see here.
const HARMLESS: u64 = 1 | 2 | 4;

/// `preadv2(2)`.
pub fn preadv2(
    thread: &Thread,
    [descriptor, array, count, offset, _, options]: [u64; 6],
) -> Result {
    const NO_WAIT: u64 = 8;
    if options & !(HARMLESS | NO_WAIT) != 0 {
        return fail(Errno::EOPNOTSUPP);
    }
    if offset == u64::MAX {
        let file = thread.files().get(descriptor)?;
        if options & NO_WAIT != 0 && file.may_read() && !file.file.is_seekable() {
            let mut buffer = Buffer::from_array(array, count)?;
            return file.file.read(&file, &mut buffer, 0).map(|count| count as u64);
        }
        return readv(thread, [descriptor, array, count, 0, 0, 0]);
    }
    preadv(thread, [descriptor, array, count, offset, 0, 0])
}

/// `pwritev2(2)`.
pub fn pwritev2(
    thread: &Thread,
    [descriptor, array, count, offset, _, options]: [u64; 6],
) -> Result {
    const APPEND: u64 = 0x10;
    if options & !(HARMLESS | APPEND) != 0 {
        return fail(Errno::EOPNOTSUPP);
    }
    if options & APPEND != 0 {
        let file = thread.files().get(descriptor)?;
        let moves = offset == u64::MAX;
        let mut buffer = Buffer::from_array(array, count)?;
        return file.append(thread, &mut buffer, moves).map(|count| count as u64);
    }
    if offset == u64::MAX {
        return writev(thread, [descriptor, array, count, 0, 0, 0]);
    }
    pwritev(thread, [descriptor, array, count, offset, 0, 0])
}

/// `lseek(2)`.
pub fn lseek(thread: &Thread, [descriptor, offset, whence, ..]: [u64; 6]) -> Result {
    let file = thread.files().get(descriptor)?;
    if !file.file.is_seekable() {
        return fail(Errno::ESPIPE);
    }
    let inode = file.location.as_ref().map(|location| alloc::sync::Arc::clone(location.inode()));
    let inode = inode.or_else(|| file.mappable().flatten().map(|mapped| mapped.inode));
    let size = inode.as_ref().map_or(0, |inode| inode.size());
    if !file.file.keeps_position() {
        return Ok(0);
    }
    let mut position = file.position();
    let base = match whence as u32 {
        0 => 0,
        1 => *position,
        2 => size,
        whence @ (3 | 4) => {
            let Some(inode) = inode else { return fail(Errno::EINVAL) };
            if offset > MAX_OFFSET || offset >= size {
                return fail(Errno::ENXIO);
            }
            let target = if whence == 3 { SeekTarget::Data } else { SeekTarget::Hole };
            *position = inode.seek(offset, target)?;
            return Ok(*position);
        }
        _ => return fail(Errno::EINVAL),
    };
    let target = (base as i64).checked_add(offset as i64).ok_or(Errno::EINVAL)?;
    *position = u64::try_from(target).map_err(|_| Errno::EINVAL)?;
    Ok(*position)
}

/// `ioctl(2)`.
pub fn ioctl(thread: &Thread, [descriptor, request, argument, ..]: [u64; 6]) -> Result {
    use super::flags;
    const FIONCLEX: u32 = 0x5450;
    const FIOCLEX: u32 = 0x5451;
    const FIONREAD: u32 = 0x541b;
    const FIONBIO: u32 = 0x5421;
    const FIOASYNC: u32 = 0x5452;
    let file = thread.files().get(descriptor)?;
    match request as u32 {
        FIONCLEX | FIOCLEX => {
            let close = u64::from(request as u32 == FIOCLEX);
            super::fcntl(thread, [descriptor, 2, close, 0, 0, 0])
        }
        FIONBIO | FIOASYNC => {
            let on: u32 = user::read(argument)?;
            let flag = if request as u32 == FIONBIO { flags::NONBLOCK } else { flags::ASYNC };
            let new = if on != 0 { file.flags() | flag } else { file.flags() & !flag };
            file.set_flags(new);
            Ok(0)
        }
        FIONREAD if file.location.as_ref().is_some_and(|place| place.kind() == Kind::File) => {
            let size = file.location.as_ref().map_or(0, |place| place.inode().size());
            let left = size.saturating_sub(*file.position());
            user::write(argument, &(left as u32))?;
            Ok(0)
        }
        request => file.file.ioctl(thread, request, argument),
    }
}

//! `splice(2)`, `tee(2)`, `vmsplice(2)`: bytes between pipes and files. They are copied once
//! through the kernel.

use alloc::sync::Arc;

use errno::Errno;

use super::pipe::{Pipe, PipeEnd};
use super::{OpenFile, flags};
use crate::error::{Fail, Result, fail};
use crate::thread::Thread;
use crate::user::{self, Buffer, Bytes, Collected};

const NONBLOCK: u64 = 2;
/// All flags: move, non-blocking, more, gift.
const KNOWN: u64 = 15;
/// The most bytes that move at once.
const STEP: usize = 64 << 10;

fn pipe_of(open: &OpenFile) -> Option<&Arc<Pipe>> {
    open.file.as_any().downcast_ref::<PipeEnd>().map(|end| &end.pipe)
}

fn may_wait(open: &OpenFile, options: u64) -> bool {
    options & NONBLOCK == 0 && open.flags() & flags::NONBLOCK == 0
}

/// Waits until a pipe takes bytes; gives how many it takes now, up to `limit`.
fn wait_for_space(
    thread: &Thread,
    open: &OpenFile,
    pipe: &Pipe,
    options: u64,
    limit: usize,
) -> Result<usize> {
    let space =
        open.wait_for(thread, may_wait(open, options), u64::MAX, || match pipe.space()? {
            0 => fail(Errno::EAGAIN),
            space => Ok(space),
        });
    if space == Err(Fail::Errno(Errno::EPIPE)) {
        super::with_broken_pipe(thread, fail(Errno::EPIPE))?;
    }
    Ok(space?.min(limit).min(STEP))
}

/// From a pipe to another, taking the bytes or leaving them there.
fn between_pipes(
    thread: &Thread,
    [from, to]: [(&OpenFile, &Pipe); 2],
    length: usize,
    options: u64,
    take: bool,
) -> Result {
    let wait = may_wait(from.0, options) && may_wait(to.0, options);
    let ready = from.0.wait_for(thread, wait, u64::MAX, || from.1.peek(1))?;
    if ready.is_empty() {
        return Ok(0);
    }
    let options = if wait { options } else { options | NONBLOCK };
    let space = wait_for_space(thread, to.0, to.1, options, length)?;
    let bytes = from.1.peek(space)?;
    let moved = super::with_broken_pipe(thread, to.1.write(&mut Bytes(&bytes), false))?;
    if take {
        from.1.read(&mut Collected::new(moved as usize))?;
    }
    Ok(moved)
}

/// An offset that may be left out: where the file's own position counts.
fn offset_at(address: u64) -> Result<Option<u64>> {
    if address == 0 {
        return Ok(None);
    }
    let offset: u64 = user::read(address)?;
    if offset > i64::MAX as u64 { fail(Errno::EINVAL) } else { Ok(Some(offset)) }
}

fn from_file(
    thread: &Thread,
    from: (&OpenFile, u64),
    to: (&OpenFile, &Pipe),
    length: usize,
    options: u64,
) -> Result {
    let offset = offset_at(from.1)?;
    let space = wait_for_space(thread, to.0, to.1, options, length)?;
    let mut bytes = Collected::new(space);
    match offset {
        Some(offset) => {
            let count = from.0.read_at(&mut bytes, offset)?;
            user::write(from.1, &(offset + count as u64))?;
        }
        None => drop(from.0.read(thread, &mut bytes)?),
    }
    super::with_broken_pipe(thread, to.1.write(&mut Bytes(&bytes.bytes), false))
}

fn to_file(
    thread: &Thread,
    from: (&OpenFile, &Pipe),
    to: (&OpenFile, u64),
    length: usize,
    options: u64,
) -> Result {
    let offset = offset_at(to.1)?;
    let wanted = length.min(STEP);
    let wait = may_wait(from.0, options);
    let bytes = from.0.wait_for(thread, wait, u64::MAX, || from.1.peek(wanted))?;
    if bytes.is_empty() {
        return Ok(0);
    }
    let count = match offset {
        Some(offset) => {
            let count = to.0.write_at(&mut Bytes(&bytes), offset)?;
            user::write(to.1, &(offset + count as u64))?;
            count
        }
        None => super::with_broken_pipe(thread, to.0.write(thread, &mut Bytes(&bytes)))? as usize,
    };
    // Only what was written has left the pipe.
    from.1.read(&mut Collected::new(count))?;
    Ok(count as u64)
}

/// `splice(2)`.
pub fn splice(
    thread: &Thread,
    [from, from_offset, to, to_offset, length, options]: [u64; 6],
) -> Result {
    if length == 0 {
        return Ok(0);
    }
    if options & !KNOWN != 0 {
        return fail(Errno::EINVAL);
    }
    let from = thread.files().get(from)?;
    let to = thread.files().get(to)?;
    let (source, target) = (pipe_of(&from), pipe_of(&to));
    if (source.is_some() && from_offset != 0) || (target.is_some() && to_offset != 0) {
        return fail(Errno::ESPIPE);
    }
    if !from.may_read() || !to.may_write() {
        return fail(Errno::EBADF);
    }
    let length = length.min(user::MAX_TRANSFER) as usize;
    match (source, target) {
        (Some(source), Some(target)) if Arc::ptr_eq(source, target) => fail(Errno::EINVAL),
        (Some(source), Some(target)) => {
            between_pipes(thread, [(&from, source), (&to, target)], length, options, true)
        }
        (Some(source), None) => {
            if to.flags() & flags::APPEND != 0 {
                return fail(Errno::EINVAL);
            }
            to_file(thread, (&from, source), (&to, to_offset), length, options)
        }
        (None, Some(target)) => {
            from_file(thread, (&from, from_offset), (&to, target), length, options)
        }
        (None, None) => fail(Errno::EINVAL),
    }
}

/// `tee(2)`.
pub fn tee(thread: &Thread, [from, to, length, options, ..]: [u64; 6]) -> Result {
    if options & !KNOWN != 0 {
        return fail(Errno::EINVAL);
    }
    if length == 0 {
        return Ok(0);
    }
    let from = thread.files().get(from)?;
    let to = thread.files().get(to)?;
    if !from.may_read() || !to.may_write() {
        return fail(Errno::EBADF);
    }
    match (pipe_of(&from), pipe_of(&to)) {
        (Some(source), Some(target)) if !Arc::ptr_eq(source, target) => {
            let length = length.min(user::MAX_TRANSFER) as usize;
            between_pipes(thread, [(&from, source), (&to, target)], length, options, false)
        }
        _ => fail(Errno::EINVAL),
    }
}

/// `vmsplice(2)`.
pub fn vmsplice(thread: &Thread, [descriptor, array, count, options, ..]: [u64; 6]) -> Result {
    if options & !KNOWN != 0 {
        return fail(Errno::EINVAL);
    }
    let open = thread.files().get(descriptor)?;
    let Some(pipe) = pipe_of(&open) else { return fail(Errno::EBADF) };
    let mut buffer = Buffer::from_array(array, count)?;
    if buffer.is_done() {
        return Ok(0);
    }
    let wait = may_wait(&open, options);
    if open.may_write() {
        let result = open.wait_for(thread, wait, u64::MAX, || pipe.write(&mut buffer, false));
        super::with_broken_pipe(thread, result)
    } else {
        let result = open.wait_for(thread, wait, u64::MAX, || pipe.read(&mut buffer));
        result.map(|count| count as u64)
    }
}

//! Copying between files: `sendfile(2)`, `copy_file_range(2)`.

use alloc::sync::Arc;

use errno::Errno;
use vfs::Kind;

use super::regular::MAX_OFFSET;
use super::{OpenFile, flags};
use crate::error::{Fail, Result, fail};
use crate::thread::Thread;
use crate::user::{self, Bytes, Collected, MAX_TRANSFER};

/// Bytes that are copied in one step.
const STEP: u64 = 64 << 10;

fn kind_of(file: &OpenFile) -> Option<Kind> {
    file.location.as_ref().map(|location| location.kind())
}

/// Where a file is read or written: at a place that the program keeps, or at its own position.
struct Place {
    address: u64,
    position: u64,
}

impl Place {
    fn new(file: &OpenFile, address: u64) -> Result<Self> {
        let position = if address == 0 { *file.position() } else { user::read(address)? };
        if position > MAX_OFFSET {
            return fail(Errno::EINVAL);
        }
        Ok(Self { address, position })
    }

    fn store(&self, file: &OpenFile) -> Result<()> {
        if self.address == 0 {
            *file.position() = self.position;
            return Ok(());
        }
        user::write(self.address, &self.position)
    }
}

/// Copies in steps: `write` takes what was read and says how much of it.
fn copy(
    thread: &Thread,
    from: &OpenFile,
    place: &mut Place,
    count: u64,
    mut write: impl FnMut(&[u8]) -> Result<usize>,
) -> Result {
    let mut done = 0;
    let result = loop {
        if done == count {
            break Ok(());
        }
        if done > 0 && thread.is_interrupted() {
            break Err(Fail::Restart);
        }
        let mut collected = Collected::new((count - done).min(STEP) as usize);
        match from.read_at(&mut collected, place.position) {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
        match write(&collected.bytes) {
            Ok(0) => break Ok(()),
            Ok(written) => {
                done += written as u64;
                place.position += written as u64;
                if written < collected.bytes.len() {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    match result {
        Err(error) if done == 0 => Err(error),
        _ => Ok(done),
    }
}

/// `sendfile(2)`.
pub fn sendfile(thread: &Thread, [to, from, offset, count, ..]: [u64; 6]) -> Result {
    let source = thread.files().get(from)?;
    if !source.may_read() {
        return fail(Errno::EBADF);
    }
    if offset != 0 && !source.file.is_seekable() {
        return fail(Errno::ESPIPE);
    }
    let target = thread.files().get(to)?;
    if !target.may_write() {
        return fail(Errno::EBADF);
    }
    if kind_of(&source) != Some(Kind::File) || target.flags() & flags::APPEND != 0 {
        return fail(Errno::EINVAL);
    }
    let mut place = Place::new(&source, offset)?;
    let count = count.min(MAX_TRANSFER);
    let done =
        copy(thread, &source, &mut place, count, |bytes| target.write(thread, &mut Bytes(bytes)))?;
    place.store(&source)?;
    Ok(done)
}

fn is_same(one: &OpenFile, two: &OpenFile) -> bool {
    match (&one.location, &two.location) {
        (Some(one), Some(two)) => Arc::ptr_eq(one.inode(), two.inode()),
        _ => false,
    }
}

/// `copy_file_range(2)`.
pub fn copy_file_range(
    thread: &Thread,
    [from, from_offset, to, to_offset, count, options]: [u64; 6],
) -> Result {
    let source = thread.files().get(from)?;
    let target = thread.files().get(to)?;
    let mut place = Place::new(&source, from_offset)?;
    let mut goal = Place::new(&target, to_offset)?;
    if options != 0 {
        return fail(Errno::EINVAL);
    }
    for file in [&source, &target] {
        match kind_of(file) {
            Some(Kind::File) => {}
            Some(Kind::Directory) => return fail(Errno::EISDIR),
            _ => return fail(Errno::EINVAL),
        }
    }
    if !source.may_read() || !target.may_write() || target.flags() & flags::APPEND != 0 {
        return fail(Errno::EBADF);
    }
    if place.position.checked_add(count).is_none() || goal.position.checked_add(count).is_none() {
        return fail(Errno::EOVERFLOW);
    }
    // Files without a size, as those of `/proc`, are for `read(2)`.
    let size = source.location.as_ref().map_or(0, |location| location.inode().size());
    let count = count.min(MAX_TRANSFER).min(size.saturating_sub(place.position));
    let distance = place.position.abs_diff(goal.position);
    if is_same(&source, &target) && distance < count {
        return fail(Errno::EINVAL);
    }
    let position = &mut goal.position;
    let done = copy(thread, &source, &mut place, count, |bytes| {
        let written = target.write_at(&mut Bytes(bytes), *position)?;
        *position += written as u64;
        Ok(written)
    })?;
    place.store(&source)?;
    goal.store(&target)?;
    Ok(done)
}

//! Regular files (and what reads like one).

use alloc::sync::Arc;
use core::any::Any;

use errno::Errno;
use hal::PhysAddr;
use spin::Once;
use vfs::{Inode, Intent, Location, PAGE_SIZE, WriteAccess, mode};

use super::attached::{Attached, attached};
use super::{File, OpenFile, too_large};
use crate::error::{Result, fail};
use crate::memory::Mapped;
use crate::process::Resource;
use crate::thread::with_current;
use crate::time;
use crate::user::{Sink, Source};

/// The largest offset of a file.
pub const MAX_OFFSET: u64 = i64::MAX as u64;

/// A file whose content is in pages.
pub struct RegularFile {
    inode: Arc<dyn Inode>,
    location: Option<Location>,
    attached: Once<Arc<Attached>>,
    _write: Option<WriteAccess>,
}

impl RegularFile {
    /// The file at a location, or one without a name; with `write` if it is open for writing.
    pub fn new(
        inode: Arc<dyn Inode>,
        location: Option<Location>,
        write: Option<WriteAccess>,
    ) -> Self {
        Self { inode, location, attached: Once::new(), _write: write }
    }
}

/// Pages that one look at a file gives at most: a copy then runs over 1 MiB.
const RUN: u64 = 256;

/// Reads from an inode's pages.
pub fn read_pages(inode: &dyn Inode, to: &mut dyn Sink, position: u64) -> Result<usize> {
    let mut done = 0u64;
    loop {
        let at = position + done;
        let size = inode.size();
        let wanted = to.room().min(size.saturating_sub(at));
        if wanted == 0 {
            return Ok(done as usize);
        }
        let first = at / PAGE_SIZE;
        let offset = at % PAGE_SIZE;
        let pages = (offset + wanted).div_ceil(PAGE_SIZE).min(RUN);
        let extent = match inode.extent(first, pages as usize, Intent::Read) {
            Ok(extent) => extent,
            Err(_) if done > 0 => return Ok(done as usize),
            Err(errno) => return fail(errno),
        };
        let length = wanted.min(extent.pages() as u64 * PAGE_SIZE - offset);
        match to.put_frames(PhysAddr(extent.phys() + offset), length as usize) {
            Ok(count) => {
                done += count as u64;
                if (count as u64) < length {
                    return Ok(done as usize);
                }
            }
            Err(_) if done > 0 => return Ok(done as usize),
            Err(error) => return Err(error),
        }
    }
}

/// Writes to an inode's pages, up to `limit`.
pub fn write_pages(
    inode: &dyn Inode,
    from: &mut dyn Source,
    position: u64,
    limit: u64,
) -> Result<usize> {
    let total = from.left();
    if total == 0 {
        return Ok(0);
    }
    if position >= limit.min(MAX_OFFSET) {
        return fail(Errno::EFBIG);
    }
    let end = position.saturating_add(total).min(limit).min(MAX_OFFSET);
    inode.begin_write(position, end)?;
    let mut at = position;
    let mut result = Ok(());
    while at < end {
        let offset = at % PAGE_SIZE;
        let pages = (offset + (end - at)).div_ceil(PAGE_SIZE).min(RUN);
        let extent = match inode.extent(at / PAGE_SIZE, pages as usize, Intent::Write) {
            Ok(extent) => extent,
            Err(errno) => {
                result = fail(errno);
                break;
            }
        };
        let length = (end - at).min(extent.pages() as u64 * PAGE_SIZE - offset);
        match from.get_frames(PhysAddr(extent.phys() + offset), length as usize) {
            Ok(count) => {
                at += count as u64;
                // What was copied counts, also when more was to come.
                inode.written(position, at, time::timestamp());
                if (count as u64) < length {
                    break;
                }
            }
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    inode.written(position, at, time::timestamp());
    if at > position { Ok((at - position) as usize) } else { result.map(|()| 0) }
}

impl File for RegularFile {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, position: u64) -> Result<usize> {
        let count = read_pages(&*self.inode, to, position)?;
        if count > 0
            && let Some(location) = &self.location
        {
            location.accessed(time::timestamp());
        }
        Ok(count)
    }

    fn write(&self, _open: &OpenFile, from: &mut dyn Source, position: u64) -> Result<usize> {
        let limit = with_current(|thread| thread.process.limits.soft(Resource::FileSize));
        let limit = limit.unwrap_or(u64::MAX);
        if position >= limit && from.left() > 0 {
            with_current(too_large);
            return fail(Errno::EFBIG);
        }
        let count = write_pages(&*self.inode, from, position, limit)?;
        const SET_ID: u16 = mode::SET_UID | mode::SET_GID;
        if count > 0
            && self.inode.access().2 & SET_ID != 0
            && let Some(location) = &self.location
        {
            with_current(|thread| {
                thread.with_context(|context| context.strip_set_id(location));
            });
        }
        Ok(count)
    }

    fn write_order(&self) -> Option<&sched::Mutex<()>> {
        Some(&self.attached.call_once(|| attached(&*self.inode)).writing)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn mappable(&self) -> Option<Option<Mapped>> {
        Some(Some(Mapped { inode: Arc::clone(&self.inode), location: self.location.clone() }))
    }

    fn label(&self) -> alloc::string::String {
        "/memfd: (deleted)".into()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A file whose content is made when it is read, as those of `/proc`.
pub struct GeneratedFile(pub Arc<dyn vfs::Content>);

impl File for GeneratedFile {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, position: u64) -> Result<usize> {
        let mut done = 0;
        let mut chunk = [0; 1024];
        while to.room() > 0 {
            let wanted = chunk.len().min(to.room() as usize);
            let count = self.0.read(position + done as u64, &mut chunk[..wanted])?;
            if count == 0 {
                break;
            }
            let taken = to.put(&chunk[..count])?;
            done += taken;
            if taken < count {
                break;
            }
        }
        Ok(done)
    }

    fn write(&self, _open: &OpenFile, from: &mut dyn Source, position: u64) -> Result<usize> {
        let mut bytes = alloc::vec![0; from.left().min(64 << 10) as usize];
        let count = from.get(&mut bytes)?;
        Ok(self.0.write(position, &bytes[..count])?)
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

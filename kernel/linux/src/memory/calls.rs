//! `mmap(2)` and its kin.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use errno::Errno;
use hal::{Backing, PAGE_SIZE, Protection, Range};
use vfs::{Kind, seals};

use super::areas::{Area, Areas, Content, OnFork};
use super::place::{self, is_usable};
use super::{Mapped, Memory, lock, map_content, mappers, page_up};
use crate::error::{Result, fail};
use crate::thread::Thread;

const PROT_READ: u64 = 1;
const PROT_WRITE: u64 = 2;
const PROT_EXEC: u64 = 4;
const PROT_GROWSDOWN: u64 = 0x0100_0000;

const MAP_SHARED: u64 = 1;
const MAP_PRIVATE: u64 = 2;
const MAP_SHARED_VALIDATE: u64 = 3;
const MAP_FIXED: u64 = 0x10;
const MAP_ANONYMOUS: u64 = 0x20;
const MAP_32BIT: u64 = 0x40;
const MAP_GROWSDOWN: u64 = 0x100;
const MAP_LOCKED: u64 = 0x2000;
const MAP_FIXED_NOREPLACE: u64 = 0x10_0000;

/// The most areas of a process, as Linux's default.
const MAX_AREAS: usize = 65_530;

/// Turns `prot` bits into a protection.
pub fn protection(bits: u64) -> Protection {
    Protection {
        read: bits & PROT_READ != 0,
        write: bits & PROT_WRITE != 0,
        execute: bits & PROT_EXEC != 0,
    }
}

pub fn range_of(address: u64, length: u64) -> Result<Range> {
    let length = page_up(length);
    match address.checked_add(length) {
        Some(end) if length > 0 => Ok(Range { start: address, end }),
        _ => fail(Errno::EINVAL),
    }
}

impl Memory {
    /// Maps `length` bytes (whole pages) at `range`, replacing what was there.
    pub fn map_at(
        &self,
        areas: &mut Areas,
        range: Range,
        protection: Protection,
        shared: bool,
        content: Option<(Mapped, u64)>,
        label: &'static str,
    ) -> Result<()> {
        if areas.count() >= MAX_AREAS {
            return fail(Errno::ENOMEM);
        }
        let removed = areas.remove(range);
        let content = match content {
            None => {
                hal::space_map(range, Backing::Anonymous, protection)?;
                Content::Anonymous
            }
            Some((file, offset)) => {
                if !removed.is_empty() {
                    hal::space_unmap(range)?;
                }
                mappers::add(&self.own, &*file.inode);
                let extents = map_content(range, &file.inode, offset, shared, protection)?;
                Content::File { file, offset, extents: Arc::new(sched::Mutex::new(extents)) }
            }
        };
        // Only now may what was mapped before be freed.
        drop(removed);
        let area = Area {
            end: range.end,
            protection,
            shared,
            may_write: true,
            content,
            label,
            on_fork: OnFork::Copy,
            grows_down: false,
            locked: self.locks_future.load(Ordering::Relaxed),
        };
        areas.insert(range.start, area);
        Ok(())
    }

    /// Removes what is mapped in a range.
    pub fn unmap(&self, areas: &mut Areas, range: Range) -> Result<()> {
        let removed = areas.remove(range);
        if !removed.is_empty() {
            hal::space_unmap(range)?;
        }
        drop(removed);
        Ok(())
    }
}

/// `mmap(2)`.
pub fn mmap(
    thread: &Thread,
    [address, length, prot, flags, descriptor, offset]: [u64; 6],
) -> Result {
    if length == 0 || !offset.is_multiple_of(PAGE_SIZE) {
        return fail(Errno::EINVAL);
    }
    let length = page_up(length);
    if length > super::layout::TASK_END {
        return fail(Errno::ENOMEM);
    }
    let shared = match flags & 15 {
        MAP_SHARED | MAP_SHARED_VALIDATE => true,
        MAP_PRIVATE => false,
        _ => return fail(Errno::EINVAL),
    };
    let protection = protection(prot);
    let mut may_write = true;
    let content = if flags & MAP_ANONYMOUS != 0 {
        if shared { Some((crate::file::memory_file(length)?, 0)) } else { None }
    } else {
        let file = thread.files().get(descriptor)?;
        if !file.may_read() || (shared && protection.write && !file.may_write()) {
            return fail(Errno::EACCES);
        }
        may_write = !shared || file.may_write();
        if let Some(Some(mapped)) = file.mappable()
            && shared
            && mapped.inode.seals().is_ok_and(|set| set & seals::FUTURE_WRITE != 0)
        {
            if protection.write {
                return fail(Errno::EPERM);
            }
            may_write = false;
        }
        match file.mappable() {
            // `/dev/zero`, in effect.
            Some(None) if shared => Some((crate::file::memory_file(length)?, 0)),
            Some(None) => None,
            Some(Some(mapped)) if mapped.inode.kind() == Kind::File => {
                if offset.checked_add(length).is_none() {
                    return fail(Errno::EOVERFLOW);
                }
                Some((mapped, offset))
            }
            _ => return fail(Errno::ENODEV),
        }
    };
    let memory = thread.memory();
    let mut areas = memory.areas.lock();
    let range = if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) != 0 {
        if !address.is_multiple_of(PAGE_SIZE) {
            return fail(Errno::EINVAL);
        }
        let range = range_of(address, length).map_err(|_| Errno::ENOMEM)?;
        if address < place::LOWEST {
            return fail(Errno::EPERM);
        }
        if !is_usable(range) {
            return fail(Errno::ENOMEM);
        }
        if flags & MAP_FIXED_NOREPLACE != 0 && areas.overlapping(range).next().is_some() {
            return fail(Errno::EEXIST);
        }
        range
    } else if flags & MAP_32BIT != 0 {
        place::find_low(&areas, length).ok_or(Errno::ENOMEM)?
    } else {
        let hint = address & !(PAGE_SIZE - 1);
        place::find(&areas, hint, memory.layout().map_top, length).ok_or(Errno::ENOMEM)?
    };
    if thread.process.limits.address_space() < areas.total().saturating_add(length) {
        return fail(Errno::ENOMEM);
    }
    let asked = flags & MAP_LOCKED != 0;
    let locked = lock::check_new(thread, &memory, areas.locked(), length, asked)?;
    let grows_down = flags & MAP_GROWSDOWN != 0 && content.is_none();
    memory.map_at(&mut areas, range, protection, shared, content, "")?;
    if !may_write || locked || grows_down {
        areas.update(range, |area| {
            area.may_write = may_write;
            area.locked = locked;
            area.grows_down = grows_down;
        });
    }
    Ok(range.start)
}

/// `munmap(2)`.
pub fn munmap(thread: &Thread, [address, length, ..]: [u64; 6]) -> Result {
    if !address.is_multiple_of(PAGE_SIZE) {
        return fail(Errno::EINVAL);
    }
    let range = range_of(address, length)?;
    if range.end > super::layout::TASK_END {
        return fail(Errno::EINVAL);
    }
    let memory = thread.memory();
    let mut areas = memory.areas.lock();
    memory.unmap(&mut areas, range)?;
    Ok(0)
}

/// `mprotect(2)`.
pub fn mprotect(thread: &Thread, [address, length, prot, ..]: [u64; 6]) -> Result {
    if !address.is_multiple_of(PAGE_SIZE)
        || prot & !(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN) != 0
    {
        return fail(Errno::EINVAL);
    }
    if length == 0 {
        return Ok(0);
    }
    let range = range_of(address, length).map_err(|_| Errno::ENOMEM)?;
    let protection = protection(prot);
    let memory = thread.memory();
    let mut areas = memory.areas.lock();
    // Linux changes what it can before it meets a hole.
    let mut position = range.start;
    let mut result = Ok(0);
    let parts: alloc::vec::Vec<_> =
        areas.overlapping(range).map(|(start, area)| (start, area.end, area.may_write)).collect();
    for (start, end, may_write) in parts {
        if start > position {
            break;
        }
        if protection.write && !may_write {
            result = fail(Errno::EACCES);
            break;
        }
        let part = Range { start: start.max(range.start), end: end.min(range.end) };
        change_protection(&mut areas, part, protection)?;
        position = end;
    }
    if result.is_ok() && position < range.end {
        return fail(Errno::ENOMEM);
    }
    result
}

/// Changes the protection of a range inside one area.
fn change_protection(areas: &mut Areas, range: Range, protection: Protection) -> Result<()> {
    let Some((start, area)) = areas.find(range.start) else { return Ok(()) };
    let remap = match &area.content {
        // The file's pages must become its own before a program can store to them; of holes
        // nothing is mapped whose protection could be changed.
        Content::File { file, offset, .. } if area.shared => {
            Some((file.inode.clone(), offset + (range.start - start)))
        }
        _ => None,
    };
    match remap {
        Some((inode, offset)) => {
            let extents = map_content(range, &inode, offset, true, protection)?;
            let extents = Arc::new(sched::Mutex::new(extents));
            areas.update(range, |area| {
                area.protection = protection;
                if let Content::File { extents: kept, .. } = &mut area.content {
                    *kept = Arc::clone(&extents);
                }
            });
        }
        None => {
            protect_mapped(area, start, range, protection)?;
            areas.update(range, |area| area.protection = protection);
        }
    }
    Ok(())
}

/// Changes the platform's protection: only of what is mapped there, as behind the end of a
/// file nothing is.
fn protect_mapped(area: &Area, start: u64, range: Range, protection: Protection) -> Result<()> {
    let mut range = range;
    if let Content::File { file, offset, .. } = &area.content {
        let shown = page_up(file.inode.size()).saturating_sub(*offset);
        range.end = range.end.min(start.saturating_add(shown));
    }
    if range.start < range.end {
        hal::space_protect(range, protection)?;
    }
    Ok(())
}

/// `brk(2)`: gives the end of the heap, moved if it could be.
pub fn brk(thread: &Thread, [wanted, ..]: [u64; 6]) -> Result {
    let memory = thread.memory();
    let mut areas = memory.areas.lock();
    let current = memory.heap_end.load(Ordering::Relaxed);
    let start = memory.layout().heap_start;
    if wanted < start || wanted - start > thread.process.limits.data() {
        return Ok(current);
    }
    let (old, new) = (page_up(current), page_up(wanted));
    if new > old {
        let length = new - old;
        let locked = lock::check_new(thread, &memory, areas.locked(), length, false);
        if areas.total() + length > thread.process.limits.address_space() || locked.is_err() {
            return Ok(current);
        }
        let range = Range { start: old, end: new };
        if !is_usable(range) || areas.overlapping(range).next().is_some() {
            return Ok(current);
        }
        if memory.map_at(&mut areas, range, Protection::READ_WRITE, false, None, "[heap]").is_err()
        {
            return Ok(current);
        }
    } else if new < old {
        memory.unmap(&mut areas, Range { start: new, end: old })?;
    }
    memory.heap_end.store(wanted, Ordering::Relaxed);
    Ok(wanted)
}

const MREMAP_MAYMOVE: u64 = 1;
const MREMAP_FIXED: u64 = 2;
const MREMAP_DONTUNMAP: u64 = 4;

/// `mremap(2)`.
pub fn mremap(
    thread: &Thread,
    [address, old_length, new_length, flags, new_address, _]: [u64; 6],
) -> Result {
    if !address.is_multiple_of(PAGE_SIZE)
        || flags & !(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) != 0
        || (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) != 0 && flags & MREMAP_MAYMOVE == 0)
        || (flags & MREMAP_DONTUNMAP != 0 && page_up(old_length) != page_up(new_length))
    {
        return fail(Errno::EINVAL);
    }
    let (old_length, new_length) = (page_up(old_length), page_up(new_length));
    if new_length == 0 {
        return fail(Errno::EINVAL);
    }
    let memory = thread.memory();
    let mut areas = memory.areas.lock();
    let Some((start, area)) = areas.find(address) else { return fail(Errno::EFAULT) };
    let area = area.clone();
    if old_length == 0 && !area.shared {
        return fail(Errno::EINVAL);
    }
    let old = Range { start: address, end: address.checked_add(old_length).ok_or(Errno::EINVAL)? };
    if old.end > area.end {
        return fail(Errno::EFAULT);
    }
    let file_offset = |at: u64| match &area.content {
        Content::File { file, offset, .. } => Some((file.clone(), offset + (at - start))),
        Content::Anonymous => None,
    };
    if flags & MREMAP_FIXED != 0 {
        let new = Range {
            start: new_address,
            end: new_address.checked_add(new_length).ok_or(Errno::EINVAL)?,
        };
        let apart = new.end <= old.start || new.start >= old.end;
        if !new_address.is_multiple_of(PAGE_SIZE) || !is_usable(new) || !apart {
            return fail(Errno::EINVAL);
        }
        memory.unmap(&mut areas, new)?;
        return move_area(&memory, &mut areas, old, new, &area, file_offset(address), flags);
    }
    if new_length <= old_length && flags & MREMAP_DONTUNMAP == 0 {
        if new_length < old_length {
            memory.unmap(&mut areas, Range { start: address + new_length, end: old.end })?;
        }
        return Ok(address);
    }
    // Grow in place if there is room behind.
    let grown =
        Range { start: old.end, end: address.checked_add(new_length).ok_or(Errno::ENOMEM)? };
    if flags & MREMAP_DONTUNMAP == 0
        && old.end == area.end
        && old_length > 0
        && is_usable(grown)
        && areas.overlapping(grown).next().is_none()
    {
        let content = file_offset(grown.start);
        memory.map_at(&mut areas, grown, area.protection, area.shared, content, area.label)?;
        return Ok(address);
    }
    if flags & MREMAP_MAYMOVE == 0 {
        return fail(Errno::ENOMEM);
    }
    let new = place::find(&areas, 0, memory.layout().map_top, new_length).ok_or(Errno::ENOMEM)?;
    move_area(&memory, &mut areas, old, new, &area, file_offset(address), flags)
}

fn move_area(
    memory: &Memory,
    areas: &mut Areas,
    old: Range,
    new: Range,
    area: &Area,
    content: Option<(Mapped, u64)>,
    flags: u64,
) -> Result {
    if old.start == old.end {
        // A second view of shared memory.
        memory.map_at(areas, new, area.protection, area.shared, content, area.label)?;
        return Ok(new.start);
    }
    if content.is_some() && area.shared {
        // The content is in the file: show it elsewhere.
        memory.map_at(areas, new, area.protection, true, content, area.label)?;
        memory.unmap(areas, old)?;
        return Ok(new.start);
    }
    let moved = old.len().min(new.len());
    hal::space_move(Range::new(old.start, moved), Range::new(new.start, moved))?;
    let kept = areas.remove(old);
    if old.len() > moved {
        hal::space_unmap(Range { start: old.start + moved, end: old.end })?;
    }
    for (start, mut part) in kept {
        if start - old.start < moved {
            let to = new.start + (start - old.start);
            part.end = (part.end - old.start).min(moved) + new.start;
            areas.insert(to, part);
        }
    }
    if new.len() > moved {
        let rest = Range { start: new.start + moved, end: new.end };
        let content = content.map(|(file, offset)| (file, offset + moved));
        memory.map_at(areas, rest, area.protection, area.shared, content, area.label)?;
    }
    if flags & MREMAP_DONTUNMAP != 0 {
        memory.map_at(areas, old, area.protection, false, None, area.label)?;
    }
    Ok(new.start)
}

/// `msync(2)`: shared mappings are the files' own pages, so there is nothing to write back.
pub fn msync(thread: &Thread, [address, length, flags, ..]: [u64; 6]) -> Result {
    const ASYNC_AND_SYNC: u64 = 5;
    if !address.is_multiple_of(PAGE_SIZE)
        || flags & !7 != 0
        || flags & ASYNC_AND_SYNC == ASYNC_AND_SYNC
    {
        return fail(Errno::EINVAL);
    }
    if length == 0 {
        return Ok(0);
    }
    let range = range_of(address, length).map_err(|_| Errno::ENOMEM)?;
    let memory = thread.memory();
    let areas = memory.areas.lock();
    const INVALIDATE: u64 = 2;
    if flags & INVALIDATE != 0 && areas.locked_in(range) > 0 {
        return fail(Errno::EBUSY);
    }
    if areas.covers(range) { Ok(0) } else { fail(Errno::ENOMEM) }
}

/// `mincore(2)`: all that is mapped counts as resident.
pub fn mincore(thread: &Thread, [address, length, vector, ..]: [u64; 6]) -> Result {
    if !address.is_multiple_of(PAGE_SIZE) {
        return fail(Errno::EINVAL);
    }
    if length == 0 {
        return Ok(0);
    }
    let range = range_of(address, length).map_err(|_| Errno::ENOMEM)?;
    if !thread.memory().areas.lock().covers(range) {
        return fail(Errno::ENOMEM);
    }
    let ones = [1u8; 256];
    let mut left = (range.len() / PAGE_SIZE) as usize;
    let mut position = vector;
    while left > 0 {
        let count = left.min(ones.len());
        crate::user::write_bytes(position, &ones[..count])?;
        position += count as u64;
        left -= count;
    }
    Ok(0)
}

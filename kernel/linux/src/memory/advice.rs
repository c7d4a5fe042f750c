//! `madvise(2)`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;
use hal::{PAGE_SIZE, Range};
use vfs::{Allocate, Inode};

use super::areas::{Areas, Content, OnFork};
use super::{calls::range_of, mappers};
use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::time;

const DONTNEED: u64 = 4;
const FREE: u64 = 8;
const REMOVE: u64 = 9;
const DONTFORK: u64 = 10;
const DOFORK: u64 = 11;
const WIPEONFORK: u64 = 18;
const KEEPONFORK: u64 = 19;
const DONTNEED_LOCKED: u64 = 24;

/// `madvise(2)`.
pub fn madvise(thread: &Thread, [address, length, advice, ..]: [u64; 6]) -> Result {
    if !address.is_multiple_of(PAGE_SIZE) {
        return fail(Errno::EINVAL);
    }
    // Advice that changes nothing a program can see: sequential, random, willneed, huge pages,
    // same-page merging, dumping, populating.
    let harmless = matches!(advice, 0..=3 | 12..=17 | 20..=23 | 25);
    let known = matches!(advice, DONTNEED | FREE | REMOVE | DONTFORK | DOFORK | DONTNEED_LOCKED)
        || matches!(advice, WIPEONFORK | KEEPONFORK);
    if !harmless && !known {
        return fail(Errno::EINVAL);
    }
    if length == 0 {
        return Ok(0);
    }
    let range = range_of(address, length)?;
    let memory = thread.memory();
    let mut areas = memory.areas.lock();
    let whole = areas.covers(range);
    let mut holes = Vec::new();
    match advice {
        DONTNEED | FREE | DONTNEED_LOCKED => discard(&areas, range, advice)?,
        DONTFORK | DOFORK => {
            let on_fork = if advice == DONTFORK { OnFork::Leave } else { OnFork::Copy };
            areas.update(range, |area| area.on_fork = on_fork);
        }
        WIPEONFORK | KEEPONFORK => {
            let private = |(_, area): (u64, &super::Area)| {
                matches!(area.content, Content::Anonymous) && !area.shared
            };
            if advice == WIPEONFORK && !areas.overlapping(range).all(private) {
                return fail(Errno::EINVAL);
            }
            let on_fork = if advice == WIPEONFORK { OnFork::Wipe } else { OnFork::Copy };
            areas.update(range, |area| area.on_fork = on_fork);
        }
        REMOVE => holes = removed_parts(&areas, range)?,
        _ => {}
    }
    drop(areas);
    for (inode, start, end) in holes {
        inode.allocate(Allocate::PunchHole, start, end, time::timestamp())?;
        mappers::forget_pages(thread, &inode, start, end, false);
    }
    if whole { Ok(0) } else { fail(Errno::ENOMEM) }
}

fn discard(areas: &Areas, range: Range, advice: u64) -> Result<()> {
    let mut parts = Vec::new();
    for (start, area) in areas.overlapping(range) {
        if area.locked && advice != DONTNEED_LOCKED {
            return fail(Errno::EINVAL);
        }
        if !area.shared {
            parts.push(Range { start: start.max(range.start), end: area.end.min(range.end) });
        }
    }
    for part in parts {
        hal::space_discard(part)?;
    }
    Ok(())
}

/// Bytes of a file, from the first to the one after the last.
type Part = (Arc<dyn Inode>, u64, u64);

/// The parts of files that `MADV_REMOVE` frees.
fn removed_parts(areas: &Areas, range: Range) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for (area_start, area) in areas.overlapping(range) {
        let Content::File { file, offset, .. } = &area.content else {
            return fail(Errno::EINVAL);
        };
        if !area.shared || area.locked {
            return fail(Errno::EINVAL);
        }
        if !area.may_write {
            return fail(Errno::EACCES);
        }
        let (start, end) = (area_start.max(range.start), area.end.min(range.end));
        let at = |address: u64| offset + (address - area_start);
        parts.push((Arc::clone(&file.inode), at(start), at(end)));
    }
    Ok(parts)
}

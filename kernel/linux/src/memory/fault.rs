//! Faults that the platform could not resolve.

use hal::{Access, Cause, PAGE_SIZE, Range, UserFault};

use super::areas::{Area, Areas, Content};
use super::{Memory, fill_content, map_content, page_down, page_up};
use crate::process::Resource;
use crate::thread::with_current;

/// Bytes of a shared mapping's hole that are filled at once.
const FILLED_AT_ONCE: u64 = 32 * PAGE_SIZE;

/// What a fault is to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: it was resolved, the access can be tried again.
    Resolved,
    /// `SIGSEGV`, nothing is mapped there.
    Unmapped,
    /// `SIGSEGV`, the access is not allowed.
    Protection,
    /// `SIGBUS`: mapped, but behind the end of the file.
    BehindFile,
    /// No memory is left for the page.
    NoMemory,
}

/// Looks at a fault of the running process.
pub fn resolve(memory: &Memory, address: u64, access: Access, cause: Cause) -> Fault {
    if cause == Cause::NoMemory {
        return Fault::NoMemory;
    }
    let mut areas = memory.areas.lock();
    if areas.find(address).is_none() && !grow_down(memory, &mut areas, address) {
        return Fault::Unmapped;
    }
    let Some((start, area)) = areas.find(address) else { return Fault::Unmapped };
    let protection = area.protection;
    let allowed = match access {
        Access::Read => protection.read || protection.write || protection.execute,
        Access::Write => protection.write,
        Access::Execute => protection.execute,
    };
    if !allowed {
        return Fault::Protection;
    }
    show_page(start, area, address).unwrap_or(Fault::Resolved)
}

/// Looks at a fault that a copy of the kernel to or from the running process's memory met.
/// Whether the copy can be tried again.
pub fn resolve_copy(memory: &Memory, fault: UserFault) -> bool {
    let areas = memory.areas.lock();
    let Some((start, area)) = areas.find(fault.address) else { return false };
    let protection = area.protection;
    let allowed = if fault.write { protection.write } else { protection.read || protection.write };
    allowed && show_page(start, area, fault.address) == Some(Fault::Resolved)
}

/// Shows what of an area's file was not there when it was mapped: the file has grown, or it is a
/// hole of a shared mapping. `None` for memory without a file.
fn show_page(start: u64, area: &Area, address: u64) -> Option<Fault> {
    // Without a file: mapped and allowed, another thread changed it meanwhile.
    let Content::File { file, offset, extents } = &area.content else { return None };
    let end = start.saturating_add(page_up(file.inode.size()).saturating_sub(*offset));
    let page = page_down(address);
    if page >= end {
        return Some(Fault::BehindFile);
    }
    let shown = if area.shared {
        let around = page & !(FILLED_AT_ONCE - 1);
        let range = Range {
            start: around.max(start),
            end: (around + FILLED_AT_ONCE).min(area.end).min(end),
        };
        fill_content(range, &file.inode, offset + (range.start - start), area.protection)
    } else {
        // Behind the page, private copies may be.
        let range = Range { start: page, end: page + PAGE_SIZE };
        map_content(range, &file.inode, offset + (page - start), false, area.protection)
    };
    Some(match shown {
        Ok(shown) => {
            extents.lock().extend(shown);
            Fault::Resolved
        }
        Err(_) => Fault::NoMemory,
    })
}

/// Lets the area above an address grow down to it, if it does that.
fn grow_down(memory: &Memory, areas: &mut Areas, address: u64) -> bool {
    /// Bytes that stay free below it.
    const GAP: u64 = 256 * PAGE_SIZE;
    let start = page_down(address);
    let Some((old_start, area)) = areas.above(address) else { return false };
    let (grown, protection) = (Range { start, end: old_start }, area.protection);
    let limit = with_current(|thread| thread.process.limits.soft(Resource::Stack));
    let fits = area.end - start <= limit.unwrap_or(0);
    let below = Range { start: start.saturating_sub(GAP), end: start };
    if !area.grows_down || !fits || areas.overlapping(below).next().is_some() {
        return false;
    }
    if memory.map_at(areas, grown, protection, false, None, "").is_err() {
        return false;
    }
    areas.update(grown, |area| area.grows_down = true);
    true
}

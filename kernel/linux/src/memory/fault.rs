//! Faults that the platform could not resolve.

use hal::{Access, Cause, PAGE_SIZE, Range, UserFault};

use super::areas::{Area, Content};
use super::{Memory, fill_content, map_content, page_down, page_up};

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
    let areas = memory.areas.lock();
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
        let range = Range { start: page, end: area.end };
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

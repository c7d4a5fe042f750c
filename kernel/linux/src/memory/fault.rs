//! Faults that the platform could not resolve.

use alloc::sync::Arc;

use hal::{Access, Cause, Range};

use super::areas::Content;
use super::{Memory, map_content, page_down, page_up};

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
    let Content::File { file, offset, .. } = &area.content else {
        // Mapped and allowed: another thread changed it meanwhile.
        return Fault::Resolved;
    };
    let at = offset + (page_down(address) - start);
    if at >= page_up(file.inode.size()) {
        return Fault::BehindFile;
    }
    // The file has grown since it was mapped: show the rest of it.
    let range = Range { start: page_down(address), end: area.end };
    let (inode, shared) = (file.inode.clone(), area.shared);
    match map_content(range, &inode, at, shared, protection) {
        Ok(new) => {
            let new = Arc::new(new);
            areas.update(range, |area| {
                if let Content::File { extents, .. } = &mut area.content {
                    *extents = Arc::clone(&new);
                }
            });
            Fault::Resolved
        }
        Err(_) => Fault::NoMemory,
    }
}

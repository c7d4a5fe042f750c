//! Who maps a file: what has to forget pages that the file gives up, and what keeps it from being
//! sealed.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use hal::{PAGE_SIZE, Range};
use lock::SpinLock;
use vfs::Inode;

use super::areas::Content;
use super::{Memory, while_active};
use crate::file::attached;
use crate::rank;
use crate::thread::Thread;

/// Memories that map a file, or did.
pub struct Mappers(SpinLock<Vec<Weak<Memory>>>);

impl Default for Mappers {
    fn default() -> Self {
        Self(SpinLock::new(rank::FILE, Vec::new()))
    }
}

impl Mappers {
    fn all(&self) -> Vec<Arc<Memory>> {
        let mut all: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        all.retain(|memory| memory.is_used());
        all
    }
}

/// Takes note of a memory that maps a file. To be called before its pages are asked for.
pub fn add(memory: &Weak<Memory>, inode: &dyn Inode) {
    let attached = attached(inode);
    let mut mappers = attached.mappers.0.lock();
    if !mappers.iter().any(|known| known.ptr_eq(memory)) {
        mappers.retain(|known| known.strong_count() > 0);
        mappers.push(Weak::clone(memory));
    }
}

/// Whether both are the same file.
pub fn is_same(one: &Arc<dyn Inode>, other: &Arc<dyn Inode>) -> bool {
    core::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

/// A file has given up its pages from `start` to `end` (bytes): whoever maps them looks at the file
/// again. `copies`: private copies of them go as well, as when a file is cut off.
pub fn forget_pages(thread: &Thread, inode: &Arc<dyn Inode>, start: u64, end: u64, copies: bool) {
    let first = start.next_multiple_of(PAGE_SIZE);
    for memory in attached(&**inode).mappers.all() {
        let areas = memory.areas.lock();
        let mut ranges = Vec::new();
        for (area_start, area) in areas.iter() {
            let Content::File { file, offset, .. } = &area.content else { continue };
            if !is_same(&file.inode, inode) || !(area.shared || copies) {
                continue;
            }
            let length = area.end - area_start;
            let from = first.saturating_sub(*offset).min(length);
            let to = end.saturating_sub(*offset).min(length) & !(PAGE_SIZE - 1);
            if from < to {
                ranges.push(Range { start: area_start + from, end: area_start + to });
            }
        }
        if !ranges.is_empty() {
            while_active(thread, &memory, || {
                for range in ranges {
                    // A range of mapped memory can be unmapped; if not, the old pages stay.
                    let _ = hal::space_unmap(range);
                }
            });
        }
        drop(areas);
    }
}

/// Whether somebody can store to a file through a mapping.
pub fn can_be_stored_to(inode: &Arc<dyn Inode>) -> bool {
    attached(&**inode).mappers.all().iter().any(|memory| {
        memory.areas.lock().iter().any(|(_, area)| {
            let shown = matches!(&area.content, Content::File { file, .. }
                if is_same(&file.inode, inode));
            shown && area.shared && area.may_write
        })
    })
}

/// How many areas show a file.
pub fn count(inode: &Arc<dyn Inode>) -> u64 {
    let shows = |content: &Content| matches!(content, Content::File { file, .. } if is_same(&file.inode, inode));
    let memories = attached(&**inode).mappers.all();
    let areas = memories.iter().map(|memory| {
        memory.areas.lock().iter().filter(|(_, area)| shows(&area.content)).count() as u64
    });
    areas.sum()
}

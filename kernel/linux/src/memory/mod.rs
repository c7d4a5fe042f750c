//! The memory of a process: areas, and the system calls that change them.
//!
//! The areas say what the program asked for; the platform's address space says what is mapped.
//! Both change together under one lock that may be held across sleeping. A fault that the
//! platform could not resolve is looked up here: it is a signal, or a part of a file that did not
//! exist when it was mapped.

mod advice;
mod areas;
mod calls;
mod fault;
mod layout;
mod lock;
pub mod mappers;
mod other;
mod place;
mod started;

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use ::lock::SpinLock;

use hal::{AddressSpace, Backing, PAGE_SIZE, PhysAddr, Protection, Range};
use vfs::{Extent, Inode, Intent, Location};

pub use advice::madvise;
pub use areas::{Area, Areas, Content, OnFork};
pub use calls::*;
pub use fault::{Fault, resolve, resolve_copy};
pub use layout::{Layout, STACK_LEN, TASK_END};
pub use lock::{mlock, mlock2, mlockall, munlock, munlockall};
pub use other::*;
pub use place::{find_below, is_usable};
pub use started::{StartedWith, joined};

use crate::error::{Result, fail};
use crate::thread::Thread;
use errno::Errno;

/// Rounds up to a page.
pub fn page_up(address: u64) -> u64 {
    address.saturating_add(PAGE_SIZE - 1) & !(PAGE_SIZE - 1)
}

/// Rounds down to a page.
pub fn page_down(address: u64) -> u64 {
    address & !(PAGE_SIZE - 1)
}

/// The memory of a process.
pub struct Memory {
    /// The platform's side.
    pub space: Arc<AddressSpace>,
    /// What the program asked for.
    pub areas: sched::Mutex<Areas>,
    /// Where things were put when the program started.
    layout: SpinLock<Layout>,
    /// What the program was started with.
    started_with: SpinLock<Arc<StartedWith>>,
    /// The end of the heap.
    pub heap_end: AtomicU64,
    /// Threads that run in it.
    users: AtomicUsize,
    /// New mappings are locked (`mlockall(2)`).
    locks_future: AtomicBool,
    /// Itself, for the files that it maps.
    own: Weak<Self>,
}

impl Memory {
    /// New memory without areas.
    pub fn new(layout: Layout) -> Result<Arc<Self>> {
        let space = Arc::new(AddressSpace::new()?);
        Ok(Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            users: AtomicUsize::new(0),
            locks_future: AtomicBool::new(false),
            space,
            areas: sched::Mutex::new(Areas::new()),
            heap_end: AtomicU64::new(layout.heap_start),
            layout: SpinLock::new(crate::rank::PROCESS, layout),
            started_with: SpinLock::new(crate::rank::PROCESS, Arc::default()),
        }))
    }

    /// A thread begins to run in it.
    pub fn join(&self) {
        self.users.fetch_add(1, Ordering::Relaxed);
    }

    /// A thread runs in it no longer.
    pub fn leave(&self) {
        self.users.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether a thread runs in it: what has none is about to go.
    pub fn is_used(&self) -> bool {
        self.users.load(Ordering::Relaxed) > 0
    }

    /// Where things were put when the program started.
    pub fn layout(&self) -> Layout {
        *self.layout.lock()
    }

    /// Takes note of where things were put.
    pub fn set_layout(&self, layout: Layout) {
        *self.layout.lock() = layout;
    }

    /// What the program was started with.
    pub fn started_with(&self) -> Arc<StartedWith> {
        Arc::clone(&self.started_with.lock())
    }

    /// Takes note of what the program was started with.
    pub fn set_started_with(&self, started_with: StartedWith) {
        *self.started_with.lock() = Arc::new(started_with);
    }

    /// A copy of the memory of the running process, for a new one.
    pub fn fork(&self, thread: &Thread) -> Result<Arc<Self>> {
        // Held, so that nothing changes between the two copies.
        let areas = self.areas.lock();
        let space = Arc::new(AddressSpace::fork()?);
        let copy = Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            users: AtomicUsize::new(0),
            locks_future: AtomicBool::new(false),
            space,
            areas: sched::Mutex::new(areas.duplicate()),
            heap_end: AtomicU64::new(self.heap_end.load(Ordering::Relaxed)),
            layout: SpinLock::new(crate::rank::PROCESS, self.layout()),
            started_with: SpinLock::new(crate::rank::PROCESS, self.started_with()),
        });
        let mut different = Vec::new();
        for (start, area) in areas.iter() {
            if let Content::File { file, .. } = &area.content {
                mappers::add(&copy.own, &*file.inode);
            }
            if area.on_fork != OnFork::Copy {
                different.push((Range { start, end: area.end }, area.on_fork));
            }
        }
        if !different.is_empty() {
            while_active(thread, &copy, || -> Result<()> {
                for (range, on_fork) in different {
                    match on_fork {
                        OnFork::Copy => {}
                        OnFork::Wipe => hal::space_discard(range)?,
                        OnFork::Leave => hal::space_unmap(range)?,
                    }
                }
                Ok(())
            })?;
        }
        Ok(copy)
    }
}

/// Shows file content at a range: as far as the file goes now. Holes are zeros of the program's
/// own in private mappings; in shared ones they stay unmapped until they are touched, when
/// [`fill_content`] gives them pages. Gives what keeps it alive.
fn map_content(
    range: Range,
    inode: &Arc<dyn Inode>,
    offset: u64,
    shared: bool,
    protection: Protection,
) -> Result<Vec<Extent>> {
    let mut extents = Vec::new();
    let end_of_file = page_up(inode.size());
    let mut position = range.start;
    let writes = shared && protection.write;
    if writes && inode.seals().is_ok_and(|set| set & vfs::seals::WRITE != 0) {
        return fail(Errno::EPERM);
    }
    while position < range.end {
        let at = offset + (position - range.start);
        if at >= end_of_file {
            break;
        }
        let wanted = (range.end - position).min(end_of_file - at) / PAGE_SIZE;
        let extent = inode.extent(at / PAGE_SIZE, wanted as usize, Intent::Read)?;
        let hole = (extent.hole_pages() as u64).min(wanted);
        if hole > 0 {
            if !shared {
                let range = Range::new(position, hole * PAGE_SIZE);
                hal::space_map(range, Backing::Anonymous, protection)?;
            }
            position += hole * PAGE_SIZE;
            continue;
        }
        let extent = if writes {
            inode.extent(
                at / PAGE_SIZE,
                (extent.pages() as u64).min(wanted) as usize,
                Intent::Write,
            )?
        } else {
            extent
        };
        position += show(&extent, position, wanted, shared, protection)?;
        extents.push(extent);
    }
    Ok(extents)
}

/// Maps at most `wanted` pages of an extent at an address. Gives how many bytes.
fn show(
    extent: &Extent,
    address: u64,
    wanted: u64,
    shared: bool,
    protection: Protection,
) -> Result<u64> {
    let length = (extent.pages() as u64).min(wanted) * PAGE_SIZE;
    if length == 0 {
        return fail(Errno::EIO);
    }
    let physical = PhysAddr(extent.phys());
    let backing = if shared { Backing::Shared(physical) } else { Backing::Private(physical) };
    hal::space_map(Range::new(address, length), backing, protection)?;
    Ok(length)
}

/// Shows file content at a range of a shared mapping, all of which is before the file's end;
/// holes get pages. Gives what keeps it alive.
fn fill_content(
    range: Range,
    inode: &Arc<dyn Inode>,
    offset: u64,
    protection: Protection,
) -> Result<Vec<Extent>> {
    let intent = if protection.write { Intent::Write } else { Intent::Share };
    let mut extents = Vec::new();
    let mut position = range.start;
    while position < range.end {
        let first = (offset + (position - range.start)) / PAGE_SIZE;
        let wanted = (range.end - position) / PAGE_SIZE;
        let extent = inode.extent(first, wanted as usize, intent)?;
        position += show(&extent, position, wanted, true, protection)?;
        extents.push(extent);
    }
    Ok(extents)
}

/// A file that is mapped.
#[derive(Clone)]
pub struct Mapped {
    /// Its content.
    pub inode: Arc<dyn Inode>,
    /// Its name, for `/proc/self/maps`; memory files have none.
    pub location: Option<Location>,
}

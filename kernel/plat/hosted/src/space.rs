//! Address spaces: host processes.

use alloc::boxed::Box;
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hal::{Backing, MapError, PAGE_SIZE, Protection, Range};

use crate::gateway::host_call;
use crate::host::{self, MAP_ANONYMOUS, MAP_FIXED, MAP_NORESERVE, MAP_PRIVATE, MAP_SHARED};
use crate::slot::{self, Slot, SlotList};
use crate::text::Texts;
use crate::vcpu::{self, Vcpu};
use crate::window;

/// Flags of `clone` for a further thread of a process.
pub const THREAD_FLAGS: usize = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000 | 0x40000;
/// Flags of `clone` for a process: shares descriptors and the file-system context, is a child
/// of the supervisor, tells it of its end by SIGCHLD.
pub const PROCESS_FLAGS: usize = 0x200 | 0x400 | 0x8000 | 17;

/// The most address spaces that live at once: each is a host process.
const MAX_SPACES: usize = 30_000;

static SPACES: AtomicUsize = AtomicUsize::new(0);

/// An address space.
pub struct Space {
    parked: spin::Mutex<SlotList>,
    /// Somebody waits for a further thread of this process.
    wants_thread: AtomicBool,
    /// No handle is left: threads that leave the space end.
    dead: AtomicBool,
    /// The handle, and every thread that holds a token.
    references: AtomicUsize,
    /// Text that is or can be patched. Held while mappings change.
    pub texts: spin::Mutex<Texts>,
}

/// The first process: it has no user memory, others are copied from it.
pub static KERNEL: Space = Space::new();

impl Space {
    const fn new() -> Self {
        Self {
            parked: spin::Mutex::new(SlotList::new()),
            wants_thread: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            references: AtomicUsize::new(1),
            texts: spin::Mutex::new(Texts::new()),
        }
    }

    /// Takes note of a thread that holds no token yet.
    fn add_parked(&self, slot: &'static Slot) {
        self.parked.lock().push(slot);
    }

    /// Takes note of a thread that gives its token away and parks. In a space that has ended it
    /// ends, and with the last one the space.
    pub fn left(&'static self, slot: &'static Slot) {
        let mut parked = self.parked.lock();
        let dead = self.dead.load(Ordering::SeqCst);
        if dead {
            slot.end();
        } else {
            parked.push(slot);
        }
        drop(parked);
        release(self);
    }

    /// Whether an idle vCPU should let go of the space: it has ended, or another vCPU waits for
    /// the thread.
    fn is_unwelcome(&self) -> bool {
        self.dead.load(Ordering::Relaxed) || self.wants_thread.load(Ordering::Relaxed)
    }

    /// The space of the running process.
    pub fn current() -> &'static Self {
        // SAFETY: a space lives until no thread of it can run.
        unsafe { &*Vcpu::this().slot().space.load(Ordering::Relaxed) }
    }

    fn activate(&'static self) {
        let current = Vcpu::this().slot();
        if core::ptr::eq(current.space.load(Ordering::Relaxed), self) {
            return;
        }
        let mut rounds = 0;
        let target = loop {
            let parked = self.parked.lock().pop();
            if let Some(slot) = parked {
                self.references.fetch_add(1, Ordering::Relaxed);
                self.wants_thread.store(false, Ordering::Relaxed);
                break slot;
            }
            self.ask_for_thread();
            // Another vCPU may wait for a thread of the space that this one leaves, and hold the
            // one that is wanted here.
            Self::current().serve_wish();
            crate::platform::relax(rounds);
            rounds += 1;
        };
        target.hand_over(current);
    }

    /// All threads of the process hold tokens: one of them has to make a further one.
    fn ask_for_thread(&self) {
        if self.wants_thread.swap(true, Ordering::SeqCst) {
            return;
        }
        self.kick_holders();
    }

    /// Makes vCPUs on which the space is active look around.
    fn kick_holders(&self) {
        for index in 0..vcpu::count() {
            let vcpu = Vcpu::of(index);
            if core::ptr::eq(vcpu.slot().space.load(Ordering::Relaxed), self) {
                vcpu.kick();
            }
        }
    }

    /// Makes a further thread if somebody waits for one. Runs in the process.
    #[inline]
    pub fn serve_wish(&'static self) {
        if self.wants_thread.load(Ordering::Relaxed)
            && self.wants_thread.swap(false, Ordering::SeqCst)
        {
            let Some(slot) = Slot::allocate(self) else { return };
            // SAFETY: the flags are those of a thread.
            match unsafe { slot::create(slot, THREAD_FLAGS, slot::thread_start) } {
                Ok(thread) => {
                    slot.set_ids(Vcpu::this().slot().process(), thread);
                    self.add_parked(slot);
                }
                Err(_) => slot.discard(),
            }
        }
    }
}

fn space(handle: NonZeroUsize) -> &'static Space {
    // SAFETY: a handle is the address of a space that `clone_process` leaked and that lives until
    // `destroy`.
    unsafe { &*(handle.get() as *const Space) }
}

/// A copy of the running process.
fn clone_process() -> Result<NonZeroUsize, MapError> {
    if SPACES.fetch_add(1, Ordering::Relaxed) >= MAX_SPACES {
        SPACES.fetch_sub(1, Ordering::Relaxed);
        return Err(MapError::NoSpace);
    }
    let space: &'static Space = Box::leak(Box::new(Space::new()));
    let slot = Slot::allocate(space).ok_or(MapError::NoMemory)?;
    slot.first.store(true, Ordering::Relaxed);
    // Held across the copy of the mappings, which the copy of the texts describes.
    let texts = Space::current().texts.lock();
    *space.texts.lock() = texts.clone();
    // SAFETY: the flags are those of a process; the child runs on its own slot's stack.
    let created = unsafe { slot::create(slot, PROCESS_FLAGS, slot::thread_start) };
    drop(texts);
    match created {
        Ok(process) => {
            slot.set_ids(process, process);
            space.add_parked(slot);
            NonZeroUsize::new((&raw const *space) as usize).ok_or(MapError::NoMemory)
        }
        Err(_) => {
            slot.discard();
            SPACES.fetch_sub(1, Ordering::Relaxed);
            // SAFETY: leaked above, and never given to anybody.
            drop(unsafe { Box::from_raw((&raw const *space).cast_mut()) });
            Err(MapError::NoSpace)
        }
    }
}

/// See [`hal::Platform::space_create`].
pub fn create() -> Result<NonZeroUsize, MapError> {
    let before = Space::current();
    KERNEL.activate();
    let result = clone_process();
    before.activate();
    result
}

/// See [`hal::Platform::space_fork`].
pub fn fork() -> Result<NonZeroUsize, MapError> {
    clone_process()
}

/// See [`hal::Platform::space_destroy`].
pub fn destroy(handle: NonZeroUsize) {
    let space = space(handle);
    space.dead.store(true, Ordering::SeqCst);
    leave_unwelcome();
    let mut parked = space.parked.lock();
    while let Some(slot) = parked.pop() {
        slot.end();
    }
    drop(parked);
    space.kick_holders();
    SPACES.fetch_sub(1, Ordering::Relaxed);
    release(space);
}

/// Lets go of the active space if it has ended or another vCPU waits for its thread. Idle vCPUs
/// do this.
pub fn leave_unwelcome() {
    let current = Space::current();
    if !core::ptr::eq(current, &raw const KERNEL) && current.is_unwelcome() {
        KERNEL.activate();
    }
}

fn release(space: &'static Space) {
    if core::ptr::eq(space, &raw const KERNEL)
        || space.references.fetch_sub(1, Ordering::AcqRel) > 1
    {
        return;
    }
    // SAFETY: leaked by `clone_process`; no thread is in it any more and no handle is left.
    drop(unsafe { Box::from_raw((&raw const *space).cast_mut()) });
}

/// See [`hal::Platform::space_activate`].
pub fn activate(handle: Option<NonZeroUsize>) {
    match handle {
        Some(handle) => space(handle).activate(),
        None => KERNEL.activate(),
    }
}

fn bits(protection: Protection) -> usize {
    let bit = |set: bool, bit: usize| if set { bit } else { 0 };
    bit(protection.read, host::PROT_READ)
        | bit(protection.write, host::PROT_WRITE)
        | bit(protection.execute, host::PROT_EXEC)
}

fn map_error(_error: host::HostError) -> MapError {
    MapError::NoMemory
}

/// Refuses ranges that are the window's or the host's, before the seal does.
fn allowed(range: Range) -> Result<(), MapError> {
    if range.end > window::USER_END || vcpu::overlaps(range.start, range.end, window::reserved()) {
        return Err(MapError::Reserved);
    }
    Ok(())
}

/// See [`hal::space_kept`].
pub fn kept(range: Range) -> Option<Range> {
    let meets = |kept: &&Range| range.start < kept.end && kept.start < range.end;
    let fixed = window::reserved().iter().find(meets).copied();
    let zone = Space::current().texts.lock().zone_in(range);
    match (fixed, zone) {
        (Some(fixed), Some(zone)) => Some(if fixed.start < zone.start { fixed } else { zone }),
        (fixed, zone) => fixed.or(zone),
    }
}

/// See [`hal::Platform::space_map`].
pub fn map(range: Range, backing: Backing, protection: Protection) -> Result<(), MapError> {
    allowed(range)?;
    let (flags, descriptor, offset) = match backing {
        Backing::Anonymous => (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, None, 0),
        Backing::Shared(address) => {
            let (descriptor, offset) = window::file_of(address);
            (MAP_SHARED | MAP_NORESERVE, Some(descriptor), offset)
        }
        Backing::Private(address) => {
            let (descriptor, offset) = window::file_of(address);
            (MAP_PRIVATE | MAP_NORESERVE, Some(descriptor), offset)
        }
    };
    let mut texts = Space::current().texts.lock();
    if texts.zone_in(range).is_some() {
        return Err(MapError::Reserved);
    }
    texts.replace(range);
    // SAFETY: the range is user memory.
    unsafe {
        host::mmap(
            range.start as usize,
            range.len() as usize,
            bits(protection),
            flags | MAP_FIXED,
            descriptor,
            offset,
        )
    }
    .map_err(map_error)?;
    if let Backing::Private(source) = backing
        && protection == Protection::READ_EXECUTE
    {
        texts.note(range, source);
    }
    Ok(())
}

/// See [`hal::Platform::space_unmap`].
pub fn unmap(range: Range) -> Result<(), MapError> {
    allowed(range)?;
    let mut texts = Space::current().texts.lock();
    texts.replace(range);
    texts.outside_zones(range, |part| {
        // SAFETY: the range is user memory.
        unsafe { host::munmap(part.start as usize, part.len() as usize) }.map_err(map_error)
    })
}

/// See [`hal::Platform::space_protect`].
pub fn protect(range: Range, protection: Protection) -> Result<(), MapError> {
    allowed(range)?;
    let (start, length) = (range.start as usize, range.len() as usize);
    let mut texts = Space::current().texts.lock();
    if protection != Protection::READ_EXECUTE {
        texts.put_back(range);
    }
    // SAFETY: the range is user memory.
    host::check(unsafe { host_call(host::MPROTECT, start, length, bits(protection), 0, 0, 0) })
        .map(drop)
        .map_err(map_error)
}

/// See [`hal::Platform::space_move`].
pub fn move_range(from: Range, to: Range) -> Result<(), MapError> {
    allowed(from)?;
    allowed(to)?;
    let flags = host::MREMAP_MAYMOVE | host::MREMAP_FIXED;
    let mut texts = Space::current().texts.lock();
    texts.put_back(from);
    if texts.zone_in(from).or_else(|| texts.zone_in(to)).is_some() {
        return Err(MapError::Reserved);
    }
    texts.replace(to);
    // SAFETY: both ranges are user memory.
    host::check(unsafe {
        host_call(
            host::MREMAP,
            from.start as usize,
            from.len() as usize,
            to.len() as usize,
            flags,
            to.start as usize,
            0,
        )
    })
    .map(drop)
    .map_err(map_error)
}

/// See [`hal::Platform::space_discard`].
pub fn discard(range: Range) -> Result<(), MapError> {
    allowed(range)?;
    let (start, length) = (range.start as usize, range.len() as usize);
    // SAFETY: the range is user memory.
    host::check(unsafe { host_call(host::MADVISE, start, length, host::MADV_DONTNEED, 0, 0, 0) })
        .map(drop)
        .map_err(map_error)
}

const _: () = assert!(PAGE_SIZE == 4096);

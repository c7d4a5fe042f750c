//! Address spaces: ranges, page tables filled on demand, copy on write.
//!
//! Forgetting a mapping: every change that takes rights away raises the space's generation.
//! A vCPU catches up before it enters user mode or touches user memory; one that is there now is
//! sent a kick and waited for. Frames are freed only after that.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::num::NonZeroUsize;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arch::cpu;
use arch::paging::bits::{ADDRESS, LARGE, NO_EXECUTE, PRESENT, USER, WRITABLE};
use arch::paging::{ENTRIES, index};
use hal::{Access, Backing, MapError, PAGE_SIZE, PhysAddr, Protection, Range};
use mm::frames;

use crate::apic;
use crate::tables::{self, KERNEL_HALF, table};
use crate::user::USER_END;
use crate::vcpu::{self, Vcpu};

/// A page that the space owns a reference to; others belong to somebody else.
const OWNED: u64 = 1 << 9;

/// Pages that a fault on file content maps at once, a power of two.
const AROUND: u64 = 16;

/// Why a fault could not be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Unmapped,
    Protection,
    NoMemory,
}

#[derive(Clone, Copy)]
struct Mapping {
    end: u64,
    backing: Backing,
    protection: Protection,
}

impl Mapping {
    /// The same mapping, seen from `offset` bytes further on.
    fn advanced(self, offset: u64) -> Self {
        let backing = match self.backing {
            Backing::Anonymous => Backing::Anonymous,
            Backing::Shared(address) => Backing::Shared(PhysAddr(address.0 + offset)),
            Backing::Private(address) => Backing::Private(PhysAddr(address.0 + offset)),
        };
        Self { backing, ..self }
    }
}

struct Inner {
    ranges: BTreeMap<u64, Mapping>,
    /// Frames that the space owns.
    resident: u64,
}

/// An address space.
pub struct Space {
    root: PhysAddr,
    inner: spin::Mutex<Inner>,
    generation: AtomicU64,
    /// The handle, and every vCPU on which it is active, hold a reference.
    references: AtomicUsize,
    dead: AtomicBool,
}

/// So many pages are forgotten one by one; when there are more, all of the space is.
const FEW: usize = 16;

/// What a change took away from a space, for [`forget`].
struct Gone {
    /// To be released when no vCPU knows them any more.
    frames: Vec<PhysAddr>,
    /// The first pages that changed, and how many did.
    pages: [u64; FEW],
    count: usize,
}

impl Gone {
    fn new() -> Self {
        Self { frames: Vec::new(), pages: [0; FEW], count: 0 }
    }

    /// The mapping of a page has changed.
    fn page(&mut self, address: u64) {
        if let Some(place) = self.pages.get_mut(self.count) {
            *place = address;
        }
        self.count += 1;
    }

    /// The mapping of a page is gone.
    fn entry(&mut self, address: u64, entry: u64, inner: &mut Inner) {
        self.page(address);
        if entry & OWNED != 0 {
            self.frames.push(PhysAddr(entry & ADDRESS));
            inner.resident -= 1;
        }
    }
}

fn space(handle: NonZeroUsize) -> &'static Space {
    // SAFETY: a handle is the address of a space that lives until `destroy`.
    unsafe { &*(handle.get() as *const Space) }
}

/// The active space of this vCPU.
fn active() -> Option<&'static Space> {
    // SAFETY: an active space is referenced.
    unsafe { Vcpu::this().space.load(Ordering::Relaxed).as_ref() }
}

fn active_or_dead() -> Result<&'static Space, MapError> {
    active().ok_or(MapError::NoSpace)
}

fn new_space() -> Result<&'static Space, MapError> {
    let root = tables::new_table().ok_or(MapError::NoMemory)?;
    // SAFETY: both are root tables; the kernel's half of the kernel's root never changes.
    unsafe {
        table(root).0[KERNEL_HALF..].copy_from_slice(&table(tables::root()).0[KERNEL_HALF..]);
    }
    Ok(Box::leak(Box::new(Space {
        root,
        inner: spin::Mutex::new(Inner { ranges: BTreeMap::new(), resident: 0 }),
        generation: AtomicU64::new(1),
        references: AtomicUsize::new(1),
        dead: AtomicBool::new(false),
    })))
}

fn handle(space: &'static Space) -> Result<NonZeroUsize, MapError> {
    NonZeroUsize::new((&raw const *space) as usize).ok_or(MapError::NoMemory)
}

/// See [`hal::Platform::space_create`].
pub fn create() -> Result<NonZeroUsize, MapError> {
    handle(new_space()?)
}

/// See [`hal::Platform::space_activate`].
pub fn activate(wanted: Option<NonZeroUsize>) {
    let wanted = wanted.map(space);
    let vcpu = Vcpu::this();
    let pointer = wanted.map_or(core::ptr::null_mut(), |space| (&raw const *space).cast_mut());
    let before = vcpu.space.load(Ordering::Relaxed);
    if before == pointer {
        return;
    }
    let root = match wanted {
        Some(space) => {
            space.references.fetch_add(1, Ordering::Relaxed);
            vcpu.space.store(pointer, Ordering::SeqCst);
            vcpu.seen.store(space.generation.load(Ordering::SeqCst), Ordering::SeqCst);
            space.root
        }
        None => {
            vcpu.space.store(pointer, Ordering::SeqCst);
            tables::root()
        }
    };
    // SAFETY: the kernel's half is the same in every root.
    unsafe { cpu::write_cr3(root.0) };
    // SAFETY: it was active here and so is referenced.
    if let Some(before) = unsafe { before.as_ref() } {
        release(before);
    }
}

/// Leaves the active space if it has ended. Idle vCPUs do this.
pub fn leave_dead() {
    if active().is_some_and(|space| space.dead.load(Ordering::Relaxed)) {
        activate(None);
    }
}

/// See [`hal::Platform::space_destroy`].
pub fn destroy(handle: NonZeroUsize) {
    let space = space(handle);
    space.dead.store(true, Ordering::SeqCst);
    leave_dead();
    for vcpu in vcpu::all() {
        if core::ptr::eq(vcpu.space.load(Ordering::SeqCst), space) {
            apic::kick(vcpu);
        }
    }
    release(space);
}

fn release(space: &'static Space) {
    if space.references.fetch_sub(1, Ordering::AcqRel) > 1 {
        return;
    }
    // Nobody else knows the space any more.
    let mut gone = Gone::new();
    let mut inner = space.inner.lock();
    clear_range(space, &mut inner, Range { start: 0, end: USER_END }, &mut gone);
    free_tables(space.root, 3);
    drop(inner);
    for frame in gone.frames {
        frames::release(frame);
    }
    // SAFETY: leaked by `new_space`; the last reference is gone.
    drop(unsafe { Box::from_raw((&raw const *space).cast_mut()) });
}

/// Frees a table of `level` and those below it; its user pages are gone already.
fn free_tables(address: PhysAddr, level: u32) {
    let entries = if level == 3 { KERNEL_HALF } else { ENTRIES };
    if level > 0 {
        for index in 0..entries {
            // SAFETY: a table of a space that nobody uses.
            let entry = unsafe { table(address).0[index] };
            if entry & PRESENT != 0 && entry & LARGE == 0 {
                free_tables(PhysAddr(entry & ADDRESS), level - 1);
            }
        }
    }
    frames::release(address);
}

/// The last-level entry for `address`; tables on the way are made when `make` says so.
/// Holding the space's lock is what makes the borrow unique.
fn entry<'a>(
    space: &Space,
    _inner: &'a mut Inner,
    address: u64,
    make: bool,
) -> Option<&'a mut u64> {
    let mut current = space.root;
    for level in (1..4).rev() {
        // SAFETY: tables of the space, under its lock.
        let entry = unsafe { &mut table(current).0[index(address, level)] };
        if *entry & PRESENT == 0 {
            if !make {
                return None;
            }
            *entry = tables::new_table()?.0 | PRESENT | WRITABLE | USER;
        }
        current = PhysAddr(*entry & ADDRESS);
    }
    // SAFETY: as above.
    Some(unsafe { &mut table(current).0[index(address, 0)] })
}

/// Calls `each` with the address and entry of every page that is present in a range.
fn each_present(root: PhysAddr, range: Range, mut each: impl FnMut(u64, &mut u64)) {
    const TABLE: u64 = PAGE_SIZE * ENTRIES as u64;
    let mut address = range.start;
    'tables: while address < range.end {
        let mut current = root;
        for level in (1..4).rev() {
            // SAFETY: tables of a space whose lock the caller holds.
            let entry = unsafe { table(current).0[index(address, level)] };
            if entry & PRESENT == 0 {
                let span = 1u64 << (12 + 9 * level);
                address = (address & !(span - 1)) + span;
                continue 'tables;
            }
            current = PhysAddr(entry & ADDRESS);
        }
        let end = range.end.min((address & !(TABLE - 1)) + TABLE);
        let count = ((end - address) / PAGE_SIZE) as usize;
        // SAFETY: as above.
        let entries = unsafe { &mut table(current).0[index(address, 0)..][..count] };
        for entry in entries {
            if *entry & PRESENT != 0 {
                each(address, entry);
            }
            address += PAGE_SIZE;
        }
    }
}

/// Removes what is mapped in a range.
fn clear_range(space: &Space, inner: &mut Inner, range: Range, gone: &mut Gone) {
    cut(inner, range);
    let doomed: Vec<u64> =
        inner.ranges.range(range.start..range.end).map(|(start, _)| *start).collect();
    for start in doomed {
        inner.ranges.remove(&start);
    }
    clear_pages(space, inner, range, gone);
}

/// Removes the pages of a range; its mappings stay.
fn clear_pages(space: &Space, inner: &mut Inner, range: Range, gone: &mut Gone) {
    each_present(space.root, range, |address, entry| {
        gone.entry(address, core::mem::take(entry), inner);
    });
}

/// Splits the mappings that cross an end of the range.
fn cut(inner: &mut Inner, range: Range) {
    for position in [range.start, range.end] {
        let before = inner.ranges.range_mut(..position).next_back();
        if let Some((&start, mapping)) = before
            && mapping.end > position
        {
            let rest = mapping.advanced(position - start);
            mapping.end = position;
            inner.ranges.insert(position, rest);
        }
    }
}

/// Makes every vCPU forget what is gone from the space, then frees the frames. The caller does
/// not hold the space's lock, and the space is the active one.
fn forget(space: &'static Space, gone: Gone) {
    if gone.count == 0 {
        return;
    }
    let generation = space.generation.fetch_add(1, Ordering::SeqCst) + 1;
    let this = Vcpu::this();
    if gone.count <= FEW && this.seen.load(Ordering::Relaxed) + 1 == generation {
        for &page in &gone.pages[..gone.count] {
            // SAFETY: losing a cached translation is harmless.
            unsafe { cpu::invalidate_page(page) };
        }
        this.seen.store(generation, Ordering::SeqCst);
    }
    pass_kernel(space, generation);
    for frame in gone.frames {
        frames::release(frame);
    }
}

/// Returns when no other vCPU runs a program of the space that has not seen a generation.
fn pass_kernel(space: &'static Space, generation: u64) {
    let this = Vcpu::this();
    for vcpu in vcpu::all() {
        let concerned = || {
            core::ptr::eq(vcpu.space.load(Ordering::SeqCst), space)
                && vcpu.in_user.load(Ordering::SeqCst)
                && vcpu.seen.load(Ordering::SeqCst) < generation
        };
        if core::ptr::eq(vcpu, this) || !concerned() {
            continue;
        }
        apic::kick(vcpu);
        while concerned() {
            cpu::pause();
        }
    }
}

/// Makes every vCPU that runs a program of the active space pass through the kernel.
pub fn forget_everywhere() {
    if let Some(space) = active() {
        pass_kernel(space, space.generation.fetch_add(1, Ordering::SeqCst) + 1);
    }
}

/// Forgets what changed since this vCPU last looked.
#[inline]
pub fn catch_up(vcpu: &Vcpu) {
    // SAFETY: an active space is referenced.
    let Some(space) = (unsafe { vcpu.space.load(Ordering::Relaxed).as_ref() }) else { return };
    let generation = space.generation.load(Ordering::SeqCst);
    if vcpu.seen.load(Ordering::Relaxed) != generation {
        vcpu.seen.store(generation, Ordering::SeqCst);
        // SAFETY: loads the same root; global entries are the kernel's.
        unsafe { cpu::write_cr3(space.root.0) };
    }
}

/// See [`hal::Platform::space_map`].
pub fn map(range: Range, backing: Backing, protection: Protection) -> Result<(), MapError> {
    if range.end > USER_END || range.start < 0x1_0000 {
        return Err(MapError::Reserved);
    }
    let space = active_or_dead()?;
    let mut gone = Gone::new();
    let mut inner = space.inner.lock();
    clear_range(space, &mut inner, range, &mut gone);
    inner.ranges.insert(range.start, Mapping { end: range.end, backing, protection });
    join(&mut inner, range.start);
    drop(inner);
    forget(space, gone);
    Ok(())
}

/// Joins a mapping with the one before it when they continue each other.
fn join(inner: &mut Inner, start: u64) {
    let Some(&mapping) = inner.ranges.get(&start) else { return };
    let Some((&before, previous)) = inner.ranges.range_mut(..start).next_back() else { return };
    let continued = previous.advanced(start - before);
    if previous.end == start
        && continued.backing == mapping.backing
        && previous.protection == mapping.protection
    {
        previous.end = mapping.end;
        inner.ranges.remove(&start);
    }
}

/// See [`hal::Platform::space_unmap`].
pub fn unmap(range: Range) -> Result<(), MapError> {
    let space = active_or_dead()?;
    let range = Range { start: range.start, end: range.end.min(USER_END) };
    let mut gone = Gone::new();
    let mut inner = space.inner.lock();
    clear_range(space, &mut inner, range, &mut gone);
    drop(inner);
    forget(space, gone);
    Ok(())
}

/// See [`hal::Platform::space_discard`].
pub fn discard(range: Range) -> Result<(), MapError> {
    let space = active_or_dead()?;
    let mut gone = Gone::new();
    let mut inner = space.inner.lock();
    clear_pages(space, &mut inner, range, &mut gone);
    drop(inner);
    forget(space, gone);
    Ok(())
}

/// See [`hal::Platform::space_protect`].
pub fn protect(range: Range, protection: Protection) -> Result<(), MapError> {
    let space = active_or_dead()?;
    let mut inner = space.inner.lock();
    cut(&mut inner, range);
    for (_, mapping) in inner.ranges.range_mut(range.start..range.end) {
        mapping.protection = protection;
    }
    // Present pages get at most the new rights; what they may have besides comes by a fault.
    let no_execute = if protection.execute { 0 } else { NO_EXECUTE };
    let user = if protection == Protection::NONE { 0 } else { USER };
    let mut gone = Gone::new();
    each_present(space.root, range, |address, entry| {
        let writable = if protection.write { *entry & WRITABLE } else { 0 };
        let new = *entry & !(WRITABLE | NO_EXECUTE | USER) | writable | no_execute | user;
        if core::mem::replace(entry, new) != new {
            gone.page(address);
        }
    });
    let starts: Vec<u64> =
        inner.ranges.range(range.start..=range.end).map(|(start, _)| *start).collect();
    for start in starts {
        join(&mut inner, start);
    }
    drop(inner);
    forget(space, gone);
    Ok(())
}

/// See [`hal::Platform::space_move`].
pub fn move_range(from: Range, to: Range) -> Result<(), MapError> {
    if to.end > USER_END || to.start < 0x1_0000 {
        return Err(MapError::Reserved);
    }
    let space = active_or_dead()?;
    let mut gone = Gone::new();
    let mut inner = space.inner.lock();
    clear_range(space, &mut inner, to, &mut gone);
    cut(&mut inner, from);
    let moved: Vec<(u64, Mapping)> = inner
        .ranges
        .range(from.start..from.end)
        .map(|(start, mapping)| (*start, *mapping))
        .collect();
    let limit = from.len().min(to.len());
    for (start, mapping) in moved {
        inner.ranges.remove(&start);
        let offset = start - from.start;
        if offset < limit {
            let end = (mapping.end - from.start).min(limit) + to.start;
            inner.ranges.insert(to.start + offset, Mapping { end, ..mapping });
        }
    }
    let mut pages = Vec::new();
    each_present(space.root, from, |address, entry| {
        pages.push((address, core::mem::take(entry)));
    });
    for (address, page) in pages {
        let offset = address - from.start;
        let place =
            if offset < limit { entry(space, &mut inner, to.start + offset, true) } else { None };
        match place {
            Some(place) => {
                *place = page;
                gone.page(address);
            }
            None => gone.entry(address, page, &mut inner),
        }
    }
    drop(inner);
    forget(space, gone);
    Ok(())
}

/// See [`hal::Platform::space_fork`].
pub fn fork() -> Result<NonZeroUsize, MapError> {
    let parent = active_or_dead()?;
    let child = new_space()?;
    let inner = parent.inner.lock();
    let mut child_inner = child.inner.lock();
    child_inner.ranges.clone_from(&inner.ranges);
    let mut gone = Gone::new();
    let mut failed = false;
    let mut copied = 0;
    for (&start, mapping) in &inner.ranges {
        let range = Range { start, end: mapping.end };
        let shared = matches!(mapping.backing, Backing::Shared(_));
        each_present(parent.root, range, |address, page| {
            if failed || (*page & OWNED == 0 && !shared) {
                return;
            }
            let Some(place) = entry(child, &mut child_inner, address, true) else {
                failed = true;
                return;
            };
            if *page & OWNED != 0 {
                *page &= !WRITABLE;
                gone.page(address);
                frames::retain(PhysAddr(*page & ADDRESS));
                copied += 1;
            }
            *place = *page;
        });
    }
    child_inner.resident = copied;
    drop(child_inner);
    drop(inner);
    forget(parent, gone);
    if failed {
        release(child);
        return Err(MapError::NoMemory);
    }
    handle(child)
}

/// See [`hal::Platform::space_resident`].
pub fn resident() -> u64 {
    active().map_or(0, |space| space.inner.lock().resident * PAGE_SIZE)
}

/// Makes an access to the active space possible, if its mappings allow it.
pub fn resolve(address: u64, access: Access) -> Result<(), Failure> {
    let space = active().ok_or(Failure::Unmapped)?;
    let mut gone = Gone::new();
    let mut inner = space.inner.lock();
    let result = resolve_locked(space, &mut inner, address & !(PAGE_SIZE - 1), access, &mut gone);
    drop(inner);
    if gone.count > 0 {
        // A page was replaced: others may still see the old one.
        forget(space, gone);
        catch_up(Vcpu::this());
    }
    result
}

fn resolve_locked(
    space: &Space,
    inner: &mut Inner,
    page: u64,
    access: Access,
    gone: &mut Gone,
) -> Result<(), Failure> {
    let (&start, &mapping) = inner.ranges.range(..=page).next_back().ok_or(Failure::Unmapped)?;
    if mapping.end <= page {
        return Err(Failure::Unmapped);
    }
    let Protection { read, write, execute } = mapping.protection;
    let allowed = match access {
        Access::Read => read || write || execute,
        Access::Write => write,
        Access::Execute => execute,
    };
    if !allowed {
        return Err(Failure::Protection);
    }
    let no_execute = if execute { 0 } else { NO_EXECUTE };
    let rights = PRESENT | USER | no_execute;
    let backing = mapping.advanced(page - start).backing;
    if let Backing::Private(_) | Backing::Shared(_) = backing
        && access != Access::Write
    {
        return map_around(space, inner, page, start, mapping, rights);
    }
    let place = entry(space, inner, page, true).ok_or(Failure::NoMemory)?;
    let present = *place & PRESENT != 0;
    match backing {
        Backing::Shared(address) => *place = address.0 | rights | WRITABLE,
        Backing::Anonymous if access != Access::Write => {
            if !present {
                *place = zero_page().ok_or(Failure::NoMemory)?.0 | rights;
            }
        }
        _ if present && *place & OWNED != 0 => {
            let old = PhysAddr(*place & ADDRESS);
            if frames::references(old) == 1 {
                *place = old.0 | rights | WRITABLE | OWNED;
            } else {
                let new = copy_of(old).ok_or(Failure::NoMemory)?;
                *place = new.0 | rights | WRITABLE | OWNED;
                gone.page(page);
                gone.frames.push(old);
            }
        }
        Backing::Anonymous => {
            let new = frames::allocate_zeroed().ok_or(Failure::NoMemory)?;
            *place = new.0 | rights | WRITABLE | OWNED;
            inner.resident += 1;
            if present {
                gone.page(page);
            }
        }
        Backing::Private(address) => {
            let new = copy_of(address).ok_or(Failure::NoMemory)?;
            *place = new.0 | rights | WRITABLE | OWNED;
            inner.resident += 1;
            if present {
                gone.page(page);
            }
        }
    }
    // SAFETY: forgets what this vCPU knew of the page.
    unsafe { cpu::invalidate_page(page) };
    Ok(())
}

/// Maps file content around a page that was to be read, as far as one table and the mapping go.
fn map_around(
    space: &Space,
    inner: &mut Inner,
    page: u64,
    start: u64,
    mapping: Mapping,
    rights: u64,
) -> Result<(), Failure> {
    let window = page & !(AROUND * PAGE_SIZE - 1);
    let first = window.max(start);
    let last = (window + AROUND * PAGE_SIZE).min(mapping.end);
    entry(space, inner, page, true).ok_or(Failure::NoMemory)?;
    for address in (first..last).step_by(PAGE_SIZE as usize) {
        let (Backing::Private(physical) | Backing::Shared(physical)) =
            mapping.advanced(address - start).backing
        else {
            continue;
        };
        let Some(place) = entry(space, inner, address, false) else { continue };
        if *place & PRESENT == 0 {
            *place = physical.0 | rights;
        } else if address == page {
            *place |= rights;
            if rights & NO_EXECUTE == 0 {
                *place &= !NO_EXECUTE;
            }
        }
    }
    // SAFETY: forgets what this vCPU knew of the page.
    unsafe { cpu::invalidate_page(page) };
    Ok(())
}

fn copy_of(from: PhysAddr) -> Option<PhysAddr> {
    let new = frames::allocate()?;
    // SAFETY: the new frame is ours; the old one is mapped memory of a page.
    unsafe { new.pointer().copy_from_nonoverlapping(from.pointer(), PAGE_SIZE as usize) };
    Some(new)
}

/// A page of zeros that is mapped wherever nothing was written yet.
fn zero_page() -> Option<PhysAddr> {
    static ZERO: AtomicU64 = AtomicU64::new(0);
    match ZERO.load(Ordering::Relaxed) {
        0 => {
            let page = frames::allocate_zeroed()?;
            match ZERO.compare_exchange(0, page.0, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => Some(page),
                Err(other) => {
                    frames::release(page);
                    Some(PhysAddr(other))
                }
            }
        }
        address => Some(PhysAddr(address)),
    }
}

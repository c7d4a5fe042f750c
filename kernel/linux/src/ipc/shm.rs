//! Shared memory: `shmget(2)`, `shmat(2)`, `shmdt(2)`, `shmctl(2)`.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use errno::Errno;
use hal::{PAGE_SIZE, Protection, Range};
use lock::SpinLock;

use super::{Object, Permissions, RawPermissions, Table, command};
use crate::abi::SECOND;
use crate::error::{Result, fail};
use crate::memory::{Content, Mapped, find_below, is_usable, mappers, page_up};
use crate::thread::Thread;
use crate::{layout, rank, user};

static SEGMENTS: SpinLock<Table<Segment>> = SpinLock::new(rank::IPC_TABLE, Table::new());

/// Removed, but still attached somewhere; and locked.
const MODE_REMOVED: u32 = 0o1000;
const MODE_LOCKED: u32 = 0o2000;

struct State {
    permissions: Permissions,
    attached: u64,
    detached: u64,
    changed: u64,
    last: u32,
}

struct Segment {
    size: u64,
    creator: u32,
    memory: Mapped,
    /// It goes with its last attachment.
    doomed: AtomicBool,
    state: SpinLock<State>,
}

impl Object for Segment {
    fn permissions(&self) -> Permissions {
        self.state.lock().permissions
    }
}

layout! {
    /// `struct shmid64_ds`.
    pub struct RawSegment {
        pub permissions: RawPermissions,
        pub size: u64,
        pub attached: u64,
        pub detached: u64,
        pub changed: u64,
        pub creator: u32,
        pub last: u32,
        pub attachments: u64,
        pub unused: [u64; 2],
    }
}

fn now() -> u64 {
    hal::realtime() / SECOND
}

/// `shmget(2)`.
pub fn shmget(thread: &Thread, [key, size, flags, ..]: [u64; 6]) -> Result {
    const HUGE_PAGES: u32 = 0o4000;
    const MOST: u64 = u64::MAX - (1 << 24);
    let flags = flags as u32;
    let enough = |segment: &Segment| if size > segment.size { fail(Errno::EINVAL) } else { Ok(()) };
    let memory = if (1..=MOST).contains(&size) && flags & HUGE_PAGES == 0 {
        crate::file::memory_file(page_up(size)).map_err(|_| Errno::ENOMEM)
    } else {
        Err(Errno::EINVAL)
    };
    SEGMENTS.lock().get(thread, key as u32, flags, enough, |permissions| {
        Ok(Segment {
            size,
            creator: thread.process.pid,
            memory: memory?,
            doomed: AtomicBool::new(false),
            state: SpinLock::new(
                rank::IPC,
                State { permissions, attached: 0, detached: 0, changed: now(), last: 0 },
            ),
        })
    })
}

/// The segment with an identifier. One that was removed goes with its last attachment.
fn find(identifier: u64) -> Result<Arc<Segment>> {
    let segment = SEGMENTS.lock().find(identifier)?;
    if segment.doomed.load(Ordering::SeqCst) && mappers::count(&segment.memory.inode) == 0 {
        SEGMENTS.lock().remove(identifier);
        return fail(Errno::EINVAL);
    }
    Ok(segment)
}

/// `shmat(2)`.
pub fn shmat(thread: &Thread, [identifier, address, flags, ..]: [u64; 6]) -> Result {
    const READ_ONLY: u32 = 0o10000;
    const ROUND: u32 = 0o20000;
    const REMAP: u32 = 0o40000;
    const EXECUTE: u32 = 0o100000;
    let flags = flags as u32;
    let mut start = address;
    if !address.is_multiple_of(PAGE_SIZE) {
        if flags & ROUND == 0 {
            return fail(Errno::EINVAL);
        }
        start = address & !(PAGE_SIZE - 1);
    }
    if start == 0 && flags & REMAP != 0 {
        return fail(Errno::EINVAL);
    }
    let segment = find(identifier)?;
    let write = flags & READ_ONLY == 0;
    let execute = flags & EXECUTE != 0;
    let wanted = 0o444 | if write { 0o222 } else { 0 } | if execute { 0o111 } else { 0 };
    segment.permissions().check(&thread.identity(), wanted)?;
    let length = page_up(segment.size);
    let memory = thread.memory();
    let mut areas = memory.areas.lock();
    let range = if start == 0 {
        find_below(&areas, memory.layout().map_top, length).ok_or(Errno::ENOMEM)?
    } else {
        let end = start.checked_add(length).ok_or(Errno::EINVAL)?;
        let range = Range { start, end };
        let occupied = areas.overlapping(range).next().is_some();
        if !is_usable(range) || (occupied && flags & REMAP == 0) {
            return fail(Errno::EINVAL);
        }
        range
    };
    if thread.process.limits.address_space() < areas.total().saturating_add(length) {
        return fail(Errno::ENOMEM);
    }
    let protection = Protection { read: true, write, execute };
    let content = Some((segment.memory.clone(), 0));
    memory.map_at(&mut areas, range, protection, true, content, "")?;
    if !write {
        areas.update(range, |area| area.may_write = false);
    }
    drop(areas);
    let mut state = segment.state.lock();
    state.attached = now();
    state.last = thread.process.pid;
    Ok(range.start)
}

/// `shmdt(2)`.
pub fn shmdt(thread: &Thread, [address, ..]: [u64; 6]) -> Result {
    if !address.is_multiple_of(PAGE_SIZE) {
        return fail(Errno::EINVAL);
    }
    let segments: alloc::vec::Vec<_> = SEGMENTS.lock().objects.values().cloned().collect();
    let memory = thread.memory();
    let mut areas = memory.areas.lock();
    // The segment of which an area that is there would start at the address.
    let whole = Range { start: address, end: crate::memory::TASK_END };
    let segment_of = |inode: &Arc<dyn vfs::Inode>| {
        segments.iter().find(|segment| mappers::is_same(&segment.memory.inode, inode))
    };
    let found = areas.overlapping(whole).find_map(|(start, area)| match &area.content {
        Content::File { file, offset, .. } if start.checked_sub(*offset) == Some(address) => {
            segment_of(&file.inode)
        }
        _ => None,
    });
    let Some(segment) = found else { return fail(Errno::EINVAL) };
    let all = Range { start: address, end: address + page_up(segment.size) };
    let parts: alloc::vec::Vec<Range> = areas
        .overlapping(all)
        .filter_map(|(start, area)| match &area.content {
            Content::File { file, offset, .. }
                if mappers::is_same(&file.inode, &segment.memory.inode)
                    && start.checked_sub(*offset) == Some(address) =>
            {
                Some(Range { start, end: area.end })
            }
            _ => None,
        })
        .collect();
    for part in parts {
        memory.unmap(&mut areas, part)?;
    }
    drop(areas);
    let mut state = segment.state.lock();
    state.detached = now();
    state.last = thread.process.pid;
    Ok(0)
}

/// `shmctl(2)`.
pub fn shmctl(thread: &Thread, [identifier, what, argument, ..]: [u64; 6]) -> Result {
    const LOCK: u32 = 11;
    const UNLOCK: u32 = 12;
    const SHM_INFO: u32 = 14;
    let what = what as u32 & !command::VERSION_64;
    let identity = thread.identity();
    match what {
        command::REMOVE | command::SET | command::STAT | LOCK | UNLOCK => {}
        command::INFO => return tell_limits(argument),
        SHM_INFO => return tell_use(argument),
        _ => return fail(Errno::EINVAL),
    }
    let raw = match what {
        command::SET => Some(user::read::<RawSegment>(argument)?),
        _ => None,
    };
    let segment = find(identifier)?;
    let permissions = segment.permissions();
    if what == command::STAT {
        permissions.check(&identity, 0o444)?;
        let attachments = mappers::count(&segment.memory.inode);
        let state = segment.state.lock();
        let raw = RawSegment {
            permissions: state.permissions.raw(),
            size: segment.size,
            attached: state.attached,
            detached: state.detached,
            changed: state.changed,
            creator: segment.creator,
            last: state.last,
            attachments,
            ..RawSegment::default()
        };
        drop(state);
        user::write(argument, &raw)?;
        return Ok(0);
    }
    permissions.check_owner(&identity)?;
    let mut state = segment.state.lock();
    match (what, raw) {
        (command::SET, Some(raw)) => {
            state.permissions.set(&raw.permissions);
            state.changed = now();
        }
        // Nothing is ever swapped.
        (LOCK, _) => state.permissions.mode |= MODE_LOCKED,
        (UNLOCK, _) => state.permissions.mode &= !MODE_LOCKED,
        _ => {
            state.permissions.mode |= MODE_REMOVED;
            let key = core::mem::replace(&mut state.permissions.key, super::PRIVATE);
            drop(state);
            segment.doomed.store(true, Ordering::SeqCst);
            SEGMENTS.lock().keys.remove(&key);
            // It is gone at once if nobody has it.
            let _ = find(identifier);
        }
    }
    Ok(0)
}

/// `struct shminfo64`.
fn tell_limits(to: u64) -> Result {
    const MOST: u64 = u64::MAX - (1 << 24);
    let highest = SEGMENTS.lock().highest();
    let limits: [u64; 9] = [MOST, 1, 4096, 4096, MOST, 0, 0, 0, 0];
    user::write(to, &limits)?;
    Ok(u64::from(highest))
}

/// `struct shm_info`.
fn tell_use(to: u64) -> Result {
    let table = SEGMENTS.lock();
    let count = table.objects.len() as u64;
    let pages = table.objects.values().map(|segment| page_up(segment.size) / PAGE_SIZE).sum();
    let highest = table.highest();
    drop(table);
    let words: [u64; 6] = [count, pages, pages, 0, 0, 0];
    user::write(to, &words)?;
    Ok(u64::from(highest))
}

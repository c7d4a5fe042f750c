//! `poll(2)`, `select(2)` and their kin.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use errno::Errno;

use super::{OpenFile, events};
use crate::abi::{Layout, SECOND, Timespec, Timeval};
use crate::error::{Fail, Result, fail};
use crate::notifier::{Listener, WakeTask};
use crate::process::Resource;
use crate::signal::{Set, with_mask};
use crate::thread::Thread;
use crate::{layout, user};

/// Waits until `look` finds something ready, or until the deadline. `look` is called once the
/// files tell about their changes, and after each.
fn wait_for_any(
    thread: &Thread,
    files: &[Option<Arc<OpenFile>>],
    deadline: u64,
    mut look: impl FnMut() -> usize,
) -> Result<usize> {
    let found = look();
    if found > 0 || deadline == 0 {
        return Ok(found);
    }
    let listener: Arc<dyn Listener> = Arc::new(WakeTask(sched::current()));
    let notifiers = || files.iter().flatten().filter_map(|file| file.file.notifier());
    notifiers().for_each(|notifier| notifier.add(&listener));
    let result = loop {
        let found = look();
        if found > 0 {
            break Ok(found);
        }
        if thread.is_interrupted() {
            break Err(Fail::RestartUnlessHandled);
        }
        if deadline != u64::MAX && hal::monotonic() >= deadline {
            break Ok(0);
        }
        sched::park_until(deadline);
    };
    notifiers().for_each(|notifier| notifier.remove(&listener));
    result
}

/// When a wait of this many nanoseconds ends: 0 when it is none, `u64::MAX` for `None`.
pub fn deadline_of(wait: Option<u64>) -> u64 {
    match wait {
        Some(0) => 0,
        Some(wait) => hal::monotonic().saturating_add(wait),
        None => u64::MAX,
    }
}

fn milliseconds(timeout: u64) -> Option<u64> {
    u64::try_from(timeout as i32).ok().map(|timeout| timeout * 1_000_000)
}

layout! {
    /// `struct pollfd`.
    pub struct PollDescriptor {
        pub descriptor: i32,
        pub events: u16,
        pub revents: u16,
    }
}

fn poll_until(thread: &Thread, array: u64, count: u64, deadline: u64) -> Result {
    let count = count as u32 as usize;
    if count as u64 > thread.process.limits.soft(Resource::Files) {
        return fail(Errno::EINVAL);
    }
    // Without descriptors the address does not matter: it is a way to sleep.
    let length = count * PollDescriptor::SIZE;
    let mut bytes = if count == 0 { Vec::new() } else { user::read_bytes(array, length)? };
    let mut wanted: Vec<PollDescriptor> =
        bytes.chunks(PollDescriptor::SIZE).map(PollDescriptor::decode).collect();
    let files: Vec<Option<Arc<OpenFile>>> = wanted
        .iter()
        .map(|entry| thread.files().get(entry.descriptor as u32 as u64).ok())
        .collect();
    let result = wait_for_any(thread, &files, deadline, || {
        let mut found = 0;
        for (entry, file) in wanted.iter_mut().zip(&files) {
            let always = events::ERR | events::HUP;
            entry.revents = match file {
                _ if entry.descriptor < 0 => 0,
                Some(file) => (file.file.ready() & (u32::from(entry.events) | always)) as u16,
                None => events::NVAL as u16,
            };
            found += usize::from(entry.revents != 0);
        }
        found
    });
    for (entry, chunk) in wanted.iter().zip(bytes.chunks_mut(PollDescriptor::SIZE)) {
        entry.encode(chunk);
    }
    if count > 0 {
        user::write_bytes(array, &bytes)?;
    }
    result.map(|found| found as u64)
}

/// `poll(2)`.
pub fn poll(thread: &Thread, [array, count, timeout, ..]: [u64; 6]) -> Result {
    poll_until(thread, array, count, deadline_of(milliseconds(timeout)))
}

/// A `struct timespec` that may be left out, in nanoseconds.
fn read_timeout(address: u64) -> Result<Option<u64>> {
    if address == 0 {
        return Ok(None);
    }
    let timeout: Timespec = user::read(address)?;
    Ok(Some(timeout.nanoseconds().ok_or(Errno::EINVAL)?))
}

/// Tells what is left of a wait. As on Linux, a bad address changes nothing about the result.
fn write_left(address: u64, deadline: u64) {
    if address != 0 {
        let left = if deadline == 0 { 0 } else { deadline.saturating_sub(hal::monotonic()) };
        let _ = user::write(address, &Timespec::from_nanoseconds(left));
    }
}

/// A set of signals that may be left out.
pub fn read_mask(address: u64, length: u64) -> Result<Option<Set>> {
    match address {
        0 => Ok(None),
        _ if length != 8 => fail(Errno::EINVAL),
        address => Ok(Some(user::read(address)?)),
    }
}

/// `ppoll(2)`.
pub fn ppoll(thread: &Thread, [array, count, timeout, mask, length, _]: [u64; 6]) -> Result {
    let deadline = deadline_of(read_timeout(timeout)?);
    let mask = read_mask(mask, length)?;
    let result = with_mask(thread, mask, || poll_until(thread, array, count, deadline));
    write_left(timeout, deadline);
    result
}

/// What each of the three sets of `select(2)` asks for.
const ASKED: [u32; 3] = [
    events::IN | events::RDNORM | events::RDBAND | events::HUP | events::ERR,
    events::OUT | events::WRNORM | events::WRBAND | events::ERR,
    events::PRI,
];

/// Descriptors that a set can name: as many as Linux's table of a process has, at least.
fn table_size(thread: &Thread) -> usize {
    let highest = thread.files().list().last().map_or(0, |(index, ..)| *index as usize);
    if highest < 64 { 64 } else { (highest + 1).next_power_of_two().max(256) }
}

fn select_until(thread: &Thread, count: u64, sets: [u64; 3], deadline: u64) -> Result {
    let count = usize::try_from(count as i32).map_err(|_| Errno::EINVAL)?;
    let count = count.min(table_size(thread));
    let bytes = count.div_ceil(64) * 8;
    let mut asked = [const { Vec::new() }; 3];
    for (set, address) in asked.iter_mut().zip(sets) {
        *set = if address == 0 { vec![0; bytes] } else { user::read_bytes(address, bytes)? };
    }
    let has = |set: &[u8], index: usize| set[index / 8] & 1 << (index % 8) != 0;
    let mut files = Vec::new();
    let mut indices = Vec::new();
    for index in 0..count {
        if asked.iter().any(|set| has(set, index)) {
            files.push(Some(thread.files().get(index as u64)?));
            indices.push(index);
        }
    }
    let mut found = [(); 3].map(|()| vec![0u8; bytes]);
    let total = wait_for_any(thread, &files, deadline, || {
        let mut total = 0;
        for (file, &index) in files.iter().flatten().zip(&indices) {
            let ready = file.file.ready();
            for ((set, found), wanted) in asked.iter().zip(&mut found).zip(ASKED) {
                if has(set, index) && ready & wanted != 0 {
                    found[index / 8] |= 1 << (index % 8);
                    total += 1;
                }
            }
        }
        total
    })?;
    for (set, address) in found.iter().zip(sets) {
        if address != 0 {
            user::write_bytes(address, set)?;
        }
    }
    Ok(total as u64)
}

/// `select(2)`.
pub fn select(thread: &Thread, [count, read, write, other, timeout, _]: [u64; 6]) -> Result {
    let wait = if timeout == 0 {
        None
    } else {
        let time: Timeval = user::read(timeout)?;
        let seconds = u64::try_from(time.seconds).map_err(|_| Errno::EINVAL)?;
        let fraction = u64::try_from(time.microseconds).map_err(|_| Errno::EINVAL)?;
        Some(seconds.saturating_mul(SECOND).saturating_add(fraction.saturating_mul(1000)))
    };
    let deadline = deadline_of(wait);
    let result = select_until(thread, count, [read, write, other], deadline);
    if timeout != 0 {
        let left = if deadline == 0 { 0 } else { deadline.saturating_sub(hal::monotonic()) };
        let _ = user::write(timeout, &Timeval::from_nanoseconds(left));
    }
    result
}

/// `pselect6(2)`.
pub fn pselect6(thread: &Thread, [count, read, write, other, timeout, mask]: [u64; 6]) -> Result {
    let [mask, length] = if mask == 0 { [0, 0] } else { user::read::<[u64; 2]>(mask)? };
    let deadline = deadline_of(read_timeout(timeout)?);
    let mask = read_mask(mask, length)?;
    let result =
        with_mask(thread, mask, || select_until(thread, count, [read, write, other], deadline));
    write_left(timeout, deadline);
    result
}

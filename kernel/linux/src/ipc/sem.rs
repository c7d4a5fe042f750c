//! Semaphores: `semget(2)`, `semop(2)`, `semctl(2)`.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use errno::Errno;
use lock::SpinLock;
use sched::WaitQueue;

use super::{NO_WAIT, Object, Permissions, RawPermissions, Table, command};
use crate::abi::{Layout, SECOND, Timespec};
use crate::error::{Fail, Result, fail};
use crate::process::Process;
use crate::thread::Thread;
use crate::{layout, rank, user};

/// The most semaphores of a set, and operations of a call.
const MAX_SEMAPHORES: u64 = 32_000;
const MAX_OPERATIONS: u64 = 500;
/// The largest value.
const MAX_VALUE: i32 = 32_767;
const UNDO: i16 = 0x1000;

static SETS: SpinLock<Table<Set>> = SpinLock::new(rank::IPC_TABLE, Table::new());

#[derive(Clone, Default)]
struct Semaphore {
    value: i32,
    /// Who changed it last.
    pid: u32,
    /// Who waits for more, and for zero.
    waiting: [u32; 2],
}

struct State {
    permissions: Permissions,
    semaphores: Vec<Semaphore>,
    /// What processes have to give back when they end.
    undo: BTreeMap<u32, Vec<i32>>,
    changed: u64,
    operated: u64,
}

struct Set {
    state: SpinLock<State>,
    removed: AtomicBool,
    /// Whoever waits for a value.
    waiters: WaitQueue,
}

impl Object for Set {
    fn permissions(&self) -> Permissions {
        self.state.lock().permissions
    }
}

/// The sets that a process has to give something back to.
#[derive(Default)]
pub struct Undo(Vec<Weak<Set>>);

layout! {
    /// `struct sembuf`.
    pub struct Operation {
        pub number: u16,
        pub change: i16,
        pub flags: i16,
    }

    /// `struct semid64_ds`.
    pub struct RawSet {
        pub permissions: RawPermissions,
        pub operated: u64,
        pub unused_1: u64,
        pub changed: u64,
        pub unused_2: u64,
        pub count: u64,
        pub unused_3: [u64; 2],
    }
}

fn now() -> u64 {
    hal::realtime() / SECOND
}

/// `semget(2)`.
pub fn semget(thread: &Thread, [key, count, flags, ..]: [u64; 6]) -> Result {
    let count = count as i32;
    if count < 0 || count as u64 > MAX_SEMAPHORES {
        return fail(Errno::EINVAL);
    }
    let count = count as usize;
    let enough = |set: &Set| {
        let short = count > set.state.lock().semaphores.len();
        if short { fail(Errno::EINVAL) } else { Ok(()) }
    };
    SETS.lock().get(thread, key as u32, flags as u32, enough, |permissions| {
        if count == 0 {
            return fail(Errno::EINVAL);
        }
        let state = State {
            permissions,
            semaphores: vec![Semaphore::default(); count],
            undo: BTreeMap::new(),
            changed: now(),
            operated: 0,
        };
        Ok(Set {
            state: SpinLock::new(rank::IPC, state),
            removed: AtomicBool::new(false),
            waiters: WaitQueue::new(),
        })
    })
}

impl State {
    /// Carries out all operations or none; gives the semaphore to wait for, and whether for zero.
    fn attempt(&mut self, operations: &[Operation], pid: u32) -> Result<Option<(usize, bool)>> {
        let mut values: Vec<i32> = self.semaphores.iter().map(|own| own.value).collect();
        for operation in operations {
            let number = usize::from(operation.number);
            let change = i32::from(operation.change);
            let value = &mut values[number];
            let blocked = if change == 0 { *value != 0 } else { *value + change < 0 };
            if blocked {
                if operation.flags as u32 & NO_WAIT != 0 {
                    return fail(Errno::EAGAIN);
                }
                return Ok(Some((number, change == 0)));
            }
            if *value + change > MAX_VALUE {
                return fail(Errno::ERANGE);
            }
            *value += change;
        }
        for operation in operations.iter().filter(|operation| operation.flags & UNDO != 0) {
            let count = self.semaphores.len();
            let owed = self.undo.entry(pid).or_insert_with(|| vec![0; count]);
            owed[usize::from(operation.number)] -= i32::from(operation.change);
        }
        for operation in operations {
            let semaphore = &mut self.semaphores[usize::from(operation.number)];
            semaphore.pid = pid;
        }
        for (semaphore, value) in self.semaphores.iter_mut().zip(values) {
            semaphore.value = value;
        }
        self.operated = now();
        Ok(None)
    }
}

/// `semtimedop(2)`.
pub fn semtimedop(thread: &Thread, [set, array, count, timeout, ..]: [u64; 6]) -> Result {
    let deadline = if timeout == 0 {
        u64::MAX
    } else {
        let timeout: Timespec = user::read(timeout)?;
        hal::monotonic().saturating_add(timeout.nanoseconds().ok_or(Errno::EINVAL)?)
    };
    let count = count & 0xffff_ffff;
    if count < 1 || (set as i32) < 0 {
        return fail(Errno::EINVAL);
    }
    if count > MAX_OPERATIONS {
        return fail(Errno::E2BIG);
    }
    let bytes = user::read_bytes(array, count as usize * Operation::SIZE)?;
    let operations: Vec<Operation> = bytes.chunks(Operation::SIZE).map(Operation::decode).collect();
    let found = SETS.lock().find(set)?;
    let largest = operations.iter().map(|operation| usize::from(operation.number)).max();
    let alters = operations.iter().any(|operation| operation.change != 0);
    let state = found.state.lock();
    if largest >= Some(state.semaphores.len()) {
        return fail(Errno::EFBIG);
    }
    let permissions = state.permissions;
    drop(state);
    permissions.check(&thread.identity(), if alters { 0o222 } else { 0o444 })?;
    if operations.iter().any(|operation| operation.flags & UNDO != 0) {
        remember(&thread.process, &found);
    }
    let pid = thread.process.pid;
    let mut waits: Option<(usize, bool)> = None;
    let stop_waiting = |state: &mut State, waits: &mut Option<(usize, bool)>| {
        if let Some((number, for_zero)) = waits.take() {
            state.semaphores[number].waiting[usize::from(for_zero)] -= 1;
        }
    };
    let done = found.waiters.wait_until(deadline, || {
        if found.removed.load(Ordering::SeqCst) {
            return Some(fail(Errno::EIDRM));
        }
        let mut state = found.state.lock();
        stop_waiting(&mut state, &mut waits);
        match state.attempt(&operations, pid) {
            Ok(None) => return Some(Ok(0)),
            Ok(Some(next)) => waits = Some(next),
            Err(error) => return Some(Err(error)),
        }
        if let Some((number, for_zero)) = waits {
            state.semaphores[number].waiting[usize::from(for_zero)] += 1;
        }
        drop(state);
        thread.is_interrupted().then_some(Err(Fail::Errno(Errno::EINTR)))
    });
    stop_waiting(&mut found.state.lock(), &mut waits);
    match done {
        Some(result) => {
            if result.is_ok() && alters {
                found.waiters.wake_all();
            }
            result
        }
        None => fail(Errno::EAGAIN),
    }
}

/// `semop(2)`.
pub fn semop(thread: &Thread, [set, array, count, ..]: [u64; 6]) -> Result {
    semtimedop(thread, [set, array, count, 0, 0, 0])
}

fn remember(process: &Process, set: &Arc<Set>) {
    let mut undo = process.undo.lock();
    let own = Arc::downgrade(set);
    if !undo.0.iter().any(|known| known.ptr_eq(&own)) {
        undo.0.push(own);
    }
}

/// Gives back what a process owes that ends.
pub fn end_undo(process: &Process) {
    let sets = core::mem::take(&mut process.undo.lock().0);
    for set in sets.iter().filter_map(Weak::upgrade) {
        let mut state = set.state.lock();
        let Some(owed) = state.undo.remove(&process.pid) else { continue };
        for (semaphore, change) in state.semaphores.iter_mut().zip(owed) {
            if change != 0 {
                semaphore.value = (semaphore.value + change).clamp(0, MAX_VALUE);
                semaphore.pid = process.pid;
            }
        }
        drop(state);
        set.waiters.wake_all();
    }
}

/// `semctl(2)`.
pub fn semctl(thread: &Thread, [set, number, what, argument, ..]: [u64; 6]) -> Result {
    const GET_PID: u32 = 11;
    const GET_VALUE: u32 = 12;
    const GET_ALL: u32 = 13;
    const GET_MORE_WAITERS: u32 = 14;
    const GET_ZERO_WAITERS: u32 = 15;
    const SET_VALUE: u32 = 16;
    const SET_ALL: u32 = 17;
    const SEM_STAT: u32 = 18;
    const SEM_INFO: u32 = 19;
    const SEM_STAT_ANY: u32 = 20;
    let what = what as u32 & !command::VERSION_64;
    let identity = thread.identity();
    match what {
        command::REMOVE | command::SET | command::STAT => {}
        GET_PID..=SET_ALL => {}
        command::INFO | SEM_INFO => return tell_limits(argument, what == SEM_INFO),
        // By place in the table: for `ipcs`, which reads /proc/sysvipc now.
        SEM_STAT | SEM_STAT_ANY => return fail(Errno::EINVAL),
        _ => return fail(Errno::EINVAL),
    }
    let found = SETS.lock().find(set)?;
    let state = found.state.lock();
    let (permissions, count) = (state.permissions, state.semaphores.len());
    drop(state);
    match what {
        command::REMOVE => {
            permissions.check_owner(&identity)?;
            SETS.lock().remove(set);
            found.removed.store(true, Ordering::SeqCst);
            found.waiters.wake_all();
            return Ok(0);
        }
        command::SET => {
            let raw: RawSet = user::read(argument)?;
            permissions.check_owner(&identity)?;
            let mut state = found.state.lock();
            state.permissions.set(&raw.permissions);
            state.changed = now();
            return Ok(0);
        }
        SET_VALUE | SET_ALL => permissions.check(&identity, 0o222)?,
        _ => permissions.check(&identity, 0o444)?,
    }
    let index = number as i32 as usize;
    let one = matches!(what, GET_PID | GET_VALUE | GET_MORE_WAITERS | GET_ZERO_WAITERS | SET_VALUE);
    if one && index >= count {
        return fail(Errno::EINVAL);
    }
    match what {
        command::STAT => {
            let state = found.state.lock();
            let raw = RawSet {
                permissions: state.permissions.raw(),
                operated: state.operated,
                changed: state.changed,
                count: count as u64,
                ..RawSet::default()
            };
            drop(state);
            user::write(argument, &raw)?;
        }
        GET_PID => return Ok(u64::from(found.state.lock().semaphores[index].pid)),
        GET_VALUE => return Ok(found.state.lock().semaphores[index].value as u64),
        GET_MORE_WAITERS => return Ok(found.state.lock().semaphores[index].waiting[0].into()),
        GET_ZERO_WAITERS => return Ok(found.state.lock().semaphores[index].waiting[1].into()),
        GET_ALL => {
            let values: Vec<u8> = found
                .state
                .lock()
                .semaphores
                .iter()
                .flat_map(|semaphore| (semaphore.value as u16).to_le_bytes())
                .collect();
            user::write_bytes(argument, &values)?;
        }
        SET_VALUE => set_values(&found, thread, &[(index, argument as i32)])?,
        _ => {
            let bytes = user::read_bytes(argument, 2 * count)?;
            let values: Vec<(usize, i32)> = bytes
                .chunks(2)
                .map(|pair| i32::from(u16::from_le_bytes([pair[0], pair[1]])))
                .enumerate()
                .collect();
            set_values(&found, thread, &values)?;
        }
    }
    Ok(0)
}

fn set_values(set: &Set, thread: &Thread, values: &[(usize, i32)]) -> Result<()> {
    if values.iter().any(|(_, value)| !(0..=MAX_VALUE).contains(value)) {
        return fail(Errno::ERANGE);
    }
    let mut state = set.state.lock();
    for &(index, value) in values {
        // Nobody has to give back what was set.
        state.undo.values_mut().for_each(|owed| owed[index] = 0);
        let semaphore = &mut state.semaphores[index];
        semaphore.value = value;
        semaphore.pid = thread.process.pid;
    }
    state.changed = now();
    drop(state);
    set.waiters.wake_all();
    Ok(())
}

/// `struct seminfo`.
fn tell_limits(to: u64, used: bool) -> Result {
    let table = SETS.lock();
    let sets: Vec<Arc<Set>> = table.objects.values().cloned().collect();
    let highest = table.highest();
    drop(table);
    let semaphores: usize = sets.iter().map(|set| set.state.lock().semaphores.len()).sum();
    let largest = MAX_VALUE as u32;
    let limits = [
        1_024_000_000,
        super::MAX_OBJECTS as u32,
        1_024_000_000,
        1_024_000_000,
        MAX_SEMAPHORES as u32,
        MAX_OPERATIONS as u32,
        MAX_OPERATIONS as u32,
        if used { sets.len() as u32 } else { 20 },
        largest,
        if used { semaphores as u32 } else { largest },
    ];
    user::write(to, &limits)?;
    Ok(u64::from(highest))
}

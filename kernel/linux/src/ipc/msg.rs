//! Message queues: `msgget(2)`, `msgsnd(2)`, `msgrcv(2)`, `msgctl(2)`.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use errno::Errno;
use lock::SpinLock;
use sched::WaitQueue;

use super::{NO_WAIT, Object, Permissions, RawPermissions, Table, command};
use crate::abi::SECOND;
use crate::error::{Fail, Result, fail};
use crate::thread::Thread;
use crate::{layout, rank, user};

/// Bytes of a message, and of a queue, as Linux's defaults.
const MAX_MESSAGE: u64 = 8192;
const MAX_QUEUE: u64 = 16_384;
const NO_ERROR: u64 = 0o10000;
const EXCEPT: u64 = 0o20000;
const COPY: u64 = 0o40000;
const CAP_SYS_RESOURCE: u32 = 24;

static QUEUES: SpinLock<Table<Queue>> = SpinLock::new(rank::IPC_TABLE, Table::new());

struct Message {
    kind: i64,
    text: Vec<u8>,
}

struct State {
    permissions: Permissions,
    messages: VecDeque<Message>,
    bytes: u64,
    limit: u64,
    sent: (u64, u32),
    received: (u64, u32),
    changed: u64,
}

struct Queue {
    state: SpinLock<State>,
    removed: AtomicBool,
    /// Whoever waits for room or for a message.
    waiters: WaitQueue,
}

impl Object for Queue {
    fn permissions(&self) -> Permissions {
        self.state.lock().permissions
    }
}

layout! {
    /// `struct msqid64_ds`.
    pub struct RawQueue {
        pub permissions: RawPermissions,
        pub sent: u64,
        pub received: u64,
        pub changed: u64,
        pub bytes: u64,
        pub messages: u64,
        pub limit: u64,
        pub sender: u32,
        pub receiver: u32,
        pub unused: [u64; 2],
    }
}

fn now() -> u64 {
    hal::realtime() / SECOND
}

/// `msgget(2)`.
pub fn msgget(thread: &Thread, [key, flags, ..]: [u64; 6]) -> Result {
    QUEUES.lock().get(
        thread,
        key as u32,
        flags as u32,
        |_| Ok(()),
        |permissions| {
            let state = State {
                permissions,
                messages: VecDeque::new(),
                bytes: 0,
                limit: MAX_QUEUE,
                sent: (0, 0),
                received: (0, 0),
                changed: now(),
            };
            Ok(Queue {
                state: SpinLock::new(rank::IPC, state),
                removed: AtomicBool::new(false),
                waiters: WaitQueue::new(),
            })
        },
    )
}

/// Waits until `attempt` gives something; it fails with `EAGAIN` as long as it is to wait.
fn wait<T>(
    thread: &Thread,
    queue: &Queue,
    may_wait: bool,
    instead: Errno,
    mut attempt: impl FnMut(&mut State) -> Result<Option<T>>,
) -> Result<T> {
    let found = queue.waiters.wait(|| {
        if queue.removed.load(Ordering::SeqCst) {
            return Some(fail(Errno::EIDRM));
        }
        match attempt(&mut queue.state.lock()) {
            Ok(None) if !may_wait => Some(fail(instead)),
            Ok(None) => thread.is_interrupted().then_some(Err(Fail::RestartUnlessHandled)),
            Ok(Some(value)) => Some(Ok(value)),
            Err(error) => Some(Err(error)),
        }
    })?;
    queue.waiters.wake_all();
    Ok(found)
}

/// `msgsnd(2)`.
pub fn msgsnd(thread: &Thread, [queue, message, length, flags, ..]: [u64; 6]) -> Result {
    let kind: i64 = user::read(message)?;
    if length > MAX_MESSAGE || (queue as i32) < 0 || kind < 1 {
        return fail(Errno::EINVAL);
    }
    let mut text = Some(user::read_bytes(message + 8, length as usize)?);
    let found = QUEUES.lock().find(queue)?;
    found.permissions().check(&thread.identity(), 0o222)?;
    let may_wait = flags as u32 & NO_WAIT == 0;
    wait(thread, &found, may_wait, Errno::EAGAIN, |state| {
        let fits = state.bytes + length <= state.limit;
        if !fits || state.messages.len() as u64 >= state.limit {
            return Ok(None);
        }
        state.bytes += length;
        state.sent = (now(), thread.process.pid);
        state.messages.push_back(Message { kind, text: text.take().unwrap_or_default() });
        Ok(Some(0))
    })
}

/// Where the message is that a type asks for.
fn position(messages: &VecDeque<Message>, wanted: i64, flags: u64) -> Option<usize> {
    match wanted {
        0 => (!messages.is_empty()).then_some(0),
        wanted if wanted < 0 => {
            let most = wanted.checked_neg().unwrap_or(i64::MAX);
            let kinds = messages.iter().map(|message| message.kind).filter(|kind| *kind <= most);
            let lowest = kinds.min()?;
            messages.iter().position(|message| message.kind == lowest)
        }
        wanted if flags & EXCEPT != 0 => messages.iter().position(|own| own.kind != wanted),
        wanted => messages.iter().position(|message| message.kind == wanted),
    }
}

/// `msgrcv(2)`.
pub fn msgrcv(thread: &Thread, [queue, to, room, wanted, flags, _]: [u64; 6]) -> Result {
    if (queue as i32) < 0 || (room as i64) < 0 {
        return fail(Errno::EINVAL);
    }
    if flags & COPY != 0 {
        return fail(Errno::ENOSYS);
    }
    let found = QUEUES.lock().find(queue)?;
    found.permissions().check(&thread.identity(), 0o444)?;
    let may_wait = flags as u32 & NO_WAIT == 0;
    let message = wait(thread, &found, may_wait, Errno::ENOMSG, |state| {
        let Some(index) = position(&state.messages, wanted as i64, flags) else { return Ok(None) };
        let length = state.messages[index].text.len() as u64;
        if length > room && flags & NO_ERROR == 0 {
            return fail(Errno::E2BIG);
        }
        state.bytes -= length;
        state.received = (now(), thread.process.pid);
        Ok(state.messages.remove(index))
    })?;
    let length = message.text.len().min(room as usize);
    user::write(to, &message.kind)?;
    user::write_bytes(to + 8, &message.text[..length])?;
    Ok(length as u64)
}

/// `msgctl(2)`.
pub fn msgctl(thread: &Thread, [queue, what, argument, ..]: [u64; 6]) -> Result {
    const MSG_INFO: u32 = 12;
    let what = what as u32 & !command::VERSION_64;
    let identity = thread.identity();
    if !matches!(what, command::REMOVE | command::SET | command::STAT) {
        return match what {
            command::INFO | MSG_INFO => tell_limits(argument, what == MSG_INFO),
            _ => fail(Errno::EINVAL),
        };
    }
    let raw = match what {
        command::SET => Some(user::read::<RawQueue>(argument)?),
        _ => None,
    };
    let found: Arc<Queue> = QUEUES.lock().find(queue)?;
    let permissions = found.permissions();
    match raw {
        None if what == command::STAT => {
            permissions.check(&identity, 0o444)?;
            let state = found.state.lock();
            let raw = RawQueue {
                permissions: state.permissions.raw(),
                sent: state.sent.0,
                received: state.received.0,
                changed: state.changed,
                bytes: state.bytes,
                messages: state.messages.len() as u64,
                limit: state.limit,
                sender: state.sent.1,
                receiver: state.received.1,
                ..RawQueue::default()
            };
            drop(state);
            user::write(argument, &raw)?;
        }
        None => {
            permissions.check_owner(&identity)?;
            QUEUES.lock().remove(queue);
            found.removed.store(true, Ordering::SeqCst);
            found.waiters.wake_all();
        }
        Some(raw) => {
            permissions.check_owner(&identity)?;
            if raw.limit > MAX_QUEUE && !identity.can(CAP_SYS_RESOURCE) {
                return fail(Errno::EPERM);
            }
            let mut state = found.state.lock();
            state.permissions.set(&raw.permissions);
            state.limit = raw.limit;
            state.changed = now();
            drop(state);
            found.waiters.wake_all();
        }
    }
    Ok(0)
}

/// `struct msginfo`.
fn tell_limits(to: u64, used: bool) -> Result {
    let table = QUEUES.lock();
    let queues: Vec<Arc<Queue>> = table.objects.values().cloned().collect();
    let highest = table.highest();
    drop(table);
    let (mut messages, mut bytes) = (0, 0);
    for queue in &queues {
        let state = queue.state.lock();
        messages += state.messages.len() as u32;
        bytes += state.bytes as u32;
    }
    let words = [
        if used { queues.len() as u32 } else { 32_768 },
        if used { messages } else { MAX_QUEUE as u32 },
        MAX_MESSAGE as u32,
        MAX_QUEUE as u32,
        super::MAX_OBJECTS as u32,
        16,
        if used { bytes } else { MAX_QUEUE as u32 },
        0xffff,
    ];
    user::write(to, &words)?;
    Ok(u64::from(highest))
}

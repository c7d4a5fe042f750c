//! `epoll(7)`.
//!
//! Each watched file has an item that listens to it. A change puts the item in the list of those
//! to look at; a wait looks at them and keeps those that stay ready, unless they are
//! edge-triggered.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, Ordering};

use errno::Errno;
use lock::SpinLock;

use super::poll::{deadline_of, read_mask};
use super::{File, OpenFile, events, flags};
use crate::abi::{Layout, Timespec};
use crate::error::{Fail, Result, fail};
use crate::notifier::{Listener, Notifier};
use crate::signal::with_mask;
use crate::thread::Thread;
use crate::{layout, rank, user};

const EXCLUSIVE: u32 = 1 << 28;
const WAKEUP: u32 = 1 << 29;
const ONESHOT: u32 = 1 << 30;
const EDGE: u32 = 1 << 31;
/// Bits that are no events.
const OPTIONS: u32 = EXCLUSIVE | WAKEUP | ONESHOT | EDGE;
/// How deep epolls may watch each other.
const MAX_DEPTH: usize = 5;

layout! {
    /// `struct epoll_event`, which is packed.
    pub struct EpollEvent {
        pub events: u32,
        pub data: u64,
    }
}

struct Item {
    epoll: Weak<Epoll>,
    file: Weak<OpenFile>,
    setting: SpinLock<EpollEvent>,
    /// In the list of those to look at.
    queued: AtomicBool,
    /// Not watched any more.
    removed: AtomicBool,
    own: Weak<Self>,
}

impl Item {
    /// What is ready of what is asked for.
    fn ready(&self) -> (u32, EpollEvent) {
        let setting = *self.setting.lock();
        let asked = setting.events & !OPTIONS;
        if asked == 0 || self.removed.load(Ordering::SeqCst) {
            return (0, setting);
        }
        let always = events::ERR | events::HUP;
        let ready = self.file.upgrade().map_or(0, |open| open.file.ready());
        (ready & (asked | always), setting)
    }

    /// Puts it in the list of those to look at and wakes who waits.
    fn queue(&self) {
        let (Some(epoll), Some(own)) = (self.epoll.upgrade(), self.own.upgrade()) else { return };
        epoll.queue(own);
        epoll.notifier.notify_of(events::IN | events::RDNORM);
    }
}

impl Listener for Item {
    fn notified(&self, changed: u32) {
        let asked = self.setting.lock().events & !OPTIONS;
        if asked != 0 && changed & (asked | events::ERR | events::HUP) != 0 {
            self.queue();
        }
    }
}

/// Names an item: the descriptor and the open file that were given.
type Key = (u32, usize);

struct Epoll {
    items: SpinLock<BTreeMap<Key, Arc<Item>>>,
    /// Those to look at.
    list: SpinLock<VecDeque<Arc<Item>>>,
    notifier: Notifier,
}

impl Epoll {
    fn queue(&self, item: Arc<Item>) {
        if !item.queued.swap(true, Ordering::SeqCst) {
            self.list.lock().push_back(item);
        }
    }

    /// Up to `limit` events.
    fn collect(&self, limit: usize) -> Vec<EpollEvent> {
        let mut found = Vec::new();
        let mut again = Vec::new();
        let mut left = self.list.lock().len();
        while found.len() < limit && left > 0 {
            left -= 1;
            let Some(item) = self.list.lock().pop_front() else { break };
            // Changes from here on put it back.
            item.queued.store(false, Ordering::SeqCst);
            let (ready, setting) = item.ready();
            if ready == 0 {
                continue;
            }
            found.push(EpollEvent { events: ready, data: setting.data });
            if setting.events & ONESHOT != 0 {
                item.setting.lock().events &= OPTIONS;
            } else if setting.events & EDGE == 0 {
                again.push(item);
            }
        }
        for item in again {
            self.queue(item);
        }
        found
    }

    /// How many epolls deep this one watches others; `None`: it watches `target`.
    fn depth(&self, target: &Self, limit: usize) -> Option<usize> {
        if core::ptr::eq(self, target) || limit == 0 {
            return None;
        }
        let items: Vec<Arc<Item>> = self.items.lock().values().cloned().collect();
        let mut deepest = 0;
        for open in items.iter().filter_map(|item| item.file.upgrade()) {
            if let Some(inner) = open.file.as_any().downcast_ref::<Self>() {
                deepest = deepest.max(inner.depth(target, limit - 1)?);
            }
        }
        Some(deepest + 1)
    }
}

impl File for Epoll {
    fn ready(&self) -> u32 {
        let items: Vec<Arc<Item>> = self.list.lock().iter().cloned().collect();
        let any = items.iter().any(|item| item.ready().0 != 0);
        if any { events::IN | events::RDNORM } else { 0 }
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.notifier)
    }

    fn label(&self) -> alloc::string::String {
        "anon_inode:[eventpoll]".into()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `epoll_create1(2)`.
pub fn epoll_create1(thread: &Thread, [options, ..]: [u64; 6]) -> Result {
    let options = options as u32;
    if options & !flags::CLOEXEC != 0 {
        return fail(Errno::EINVAL);
    }
    let epoll = Arc::new(Epoll {
        items: SpinLock::new(rank::EPOLL, BTreeMap::new()),
        list: SpinLock::new(rank::EPOLL, VecDeque::new()),
        notifier: Notifier::new(),
    });
    let open = OpenFile::new(epoll, None, flags::RDWR);
    thread.add_file(open, options & flags::CLOEXEC != 0)
}

/// `epoll_create(2)`.
pub fn epoll_create(thread: &Thread, [size, ..]: [u64; 6]) -> Result {
    if size as i32 <= 0 {
        return fail(Errno::EINVAL);
    }
    epoll_create1(thread, [0; 6])
}

fn epoll_of(open: &OpenFile) -> Result<Arc<Epoll>> {
    let file: Arc<dyn Any + Send + Sync> = Arc::clone(&open.file) as _;
    Ok(file.downcast().map_err(|_| Errno::EINVAL)?)
}

/// `epoll_ctl(2)`.
pub fn epoll_ctl(thread: &Thread, [epoll, operation, descriptor, event, ..]: [u64; 6]) -> Result {
    const ADD: u32 = 1;
    const DELETE: u32 = 2;
    const MODIFY: u32 = 3;
    let operation = operation as u32;
    let mut setting = if operation == DELETE { EpollEvent::default() } else { user::read(event)? };
    let own = thread.files().get(epoll)?;
    let target = thread.files().get(descriptor)?;
    let Some(notifier) = target.file.notifier() else { return fail(Errno::EPERM) };
    if Arc::ptr_eq(&own, &target) {
        return fail(Errno::EINVAL);
    }
    let epoll = epoll_of(&own)?;
    let inner = target.file.as_any().downcast_ref::<Epoll>();
    let exclusive = setting.events & EXCLUSIVE != 0;
    if exclusive && (operation == MODIFY || (operation == ADD && inner.is_some())) {
        return fail(Errno::EINVAL);
    }
    const WITH_EXCLUSIVE: u32 =
        events::IN | events::OUT | events::ERR | events::HUP | EXCLUSIVE | WAKEUP | EDGE;
    if exclusive && operation == ADD && setting.events & !WITH_EXCLUSIVE != 0 {
        return fail(Errno::EINVAL);
    }
    // Errors and hang-ups are always told, so an item that asks for nothing else is not disabled.
    setting.events |= events::ERR | events::HUP;
    let key = (descriptor as u32, Arc::as_ptr(&target).addr());
    let found = epoll.items.lock().get(&key).cloned();
    // The descriptor's number may have been another file's, which is gone.
    let found = found.filter(|item| item.file.strong_count() > 0);
    match (operation, found) {
        (ADD, Some(_)) => return fail(Errno::EEXIST),
        (ADD, None) => {
            if let Some(inner) = inner
                && inner.depth(&epoll, MAX_DEPTH).is_none_or(|depth| depth >= MAX_DEPTH)
            {
                return fail(Errno::ELOOP);
            }
            let item = Arc::new_cyclic(|own| Item {
                epoll: Arc::downgrade(&epoll),
                file: Arc::downgrade(&target),
                setting: SpinLock::new(rank::EPOLL, setting),
                queued: AtomicBool::new(false),
                removed: AtomicBool::new(false),
                own: Weak::clone(own),
            });
            let listener: Arc<dyn Listener> = item.clone();
            let mut items = epoll.items.lock();
            items.retain(|_, item| item.file.strong_count() > 0);
            items.insert(key, Arc::clone(&item));
            drop(items);
            notifier.add(&listener);
            if item.ready().0 != 0 {
                item.queue();
            }
        }
        (MODIFY, Some(item)) => {
            if item.setting.lock().events & EXCLUSIVE != 0 {
                return fail(Errno::EINVAL);
            }
            *item.setting.lock() = setting;
            if item.ready().0 != 0 {
                item.queue();
            }
        }
        (DELETE, Some(item)) => {
            item.removed.store(true, Ordering::SeqCst);
            let listener: Arc<dyn Listener> = item;
            notifier.remove(&listener);
            let gone = epoll.items.lock().remove(&key);
            drop(gone);
        }
        (MODIFY | DELETE, None) => return fail(Errno::ENOENT),
        _ => return fail(Errno::EINVAL),
    }
    Ok(0)
}

fn wait_until(thread: &Thread, epoll: u64, to: u64, limit: u64, deadline: u64) -> Result {
    let limit = usize::try_from(limit as i32)
        .ok()
        .filter(|limit| (1..=i32::MAX as usize / EpollEvent::SIZE).contains(limit))
        .ok_or(Errno::EINVAL)?;
    if to.saturating_add((limit * EpollEvent::SIZE) as u64) > crate::memory::TASK_END {
        return fail(Errno::EFAULT);
    }
    let open = thread.files().get(epoll)?;
    let epoll = epoll_of(&open)?;
    let found = open.wait_for(thread, deadline != 0, deadline, || {
        let found = epoll.collect(limit);
        if found.is_empty() { fail(Errno::EAGAIN) } else { Ok(found) }
    });
    let found = match found {
        Ok(found) => {
            // Another waiter may have looked while those that stay ready were off the list.
            if !epoll.list.lock().is_empty() {
                epoll.notifier.notify_of(events::IN | events::RDNORM);
            }
            found
        }
        Err(Fail::Errno(Errno::EAGAIN)) => return Ok(0),
        // It never starts again by itself.
        Err(Fail::Restart) => return Err(Fail::RestartUnlessHandled),
        Err(error) => return Err(error),
    };
    let mut bytes = alloc::vec![0; found.len() * EpollEvent::SIZE];
    for (event, chunk) in found.iter().zip(bytes.chunks_mut(EpollEvent::SIZE)) {
        event.encode(chunk);
    }
    user::write_bytes(to, &bytes)?;
    Ok(found.len() as u64)
}

fn milliseconds(timeout: u64) -> u64 {
    deadline_of(u64::try_from(timeout as i32).ok().map(|timeout| timeout * 1_000_000))
}

/// `epoll_wait(2)`.
pub fn epoll_wait(thread: &Thread, [epoll, to, limit, timeout, ..]: [u64; 6]) -> Result {
    wait_until(thread, epoll, to, limit, milliseconds(timeout))
}

/// `epoll_pwait(2)`.
pub fn epoll_pwait(thread: &Thread, [epoll, to, limit, timeout, mask, length]: [u64; 6]) -> Result {
    let mask = read_mask(mask, length)?;
    let deadline = milliseconds(timeout);
    with_mask(thread, mask, || wait_until(thread, epoll, to, limit, deadline))
}

/// `epoll_pwait2(2)`.
pub fn epoll_pwait2(
    thread: &Thread,
    [epoll, to, limit, timeout, mask, length]: [u64; 6],
) -> Result {
    let wait = if timeout == 0 {
        None
    } else {
        let timeout: Timespec = user::read(timeout)?;
        Some(timeout.nanoseconds().ok_or(Errno::EINVAL)?)
    };
    let deadline = deadline_of(wait);
    let mask = read_mask(mask, length)?;
    with_mask(thread, mask, || wait_until(thread, epoll, to, limit, deadline))
}

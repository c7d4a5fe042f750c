//! Readiness: how whoever waits for a file hears that it may have become ready.
//!
//! A file that can be waited for has a [`Notifier`]. Whoever waits (a blocking call, `poll`,
//! `epoll`) adds a [`Listener`] and then looks at the file's readiness; whoever changes the
//! readiness makes the change first and then calls [`Notifier::notify`]. So no change is missed.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use lock::SpinLock;
use sched::Task;

use crate::rank;

/// Somebody who waits.
pub trait Listener: Send + Sync {
    /// The file may have become ready for these [events](crate::file::events). Called without the
    /// file's locks held; must not sleep.
    fn notified(&self, events: u32);
}

/// Whoever waits for one file.
pub struct Notifier {
    listeners: SpinLock<Vec<Weak<dyn Listener>>>,
}

impl Default for Notifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Notifier {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self { listeners: SpinLock::new(rank::NOTIFIER, Vec::new()) }
    }

    /// Adds a listener; it is forgotten when it is dropped or removed.
    pub fn add(&self, listener: &Arc<dyn Listener>) {
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(listener));
    }

    /// Removes a listener.
    pub fn remove(&self, listener: &Arc<dyn Listener>) {
        let wanted = Arc::downgrade(listener);
        self.listeners.lock().retain(|listener| !listener.ptr_eq(&wanted));
    }

    /// Tells all listeners that something changed.
    pub fn notify(&self) {
        self.notify_of(u32::MAX);
    }

    /// Tells all listeners that the file may have become ready for these events and no others:
    /// an edge-triggered waiter reports such changes once.
    pub fn notify_of(&self, events: u32) {
        // Most files have one waiter: its wake-up needs no memory.
        let (first, rest) = {
            let listeners = self.listeners.lock();
            let mut alive = listeners.iter().filter_map(Weak::upgrade);
            let Some(first) = alive.next() else { return };
            (first, alive.collect::<Vec<_>>())
        };
        first.notified(events);
        for listener in rest {
            listener.notified(events);
        }
    }
}

/// A listener that wakes a task.
pub struct WakeTask(pub Arc<Task>);

impl Listener for WakeTask {
    fn notified(&self, _events: u32) {
        self.0.unpark();
    }
}

//! Readiness: how whoever waits for a file hears that it may have become ready.
//!
//! A file that can be waited for has a [`Notifier`]. Whoever waits (a blocking call, `poll`,
//! `epoll`) adds a [`Listener`] and then looks at the file's readiness; whoever changes the
//! readiness makes the change first and then calls [`Notifier::notify`]. So no change is missed.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use lock::SpinLock;
use sched::Task;

use crate::rank;

/// Somebody who waits.
pub trait Listener: Send + Sync {
    /// The file may have become ready. Called without the file's locks held; must not sleep.
    fn notified(&self);
}

/// Whoever waits for one file.
pub struct Notifier {
    listeners: SpinLock<Vec<Weak<dyn Listener>>>,
    generation: AtomicU64,
}

impl Default for Notifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Notifier {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self { listeners: SpinLock::new(rank::NOTIFIER, Vec::new()), generation: AtomicU64::new(0) }
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
        self.generation.fetch_add(1, Ordering::SeqCst);
        let listeners: Vec<Arc<dyn Listener>> = {
            let listeners = self.listeners.lock();
            if listeners.is_empty() {
                return;
            }
            listeners.iter().filter_map(Weak::upgrade).collect()
        };
        for listener in listeners {
            listener.notified();
        }
    }

    /// How many changes there were: an edge-triggered waiter reports each once.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }
}

/// A listener that wakes a task.
pub struct WakeTask(pub Arc<Task>);

impl Listener for WakeTask {
    fn notified(&self) {
        self.0.unpark();
    }
}

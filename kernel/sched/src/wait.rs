//! Queues of tasks that wait for something to change.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use lock::{Rank, SpinLock};

use crate::task::{self, Task};
use crate::{rank, switch};

/// Tasks that wait for a condition which others announce by [`wake_all`](Self::wake_all) or
/// [`wake_one`](Self::wake_one).
pub struct WaitQueue {
    waiters: SpinLock<VecDeque<Arc<Task>>>,
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl WaitQueue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self::with_rank(rank::WAIT_QUEUE)
    }

    /// An empty queue whose lock has a rank of the caller's.
    pub const fn with_rank(rank: Rank) -> Self {
        Self { waiters: SpinLock::new(rank, VecDeque::new()) }
    }

    /// Waits until `condition` gives something, looking after every wake-up, or until the
    /// deadline (`u64::MAX`: none), when it gives `None`. The condition takes its own locks and
    /// is also looked at after a wake-up by [`Task::unpark`].
    pub fn wait_until<T>(
        &self,
        deadline: u64,
        mut condition: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        if let Some(value) = condition() {
            return Some(value);
        }
        let task = task::current();
        loop {
            self.waiters.lock().push_back(Arc::clone(&task));
            // Whoever changes the condition after this look finds the task in the queue.
            let value = condition();
            let late = deadline != u64::MAX && hal::monotonic() >= deadline;
            if value.is_none() && !late {
                switch::park_until(deadline);
            }
            self.remove(&task);
            if value.is_some() || late {
                return value;
            }
            if let Some(value) = condition() {
                return Some(value);
            }
        }
    }

    /// Waits for `condition` without a deadline.
    pub fn wait<T>(&self, mut condition: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(value) = self.wait_until(u64::MAX, &mut condition) {
                return value;
            }
        }
    }

    fn remove(&self, task: &Arc<Task>) {
        let mut waiters = self.waiters.lock();
        if let Some(index) = waiters.iter().position(|waiter| Arc::ptr_eq(waiter, task)) {
            waiters.remove(index);
        }
    }

    /// Wakes all waiters.
    pub fn wake_all(&self) {
        // Woken tasks take themselves off the queue; new ones may come meanwhile.
        let count = self.waiters.lock().len();
        for _ in 0..count {
            if !self.wake_one() {
                return;
            }
        }
    }

    /// Wakes the one that has waited longest; `false` when there is none.
    pub fn wake_one(&self) -> bool {
        let waiter = self.waiters.lock().pop_front();
        match waiter {
            Some(task) => {
                task.unpark();
                true
            }
            None => false,
        }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiters.lock().is_empty()
    }
}

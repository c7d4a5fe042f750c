//! Ended tasks are dropped by a task of their own: what they hold may take long to let go of,
//! and sleep, which is not for the task that happens to run next.

use alloc::sync::Arc;
use alloc::vec::Vec;

use lock::SpinLock;

use crate::task::{self, Task};
use crate::{rank, switch};

struct Reaper {
    task: Option<Arc<Task>>,
    ended: Vec<Arc<Task>>,
}

static REAPER: SpinLock<Reaper> =
    SpinLock::new(rank::REAPER, Reaper { task: None, ended: Vec::new() });

/// Takes a task that runs no more.
pub(crate) fn take(ended: Arc<Task>) {
    let mut reaper = REAPER.lock();
    reaper.ended.push(ended);
    let task = reaper.task.clone();
    drop(reaper);
    if let Some(task) = task {
        task.unpark();
    }
}

/// The life of the reaper's task.
pub(crate) fn run() {
    REAPER.lock().task = Some(task::current());
    loop {
        let ended = core::mem::take(&mut REAPER.lock().ended);
        if ended.is_empty() {
            switch::park();
        }
        drop(ended);
    }
}

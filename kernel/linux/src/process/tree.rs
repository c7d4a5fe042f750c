//! All processes: identities, parents and children.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use lock::SpinLock;

use super::Process;
use crate::rank;
use crate::thread::Thread;

/// The highest identity, as Linux's default on 64-bit machines.
const PID_MAX: u32 = 4_194_304;

/// All processes.
pub struct Tree {
    processes: BTreeMap<u32, Arc<Process>>,
    /// Identities in use: of processes, threads, groups and sessions.
    used: BTreeMap<u32, u32>,
    last: u32,
}

static TREE: SpinLock<Tree> = SpinLock::new(
    rank::PROCESS_TREE,
    Tree { processes: BTreeMap::new(), used: BTreeMap::new(), last: 0 },
);

/// All processes, locked.
pub fn tree() -> lock::SpinGuard<'static, Tree> {
    TREE.lock()
}

impl Tree {
    pub(super) fn add(&mut self, process: &Arc<Process>) {
        self.processes.insert(process.pid, Arc::clone(process));
        if let Some(parent) = process.parent() {
            parent.family.lock().children.push(Arc::clone(process));
        }
    }

    /// The process with an identity.
    pub fn find(&self, pid: u32) -> Option<&Arc<Process>> {
        self.processes.get(&pid)
    }

    /// All processes.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Process>> {
        self.processes.values()
    }

    /// The processes of a group.
    pub fn group(&self, group: u32) -> Vec<Arc<Process>> {
        self.processes.values().filter(|process| process.group() == group).cloned().collect()
    }

    /// Removes a process that was waited for.
    pub fn remove(&mut self, process: &Arc<Process>) {
        self.processes.remove(&process.pid);
        if let Some(parent) = process.parent() {
            parent.family.lock().children.retain(|child| !Arc::ptr_eq(child, process));
        }
    }

    /// Gives the children of a process that ends to its nearest subreaper, or to the first
    /// process.
    pub(super) fn orphan(&mut self, process: &Arc<Process>) -> Vec<Arc<Process>> {
        let children = core::mem::take(&mut process.family.lock().children);
        if children.is_empty() {
            return children;
        }
        let mut heir = process.parent();
        while let Some(candidate) = &heir {
            let fit = candidate.pid == 1
                || (candidate.subreaper.load(core::sync::atomic::Ordering::Relaxed)
                    && !candidate.is_ending());
            if fit {
                break;
            }
            heir = candidate.parent();
        }
        let heir =
            heir.or_else(|| self.find(1).cloned()).filter(|heir| !Arc::ptr_eq(heir, process));
        for child in &children {
            child.family.lock().parent = heir.as_ref().map_or_else(Weak::new, Arc::downgrade);
        }
        if let Some(heir) = heir {
            heir.family.lock().children.extend(children.iter().cloned());
        }
        children
    }
}

/// The process with an identity.
pub fn by_pid(pid: u32) -> Option<Arc<Process>> {
    tree().find(pid).cloned()
}

/// The thread with an identity, of whatever process.
pub fn by_tid(tid: u32) -> Option<Arc<Thread>> {
    if let Some(thread) = by_pid(tid).and_then(|process| process.thread(tid)) {
        return Some(thread);
    }
    let processes: Vec<_> = tree().iter().cloned().collect();
    processes.iter().find_map(|process| process.thread(tid))
}

/// A free identity, taken. `None`: all are in use.
pub fn next_pid() -> Option<u32> {
    let mut tree = tree();
    for _ in 0..PID_MAX {
        tree.last = if tree.last >= PID_MAX { 300 } else { tree.last + 1 };
        let pid = tree.last;
        if let alloc::collections::btree_map::Entry::Vacant(entry) = tree.used.entry(pid) {
            entry.insert(1);
            return Some(pid);
        }
    }
    None
}

/// The identity that was given last.
pub fn last_pid() -> u32 {
    tree().last
}

/// How many identities are in use.
pub fn used_pids() -> usize {
    tree().used.len()
}

/// Gives an identity back.
pub fn release_pid(pid: u32) {
    tree().used.remove(&pid);
}

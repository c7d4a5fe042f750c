//! Processes: groups of threads with one identity.

mod capability;
mod clone;
mod exit;
mod identity;
mod limits;
mod pidfd;
mod policy;
mod privilege;
mod scheduling;
mod tree;
mod unshare;
mod wait;

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};

use lock::SpinLock;
use sched::WaitQueue;

pub use capability::*;
pub use clone::{clone, clone3, flag, fork, vfork};
pub use exit::{become_only_thread, end_group, end_thread, exit, exit_group, finish_vfork};
pub use identity::*;
pub use limits::{INFINITY, Limits, Resource, getrlimit, prlimit64, setrlimit};
pub use pidfd::*;
pub use policy::*;
pub use privilege::*;
pub use scheduling::*;
pub use tree::{by_pid, by_tid, last_pid, next_pid, release_pid, tree, used_pids};
pub use unshare::unshare;
pub use wait::{wait4, waitid};

use crate::exec::Executable;
use crate::notifier::Notifier;
use crate::rank;
use crate::signal::ProcessSignals;
use crate::thread::Thread;

/// How a process ended or stopped, as `wait(2)` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ended by itself, with this code.
    Exited(u8),
    /// A signal ended it.
    Killed {
        /// The signal.
        signal: u8,
        /// Whether it is one that leaves a core dump.
        core: bool,
    },
    /// A signal stopped it.
    Stopped(u8),
    /// It was continued.
    Continued,
}

impl Status {
    /// As `wait(2)` encodes it.
    pub fn encode(self) -> u32 {
        match self {
            Self::Exited(code) => u32::from(code) << 8,
            Self::Killed { signal, core } => u32::from(signal) | if core { 0x80 } else { 0 },
            Self::Stopped(signal) => u32::from(signal) << 8 | 0x7f,
            Self::Continued => 0xffff,
        }
    }

    /// As a shell shows it, and as the guest's exit code.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Exited(code) => i32::from(code),
            Self::Killed { signal, .. } | Self::Stopped(signal) => 128 + i32::from(signal),
            Self::Continued => 0,
        }
    }
}

/// Processor time of threads that have ended, and of children that were waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Nanoseconds of processor time.
    pub time: u64,
    /// Largest memory in bytes.
    pub largest: u64,
}

/// A process.
pub struct Process {
    /// Its identity.
    pub pid: u32,
    /// Parent, children, group and session; under one lock for all processes.
    pub(crate) family: SpinLock<Family>,
    threads: SpinLock<BTreeMap<u32, Arc<Thread>>>,
    /// Who its first thread acts for: what others see of it.
    identity: SpinLock<Arc<Identity>>,
    /// Resource limits.
    pub limits: Limits,
    /// Signals to the process, and its handlers.
    pub signals: ProcessSignals,
    /// What `wait(2)` reports next.
    pub(crate) status: SpinLock<Option<Status>>,
    /// Waits of the process for its children.
    pub children_changed: WaitQueue,
    /// Set once, when the process begins to end.
    ending: AtomicBool,
    /// A thread executes another program, and ends the others for that.
    executing: AtomicBool,
    /// Where it waits for their end.
    left_alone: WaitQueue,
    exit_status: SpinLock<Status>,
    /// Nothing of it runs any more; its status can be asked for.
    pub(crate) has_ended: AtomicBool,
    /// Waits for that.
    pub(crate) ended: Notifier,
    /// The program's file.
    executable: SpinLock<Option<Arc<Executable>>>,
    /// The name of the thread that ended last, which is all that a zombie has.
    last_name: SpinLock<[u8; 16]>,
    /// Times of what has ended: own threads, then children.
    pub(crate) usage: SpinLock<[Usage; 2]>,
    /// When it started, in nanoseconds since the kernel's start.
    pub started: u64,
    /// The signal that its parent gets at its end.
    pub exit_signal: AtomicI32,
    /// Whether it called `execve(2)` since it was forked.
    pub has_executed: AtomicBool,
    /// `membarrier(2)`'s registration.
    pub registered_barriers: AtomicBool,
    /// `PR_SET_CHILD_SUBREAPER`.
    pub subreaper: AtomicBool,
    /// `PR_SET_DUMPABLE`.
    pub dumpable: AtomicBool,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privileges: AtomicBool,
    /// `PR_SET_PDEATHSIG`.
    pub parent_death_signal: AtomicU32,
    /// `personality(2)`.
    pub personality: AtomicU64,
    /// Semaphores that its end gives back.
    pub undo: SpinLock<crate::ipc::Undo>,
    /// Interval timers, POSIX timers.
    pub timers: crate::time::ProcessTimers,
}

/// Parents and children, groups and sessions.
pub(crate) struct Family {
    pub parent: Weak<Process>,
    pub children: Vec<Arc<Process>>,
    pub group: u32,
    pub session: u32,
}

/// What a process is made from.
pub struct NewProcess {
    pub pid: u32,
    pub parent: Weak<Process>,
    pub group: u32,
    pub session: u32,
    pub identity: Arc<Identity>,
    pub limits: Limits,
    pub signals: ProcessSignals,
    pub executable: Option<Arc<Executable>>,
    pub exit_signal: i32,
}

impl Process {
    /// A process without threads.
    pub fn new(new: NewProcess) -> Arc<Self> {
        let process = Arc::new(Self {
            pid: new.pid,
            family: SpinLock::new(
                rank::PROCESS,
                Family {
                    parent: new.parent,
                    children: Vec::new(),
                    group: new.group,
                    session: new.session,
                },
            ),
            threads: SpinLock::new(rank::THREADS, BTreeMap::new()),
            identity: SpinLock::new(rank::CREDENTIALS, new.identity),
            limits: new.limits,
            signals: new.signals,
            status: SpinLock::new(rank::PROCESS, None),
            children_changed: WaitQueue::new(),
            ending: AtomicBool::new(false),
            executing: AtomicBool::new(false),
            left_alone: WaitQueue::new(),
            exit_status: SpinLock::new(rank::PROCESS, Status::Exited(0)),
            has_ended: AtomicBool::new(false),
            ended: Notifier::new(),
            executable: SpinLock::new(rank::PROCESS, new.executable),
            last_name: SpinLock::new(rank::PROCESS, [0; 16]),
            usage: SpinLock::new(rank::PROCESS, [Usage::default(); 2]),
            started: hal::monotonic(),
            exit_signal: AtomicI32::new(new.exit_signal),
            has_executed: AtomicBool::new(false),
            registered_barriers: AtomicBool::new(false),
            subreaper: AtomicBool::new(false),
            dumpable: AtomicBool::new(true),
            no_new_privileges: AtomicBool::new(false),
            parent_death_signal: AtomicU32::new(0),
            personality: AtomicU64::new(0),
            undo: SpinLock::new(rank::IPC_UNDO, crate::ipc::Undo::default()),
            timers: crate::time::ProcessTimers::default(),
        });
        tree().add(&process);
        process
    }

    pub(crate) fn add_thread(&self, thread: Arc<Thread>) {
        self.threads.lock().insert(thread.tid(), thread);
    }

    /// Takes a thread off; gives how many are left.
    pub(crate) fn remove_thread(&self, tid: u32) -> usize {
        let mut threads = self.threads.lock();
        let removed = threads.remove(&tid);
        let left = threads.len();
        drop(threads);
        if let Some(thread) = removed
            && left == 0
        {
            *self.last_name.lock() = thread.name();
        }
        left
    }

    /// Makes the only thread that is left the first one; gives the number that it had.
    pub(crate) fn make_first(&self, thread: &Thread) -> Option<u32> {
        let before = thread.tid();
        if before == self.pid {
            return None;
        }
        let mut threads = self.threads.lock();
        let own = threads.remove(&before)?;
        thread.become_first();
        threads.insert(self.pid, own);
        Some(before)
    }

    /// The name of the thread that ended last, with its padding.
    pub fn last_name(&self) -> [u8; 16] {
        *self.last_name.lock()
    }

    /// Its threads, the one with the lowest identity first.
    pub fn threads(&self) -> Vec<Arc<Thread>> {
        self.threads.lock().values().cloned().collect()
    }

    /// How many threads it has.
    pub fn thread_count(&self) -> usize {
        self.threads.lock().len()
    }

    /// One of its threads.
    pub fn thread(&self, tid: u32) -> Option<Arc<Thread>> {
        self.threads.lock().get(&tid).cloned()
    }

    /// Who its first thread acts for, or did when it ended.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity.lock())
    }

    pub(crate) fn set_identity(&self, identity: Arc<Identity>) {
        let old = core::mem::replace(&mut *self.identity.lock(), identity);
        drop(old);
    }

    /// The program's file.
    pub fn executable(&self) -> Option<Arc<Executable>> {
        self.executable.lock().clone()
    }

    /// Takes note of the program's file.
    pub fn set_executable(&self, executable: Option<Arc<Executable>>) {
        let old = core::mem::replace(&mut *self.executable.lock(), executable);
        drop(old);
    }

    /// The parent, if it has one in this guest.
    pub fn parent(&self) -> Option<Arc<Self>> {
        self.family.lock().parent.upgrade()
    }

    /// Its process group.
    pub fn group(&self) -> u32 {
        self.family.lock().group
    }

    /// Its session.
    pub fn session(&self) -> u32 {
        self.family.lock().session
    }

    /// Whether a thread ends the others to execute another program.
    pub fn is_executing(&self) -> bool {
        self.executing.load(Ordering::SeqCst)
    }

    /// Whether it has begun to end.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::SeqCst)
    }

    /// Whether it has ended and waits to be waited for.
    pub fn is_zombie(&self) -> bool {
        self.is_ending() && self.thread_count() == 0
    }

    /// Nanoseconds of processor time of all its threads, ended ones included.
    pub fn cpu_time(&self) -> u64 {
        let running: u64 =
            self.threads().iter().filter_map(|thread| thread.task()).map(|task| task.ran()).sum();
        self.usage.lock()[0].time + running
    }
}

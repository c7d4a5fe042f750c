//! Signals.
//!
//! A signal is pending for a thread or for a process until a thread takes it. Sending wakes a
//! thread that does not block it; that thread [attends](attend) to it before its program runs
//! on. Nothing is delivered anywhere else, so a thread's state changes only by its own hand.

mod action;
mod attend;
mod calls;
mod frame;
mod info;
mod pending;
mod send;
mod wait;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lock::SpinLock;
use sched::WaitQueue;

pub use action::{Action, Handler, default_action};
pub use attend::{attend, from_exception, from_fault, is_deliverable};
pub use calls::*;
pub use frame::rt_sigreturn;
pub use info::{Info, LENGTH as INFO_LENGTH};
pub use pending::Pending;
pub use send::{
    check_claim, kill, queue, queue_to_group, queue_to_thread, rt_sigqueueinfo, rt_tgsigqueueinfo,
    send_to_group, send_to_process, send_to_thread, tgkill, tkill,
};
pub use wait::{pause, rt_sigsuspend, rt_sigtimedwait, take_waiting, with_mask};

use crate::rank;

/// Signal numbers.
#[allow(missing_docs, dead_code, reason = "Linux's list, whole")]
pub mod number {
    pub const SIGHUP: u8 = 1;
    pub const SIGINT: u8 = 2;
    pub const SIGQUIT: u8 = 3;
    pub const SIGILL: u8 = 4;
    pub const SIGTRAP: u8 = 5;
    pub const SIGABRT: u8 = 6;
    pub const SIGBUS: u8 = 7;
    pub const SIGFPE: u8 = 8;
    pub const SIGKILL: u8 = 9;
    pub const SIGSEGV: u8 = 11;
    pub const SIGPIPE: u8 = 13;
    pub const SIGALRM: u8 = 14;
    pub const SIGTERM: u8 = 15;
    pub const SIGCHLD: u8 = 17;
    pub const SIGCONT: u8 = 18;
    pub const SIGSTOP: u8 = 19;
    pub const SIGTSTP: u8 = 20;
    pub const SIGTTIN: u8 = 21;
    pub const SIGTTOU: u8 = 22;
    pub const SIGURG: u8 = 23;
    pub const SIGXCPU: u8 = 24;
    pub const SIGXFSZ: u8 = 25;
    pub const SIGVTALRM: u8 = 26;
    pub const SIGPROF: u8 = 27;
    pub const SIGWINCH: u8 = 28;
    pub const SIGIO: u8 = 29;
    pub const SIGSYS: u8 = 31;
    /// The first of those that queue.
    pub const REALTIME: u8 = 32;
    /// The last signal.
    pub const LAST: u8 = 64;
}

/// A set of signals, bit n - 1 for signal n.
pub type Set = u64;

/// The set of one signal.
pub const fn set_of(signal: u8) -> Set {
    1 << (signal - 1)
}

/// Signals that cannot be blocked, caught or ignored.
pub const UNSTOPPABLE: Set = set_of(number::SIGKILL) | set_of(number::SIGSTOP);

/// An alternate stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlternateStack {
    /// Lowest address.
    pub base: u64,
    /// Length in bytes; 0: none.
    pub size: u64,
    /// `SS_AUTODISARM`.
    pub auto_disarm: bool,
}

/// Signals of a thread.
pub struct ThreadSignals {
    mask: AtomicU64,
    /// The mask to restore after the handlers of a `sigsuspend` have been called.
    saved_mask: SpinLock<Option<Set>>,
    pending: SpinLock<Pending>,
    stack: SpinLock<AlternateStack>,
    /// The system call that a signal interrupted: see [`attend`].
    pub interrupted_call: AtomicU64,
    /// Signals that `sigtimedwait` waits for.
    waited: AtomicU64,
    /// Trap number, error code and address of the last fault, for the signal frame.
    fault: SpinLock<[u64; 3]>,
}

impl ThreadSignals {
    /// Nothing pending, this mask.
    pub fn new(mask: Set) -> Self {
        Self {
            mask: AtomicU64::new(mask),
            saved_mask: SpinLock::new(rank::SIGNALS, None),
            pending: SpinLock::new(rank::SIGNALS, Pending::new()),
            stack: SpinLock::new(rank::SIGNALS, AlternateStack::default()),
            interrupted_call: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            fault: SpinLock::new(rank::SIGNALS, [0; 3]),
        }
    }

    /// Those of a forked process's thread: same mask and alternate stack.
    pub fn forked(&self) -> Self {
        let copy = Self::new(self.mask());
        let stack = *self.stack.lock();
        *copy.stack.lock() = stack;
        copy
    }

    /// The blocked signals.
    pub fn mask(&self) -> Set {
        self.mask.load(Ordering::Relaxed)
    }

    /// Blocks these signals and no others.
    pub fn set_mask(&self, mask: Set) {
        self.mask.store(mask & !UNSTOPPABLE, Ordering::SeqCst);
    }

    /// Forgets the alternate stack; for `execve(2)`.
    pub fn reset_stack(&self) {
        *self.stack.lock() = AlternateStack::default();
    }

    /// Signals that are pending for the thread only.
    pub fn pending_set(&self) -> Set {
        self.pending.lock().set()
    }
}

/// The actions of all signals; on the heap, as kernel stacks are small.
type Actions = SpinLock<Vec<Action>>;

/// A copy of the given actions, or default ones.
fn new_actions(from: &[Action]) -> Arc<Actions> {
    let mut actions = from.to_vec();
    actions.resize(usize::from(number::LAST), Action::default());
    Arc::new(SpinLock::new(rank::SIGNALS_ACTIONS, actions))
}

/// Signals of a process.
pub struct ProcessSignals {
    actions: SpinLock<Arc<Actions>>,
    pending: SpinLock<Pending>,
    /// Whether the process is stopped.
    stopped: AtomicBool,
    /// Where its threads wait while it is stopped.
    continued: WaitQueue,
    /// Where `sigtimedwait` and `signalfd` wait.
    pub arrived: crate::notifier::Notifier,
}

impl ProcessSignals {
    /// Default actions, nothing pending.
    pub fn new() -> Self {
        Self::with_actions(new_actions(&[]))
    }

    fn with_actions(actions: Arc<Actions>) -> Self {
        Self {
            actions: SpinLock::new(rank::SIGNALS, actions),
            pending: SpinLock::new(rank::SIGNALS, Pending::new()),
            stopped: AtomicBool::new(false),
            continued: WaitQueue::new(),
            arrived: crate::notifier::Notifier::new(),
        }
    }

    /// Those of a child: the same actions, shared with the parent (`CLONE_SIGHAND`) or copied.
    pub fn forked(&self, share: bool) -> Self {
        let actions = Arc::clone(&self.actions.lock());
        if share {
            return Self::with_actions(actions);
        }
        let copy = new_actions(&actions.lock());
        Self::with_actions(copy)
    }

    fn table(&self) -> Arc<Actions> {
        Arc::clone(&self.actions.lock())
    }

    /// The action of a signal.
    pub fn action(&self, signal: u8) -> Action {
        self.table().lock()[usize::from(signal) - 1]
    }

    /// Sets the action of a signal.
    pub fn set_action(&self, signal: u8, action: Action) {
        self.table().lock()[usize::from(signal) - 1] = action;
    }

    /// Handlers become default actions; for `execve(2)`.
    pub fn reset_handlers(&self) {
        let actions = new_actions(&self.table().lock());
        for action in actions.lock().iter_mut() {
            if !matches!(action.handler, Handler::Ignore) {
                *action = Action::default();
            }
            action.flags = 0;
        }
        *self.actions.lock() = actions;
    }

    /// Whether children that end are to vanish: `SIGCHLD` is ignored, or `SA_NOCLDWAIT` set.
    pub fn children_are_ignored(&self) -> bool {
        let action = self.action(number::SIGCHLD);
        action.handler == Handler::Ignore || action.flags & action::SA_NOCLDWAIT != 0
    }

    /// Signals that are pending for the process.
    pub fn pending_set(&self) -> Set {
        self.pending.lock().set()
    }

    /// Whether a stop signal stopped the process.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

impl core::default::Default for ProcessSignals {
    fn default() -> Self {
        Self::new()
    }
}

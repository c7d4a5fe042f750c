//! Threads.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use hal::{UserContext, UserExit};
use lock::SpinLock;
use sched::Task;
use trace::Event;

use crate::error::{Fail, Result};
use crate::file::{FileContext, FileTable};
use crate::memory::Memory;
use crate::process::{Identity, Process};
use crate::signal::{self, ThreadSignals};
use crate::{rank, syscall};

/// A thread of a process.
pub struct Thread {
    /// Its identity; that of the first thread is the process's.
    tid: AtomicU32,
    /// The process.
    pub process: Arc<Process>,
    /// The open files that it started with, and those that it has had since `unshare(2)`.
    files: Arc<FileTable>,
    own_files: SpinLock<Option<Arc<FileTable>>>,
    has_own_files: AtomicBool,
    context: SpinLock<Arc<FileContext>>,
    memory: SpinLock<Arc<Memory>>,
    task: SpinLock<Option<Arc<Task>>>,
    name: SpinLock<[u8; 16]>,
    identity: SpinLock<Arc<Identity>>,
    /// Signals of this thread.
    pub signals: ThreadSignals,
    /// Where to store 0 and wake a waiter at its end (`set_tid_address(2)`).
    pub clear_on_exit: AtomicU64,
    /// Where to store its identity when it starts (`CLONE_CHILD_SETTID`).
    set_at_start: AtomicU64,
    /// Head of its list of robust mutexes, and the head's length.
    pub robust_list: AtomicU64,
    /// The process is ending: this thread must not run on.
    pub dying: AtomicBool,
    /// Something is to be done before the program runs on: signals, or its end.
    pub attention: AtomicBool,
    /// Scheduling policy and priorities.
    pub policy: crate::process::Policy,
    /// The wake-up that `vfork(2)` waits for.
    pub vfork_done: SpinLock<Option<Arc<Task>>>,
}

/// The open files of a thread. Hardly any has others than it started with: those cost no
/// reference.
pub enum Files<'a> {
    /// Those that it started with.
    First(&'a Arc<FileTable>),
    /// Those since `unshare(2)`.
    Own(Arc<FileTable>),
}

impl core::ops::Deref for Files<'_> {
    type Target = Arc<FileTable>;

    #[inline]
    fn deref(&self) -> &Arc<FileTable> {
        match self {
            Self::First(files) => files,
            Self::Own(files) => files,
        }
    }
}

/// What a thread is made from.
pub struct NewThread {
    pub tid: u32,
    pub process: Arc<Process>,
    pub files: Arc<FileTable>,
    pub context: Arc<FileContext>,
    pub memory: Arc<Memory>,
    pub name: [u8; 16],
    pub identity: Arc<Identity>,
    pub policy: crate::process::Policy,
    pub signals: ThreadSignals,
    pub clear_on_exit: u64,
}

impl Thread {
    /// Makes a thread with the given registers, without starting it. `None`: no memory.
    pub fn create(new: NewThread, registers: UserContext) -> Option<(Arc<Self>, Arc<Task>)> {
        let space = Arc::clone(&new.memory.space);
        let memory = Arc::clone(&new.memory);
        let thread = Arc::new(Self {
            tid: AtomicU32::new(new.tid),
            process: new.process,
            files: new.files,
            own_files: SpinLock::new(rank::PROCESS, None),
            has_own_files: AtomicBool::new(false),
            context: SpinLock::new(rank::PROCESS, new.context),
            memory: SpinLock::new(rank::PROCESS, new.memory),
            task: SpinLock::new(rank::PROCESS, None),
            name: SpinLock::new(rank::PROCESS, new.name),
            identity: SpinLock::new(rank::CREDENTIALS, new.identity),
            signals: new.signals,
            clear_on_exit: AtomicU64::new(new.clear_on_exit),
            set_at_start: AtomicU64::new(0),
            robust_list: AtomicU64::new(0),
            dying: AtomicBool::new(false),
            attention: AtomicBool::new(false),
            policy: new.policy,
            vfork_done: SpinLock::new(rank::PROCESS, None),
        });
        let extension = Box::new(Arc::clone(&thread));
        let task = sched::spawn_user("thread", space, registers, extension, |extension| {
            if let Some(thread) = extension.downcast_ref::<Arc<Self>>() {
                run(thread);
            }
        })?;
        memory.join();
        *thread.task.lock() = Some(Arc::clone(&task));
        thread.process.add_thread(Arc::clone(&thread));
        Some((thread, task))
    }

    /// The thread that a task runs.
    pub fn of_task(task: &Task) -> Option<Arc<Self>> {
        task.extension()?.downcast_ref::<Arc<Self>>().cloned()
    }

    /// Its identity; that of the first thread is the process's.
    #[inline]
    pub fn tid(&self) -> u32 {
        self.tid.load(Ordering::Relaxed)
    }

    /// Becomes the first thread of its process, which has ended; for `execve(2)`.
    pub(crate) fn become_first(&self) {
        self.tid.store(self.process.pid, Ordering::Relaxed);
    }

    /// Open files.
    #[inline]
    pub fn files(&self) -> Files<'_> {
        if self.has_own_files.load(Ordering::Acquire)
            && let Some(own) = &*self.own_files.lock()
        {
            return Files::Own(Arc::clone(own));
        }
        Files::First(&self.files)
    }

    /// Shares its open files with nobody any more.
    pub fn unshare_files(&self) {
        let shared = self.files();
        if shared.is_shared() {
            let old = self.own_files.lock().replace(Arc::new(shared.duplicate()));
            self.has_own_files.store(true, Ordering::Release);
            shared.leave();
            drop(old);
        }
    }

    /// Root, working directory, umask.
    pub fn context(&self) -> Arc<FileContext> {
        Arc::clone(&self.context.lock())
    }

    /// Shares root, working directory and umask with nobody any more.
    pub fn unshare_context(&self) {
        let own = Arc::new(self.context().duplicate());
        let old = core::mem::replace(&mut *self.context.lock(), own);
        drop(old);
    }

    /// Its memory.
    pub fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory.lock())
    }

    /// Replaces its memory by new memory, which becomes active; for `execve(2)`.
    pub fn replace_memory(&self, memory: Arc<Memory>) {
        let space = Arc::clone(&memory.space);
        memory.join();
        let old = core::mem::replace(&mut *self.memory.lock(), memory);
        old.leave();
        sched::set_space(Some(space));
        drop(old);
    }

    /// Who it acts for.
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity.lock())
    }

    /// Changes who it acts for. Only the thread itself does that.
    pub fn set_identity(&self, identity: Identity) {
        let identity = Arc::new(identity);
        if self.tid() == self.process.pid {
            self.process.set_identity(Arc::clone(&identity));
        }
        let old = core::mem::replace(&mut *self.identity.lock(), identity);
        drop(old);
    }

    /// Whether it has a capability, by Linux's number.
    pub fn has_capability(&self, number: u32) -> bool {
        self.identity.lock().can(number)
    }

    /// Makes the thread store its identity when it starts.
    pub fn set_tid_at_start(&self, address: u64) {
        self.set_at_start.store(address, Ordering::Relaxed);
    }

    /// Its name: up to 15 bytes and a NUL.
    pub fn name(&self) -> [u8; 16] {
        *self.name.lock()
    }

    /// Names it; what is too long is cut.
    pub fn set_name(&self, name: &[u8]) {
        let mut bytes = [0; 16];
        let length = name.iter().position(|&byte| byte == 0).unwrap_or(name.len()).min(15);
        bytes[..length].copy_from_slice(&name[..length]);
        *self.name.lock() = bytes;
    }

    /// The task that runs it; `None` before it starts and after its end.
    pub fn task(&self) -> Option<Arc<Task>> {
        self.task.lock().clone()
    }

    /// Makes the thread look at what is to be done before its program runs on.
    pub fn call_attention(&self) {
        self.attention.store(true, Ordering::SeqCst);
        if let Some(task) = self.task() {
            task.interrupt();
        }
    }

    /// Whether a sleep has to end for a signal or the thread's end.
    pub fn is_interrupted(&self) -> bool {
        self.attention.load(Ordering::SeqCst)
            && (self.dying.load(Ordering::SeqCst) || signal::is_deliverable(self))
    }

    /// Waits on a queue until `condition` gives something, or the deadline, when this gives
    /// `None`.
    ///
    /// # Errors
    /// [`Fail::Restart`] when a signal comes first.
    pub fn wait_until<T>(
        &self,
        queue: &sched::WaitQueue,
        deadline: u64,
        mut condition: impl FnMut() -> Option<T>,
    ) -> Result<Option<T>> {
        let result = queue.wait_until(deadline, || match condition() {
            Some(value) => Some(Ok(value)),
            None if self.is_interrupted() => Some(Err(Fail::Restart)),
            None => None,
        });
        result.transpose()
    }

    /// Ends the thread's task. The thread has left its process.
    pub fn end_task(&self) -> ! {
        *self.task.lock() = None;
        sched::exit()
    }
}

/// The life of a thread: the program runs, the kernel serves.
fn run(thread: &Arc<Thread>) {
    let address = thread.set_at_start.load(Ordering::Relaxed);
    if address != 0 {
        // As on Linux, a bad address is not an error.
        let _ = crate::user::write(address, &thread.tid());
    }
    loop {
        if thread.attention.load(Ordering::Relaxed) {
            signal::attend(thread);
        }
        match sched::run_user() {
            UserExit::Syscall => syscall::dispatch(thread),
            UserExit::Interrupted => sched::preempt(),
            UserExit::Fault { address, access, cause } => {
                trace::record(Event::Fault, u64::from(thread.tid()), address);
                signal::from_fault(thread, address, access, cause);
            }
            UserExit::Exception(exception) => signal::from_exception(thread, exception),
            UserExit::Syscall32 => syscall::refuse_32_bit(thread),
        }
    }
}

/// Calls `with` with the running thread, if the running task is one's.
pub fn with_current<T>(with: impl FnOnce(&Thread) -> T) -> Option<T> {
    let task = sched::current();
    Thread::of_task(&task).map(|thread| with(&thread))
}

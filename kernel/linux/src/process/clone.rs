//! `clone(2)`, `fork(2)` and their kin.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use errno::Errno;

use super::{NewProcess, Process, Resource, next_pid, release_pid};
use crate::error::{Result, fail};
use crate::layout;
use crate::signal::ThreadSignals;
use crate::signal::number::SIGCHLD;
use crate::thread::{NewThread, Thread};
use crate::user;

#[allow(missing_docs, reason = "Linux's names")]
pub mod flag {
    pub const SIGNAL: u64 = 0xff;
    pub const VM: u64 = 0x100;
    pub const FS: u64 = 0x200;
    pub const FILES: u64 = 0x400;
    pub const SIGHAND: u64 = 0x800;
    pub const PIDFD: u64 = 0x1000;
    pub const PTRACE: u64 = 0x2000;
    pub const VFORK: u64 = 0x4000;
    pub const PARENT: u64 = 0x8000;
    pub const THREAD: u64 = 0x1_0000;
    pub const NEWNS: u64 = 0x2_0000;
    pub const SYSVSEM: u64 = 0x4_0000;
    pub const SETTLS: u64 = 0x8_0000;
    pub const PARENT_SETTID: u64 = 0x10_0000;
    pub const CHILD_CLEARTID: u64 = 0x20_0000;
    pub const DETACHED: u64 = 0x40_0000;
    pub const UNTRACED: u64 = 0x80_0000;
    pub const CHILD_SETTID: u64 = 0x100_0000;
    pub const IO: u64 = 0x8000_0000;
    pub const CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    /// Mount, control group, host name, IPC, user, process, network and time namespaces.
    pub const NAMESPACES: u64 = NEWNS
        | 0x200_0000
        | 0x400_0000
        | 0x800_0000
        | 0x1000_0000
        | 0x2000_0000
        | 0x4000_0000
        | 0x80;
    pub const KNOWN: u64 = SIGNAL
        | VM
        | FS
        | FILES
        | SIGHAND
        | PIDFD
        | PTRACE
        | VFORK
        | PARENT
        | THREAD
        | SYSVSEM
        | SETTLS
        | PARENT_SETTID
        | CHILD_CLEARTID
        | DETACHED
        | UNTRACED
        | CHILD_SETTID
        | IO
        | CLEAR_SIGHAND;
}

/// What `clone` asks for.
#[derive(Clone, Copy, Default)]
struct Request {
    flags: u64,
    exit_signal: u64,
    stack: u64,
    parent_tid: u64,
    pidfd: u64,
    child_tid: u64,
    tls: u64,
}

/// `clone(2)`.
pub fn clone(thread: &Thread, [flags, stack, parent_tid, child_tid, tls, _]: [u64; 6]) -> Result {
    let exit_signal = flags & flag::SIGNAL;
    let flags = flags & 0xffff_ffff & !flag::SIGNAL;
    // One argument for two results.
    if flags & flag::PIDFD != 0 && flags & flag::PARENT_SETTID != 0 {
        return fail(Errno::EINVAL);
    }
    let pidfd = parent_tid;
    start(thread, Request { flags, exit_signal, stack, parent_tid, pidfd, child_tid, tls })
}

/// `fork(2)`.
pub fn fork(thread: &Thread, _: [u64; 6]) -> Result {
    start(thread, Request { exit_signal: u64::from(SIGCHLD), ..Request::default() })
}

/// `vfork(2)`.
pub fn vfork(thread: &Thread, _: [u64; 6]) -> Result {
    let flags = flag::VFORK | flag::VM;
    start(thread, Request { flags, exit_signal: u64::from(SIGCHLD), ..Request::default() })
}

layout! {
    /// `struct clone_args`, as far as it is known here.
    pub struct CloneArguments {
        pub flags: u64,
        pub pidfd: u64,
        pub child_tid: u64,
        pub parent_tid: u64,
        pub exit_signal: u64,
        pub stack: u64,
        pub stack_size: u64,
        pub tls: u64,
    }
}

/// `clone3(2)`.
pub fn clone3(thread: &Thread, [arguments, size, ..]: [u64; 6]) -> Result {
    const FIRST_SIZE: u64 = 64;
    if size < FIRST_SIZE {
        return fail(Errno::EINVAL);
    }
    if size > 4096 {
        return fail(Errno::E2BIG);
    }
    let raw: CloneArguments = user::read(arguments)?;
    if size > FIRST_SIZE {
        let rest = user::read_bytes(arguments + FIRST_SIZE, (size - FIRST_SIZE) as usize)?;
        if rest.iter().any(|&byte| byte != 0) {
            // Chosen identities and control groups.
            return fail(if size > 88 { Errno::E2BIG } else { Errno::EINVAL });
        }
    }
    if raw.flags & (flag::SIGNAL | flag::DETACHED) != 0
        || raw.exit_signal > 64
        || (raw.stack == 0) != (raw.stack_size == 0)
        || (raw.flags & (flag::THREAD | flag::PARENT) != 0 && raw.exit_signal != 0)
    {
        return fail(Errno::EINVAL);
    }
    start(
        thread,
        Request {
            flags: raw.flags,
            exit_signal: raw.exit_signal,
            stack: raw.stack.wrapping_add(raw.stack_size),
            parent_tid: raw.parent_tid,
            pidfd: raw.pidfd,
            child_tid: raw.child_tid,
            tls: raw.tls,
        },
    )
}

fn check(request: &Request) -> Result<()> {
    let has = |wanted: u64| request.flags & wanted != 0;
    if has(flag::NEWNS) || request.flags & !flag::KNOWN != 0 {
        return fail(Errno::EINVAL);
    }
    if (has(flag::SIGHAND) && !has(flag::VM))
        || (has(flag::THREAD) && !has(flag::SIGHAND))
        || (has(flag::SIGHAND) && has(flag::CLEAR_SIGHAND))
        || (has(flag::PIDFD) && has(flag::THREAD | flag::DETACHED))
    {
        return fail(Errno::EINVAL);
    }
    Ok(())
}

/// Whether the user has as many threads as its limit allows.
fn check_limit(thread: &Thread) -> Result<()> {
    const CAP_SYS_ADMIN: u32 = 21;
    const CAP_SYS_RESOURCE: u32 = 24;
    let limit = thread.process.limits.soft(Resource::Processes);
    let own = thread.identity();
    // What is used by all users together is cheaper to know.
    if (super::used_pids() as u64) < limit || own.uid == 0 {
        return Ok(());
    }
    let all: alloc::vec::Vec<_> = super::tree().iter().cloned().collect();
    let same = all.iter().filter(|process| process.identity().uid == own.uid);
    let threads = same.map(|process| process.thread_count() as u64).sum::<u64>();
    if threads < limit || own.can(CAP_SYS_ADMIN) || own.can(CAP_SYS_RESOURCE) {
        return Ok(());
    }
    fail(Errno::EAGAIN)
}

fn start(thread: &Thread, request: Request) -> Result {
    // A fork bomb must leave room for those who end it.
    if crate::frames::is_scarce() {
        return fail(Errno::ENOMEM);
    }
    check(&request)?;
    let has = |wanted: u64| request.flags & wanted != 0;
    check_limit(thread)?;
    let tid = next_pid().ok_or(Errno::EAGAIN)?;
    let result = make(thread, &request, tid);
    let (child, task) = match result {
        Ok(made) => made,
        Err(error) => {
            release_pid(tid);
            return Err(error);
        }
    };
    if has(flag::PARENT_SETTID) {
        // As on Linux, a bad address is not an error.
        let _ = user::write(request.parent_tid, &tid);
    }
    if has(flag::VFORK) {
        *child.vfork_done.lock() = Some(sched::current());
    }
    task.begin();
    if has(flag::VFORK) {
        // Signals do not end this wait, only the child's end or its execve.
        while child.vfork_done.lock().is_some() && !thread.dying.load(Ordering::SeqCst) {
            sched::park();
        }
    }
    Ok(u64::from(tid))
}

fn make(thread: &Thread, request: &Request, tid: u32) -> Result<(Arc<Thread>, Arc<sched::Task>)> {
    let has = |wanted: u64| request.flags & wanted != 0;
    let mut registers = sched::context().duplicate();
    registers.registers.rax = 0;
    if request.stack != 0 {
        registers.registers.rsp = request.stack;
    }
    if has(flag::SETTLS) {
        if request.tls >= crate::memory::TASK_END {
            return fail(Errno::EPERM);
        }
        registers.registers.fs_base = request.tls;
    }
    let memory = if has(flag::VM) { thread.memory() } else { thread.memory().fork(thread)? };
    let files = if has(flag::FILES) {
        let files = Arc::clone(&thread.files());
        files.join();
        files
    } else {
        Arc::new(thread.files().duplicate())
    };
    let context =
        if has(flag::FS) { thread.context() } else { Arc::new(thread.context().duplicate()) };
    let process = if has(flag::THREAD) {
        Arc::clone(&thread.process)
    } else {
        new_process(thread, request, tid)
    };
    let signals = if has(flag::VM) && !has(flag::VFORK) {
        ThreadSignals::new(thread.signals.mask())
    } else {
        thread.signals.forked()
    };
    let is_process = !has(flag::THREAD);
    let undo = || {
        files.leave();
        if is_process {
            super::exit::bury(&process);
        }
    };
    let descriptor = if has(flag::PIDFD) {
        Some(open_for_parent(thread, &process, request.pidfd).inspect_err(|_| undo())?)
    } else {
        None
    };
    let new = NewThread {
        tid,
        process: Arc::clone(&process),
        files: Arc::clone(&files),
        context,
        memory,
        name: thread.name(),
        identity: thread.identity(),
        policy: thread.policy.inherited(),
        signals,
        clear_on_exit: if has(flag::CHILD_CLEARTID) { request.child_tid } else { 0 },
    };
    let made = Thread::create(new, registers);
    let Some((child, task)) = made else {
        descriptor.map(|descriptor| thread.files().remove(descriptor as usize));
        undo();
        return fail(Errno::EAGAIN);
    };
    if has(flag::CHILD_SETTID) {
        child.set_tid_at_start(request.child_tid);
    }
    if process.is_ending() || process.is_executing() {
        child.dying.store(true, Ordering::SeqCst);
        child.attention.store(true, Ordering::SeqCst);
    }
    Ok((child, task))
}

/// Gives the parent a descriptor of its child (`CLONE_PIDFD`).
fn open_for_parent(thread: &Thread, child: &Arc<Process>, to: u64) -> Result {
    let descriptor = thread.add_file(super::open_process(Arc::clone(child), 0), true)?;
    let told = user::write(to, &(descriptor as u32));
    told.inspect_err(|_| drop(thread.files().remove(descriptor as usize)))?;
    Ok(descriptor)
}

fn new_process(thread: &Thread, request: &Request, pid: u32) -> Arc<Process> {
    let caller = &thread.process;
    let parent =
        if request.flags & flag::PARENT != 0 { caller.parent() } else { Some(Arc::clone(caller)) };
    let family = caller.family.lock();
    let (group, session) = (family.group, family.session);
    drop(family);
    let signals = caller.signals.forked(request.flags & flag::SIGHAND != 0);
    if request.flags & flag::CLEAR_SIGHAND != 0 {
        signals.reset_handlers();
    }
    let process = Process::new(NewProcess {
        pid,
        parent: parent.as_ref().map_or_else(alloc::sync::Weak::new, Arc::downgrade),
        group,
        session,
        identity: thread.identity(),
        limits: caller.limits.clone(),
        signals,
        executable: caller.executable(),
        exit_signal: request.exit_signal as i32,
    });
    crate::time::watch_processor_limit(&process);
    process.dumpable.store(caller.dumpable.load(Ordering::Relaxed), Ordering::Relaxed);
    process
        .no_new_privileges
        .store(caller.no_new_privileges.load(Ordering::Relaxed), Ordering::Relaxed);
    process
        .registered_barriers
        .store(caller.registered_barriers.load(Ordering::Relaxed), Ordering::Relaxed);
    process.personality.store(caller.personality.load(Ordering::Relaxed), Ordering::Relaxed);
    process
}

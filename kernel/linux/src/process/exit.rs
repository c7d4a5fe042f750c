//! The end of threads and processes.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::{Process, Status, release_pid, tree};
use crate::error::{Fail, Result};
use crate::signal::{self, Info, number::SIGCHLD};
use crate::thread::Thread;
use crate::{futex, user};

/// `exit(2)`: ends the calling thread.
pub fn exit(thread: &Thread, [code, ..]: [u64; 6]) -> Result {
    end_thread(thread, Status::Exited(code as u8))
}

/// `exit_group(2)`: ends the calling process.
pub fn exit_group(thread: &Thread, [code, ..]: [u64; 6]) -> Result {
    end_group(thread, Status::Exited(code as u8))
}

/// Ends the process of the calling thread, and the thread.
pub fn end_group(thread: &Thread, status: Status) -> ! {
    let process = &thread.process;
    if !process.ending.swap(true, Ordering::SeqCst) {
        *process.exit_status.lock() = status;
        for other in process.threads() {
            if other.tid() != thread.tid() {
                other.dying.store(true, Ordering::SeqCst);
                other.call_attention();
            }
        }
    }
    end_thread(thread, status)
}

/// Ends the calling thread; with the last one, the process.
pub fn end_thread(thread: &Thread, status: Status) -> ! {
    futex::release_robust(thread);
    let clear = thread.clear_on_exit.swap(0, Ordering::Relaxed);
    if clear != 0 && user::write(clear, &0u32).is_ok() {
        futex::wake_one(thread, clear);
    }
    finish_vfork(thread);
    let process = Arc::clone(&thread.process);
    let ran = thread.task().map_or(0, |task| task.ran());
    process.usage.lock()[0].time += ran;
    thread.files().leave();
    thread.memory().leave();
    let last = process.remove_thread(thread.tid()) == 0;
    if thread.tid() != process.pid {
        release_pid(thread.tid());
    }
    if last {
        if !process.ending.swap(true, Ordering::SeqCst) {
            *process.exit_status.lock() = status;
        }
        end_process(&process);
    }
    process.left_alone.wake_all();
    // Nothing that this function owns is dropped once the task has ended.
    drop(process);
    thread.end_task()
}

/// Wakes the parent that waits for a `vfork(2)` child to let go of its memory.
pub fn finish_vfork(thread: &Thread) {
    let waiter = thread.vfork_done.lock().take();
    if let Some(task) = waiter {
        task.unpark();
    }
}

/// What remains of a process when its last thread has ended.
fn end_process(process: &Arc<Process>) {
    let status = *process.exit_status.lock();
    process.timers.clear();
    crate::ipc::end_undo(process);
    crate::terminal::session_ends(process);
    process.set_executable(None);
    if process.pid == 1 {
        // The guest is its first process.
        crate::report::stacks();
        crate::syscall::report_counts();
        hal::exit(status.exit_code());
    }
    let mut tree = tree();
    let orphans = tree.orphan(process);
    drop(tree);
    for orphan in orphans {
        let wanted = orphan.parent_death_signal.load(Ordering::Relaxed);
        if wanted != 0 {
            signal::send_to_process(&orphan, wanted as u8, Info::process(process));
        }
        if orphan.is_zombie()
            && let Some(parent) = orphan.parent()
        {
            announce(&orphan, &parent);
        }
    }
    *process.status.lock() = Some(status);
    process.has_ended.store(true, Ordering::SeqCst);
    process.ended.notify();
    if let Some(parent) = process.parent() {
        announce(process, &parent);
    }
}

/// Tells a parent that its child has ended.
fn announce(child: &Arc<Process>, parent: &Arc<Process>) {
    let signal = child.exit_signal.load(Ordering::Relaxed) as u8;
    let ignored = signal == SIGCHLD && parent.signals.children_are_ignored();
    if signal != 0 {
        signal::send_to_process(parent, signal, Info::child(child));
    }
    if ignored {
        bury(child);
    }
    parent.children_changed.wake_all();
}

/// Forgets a process that has ended.
pub fn bury(process: &Arc<Process>) {
    tree().remove(process);
    process.ended.notify();
    release_pid(process.pid);
}

/// Ends all other threads of the process, waits until they are gone and becomes its first thread;
/// for `execve(2)`.
///
/// # Errors
/// [`Fail::Restart`] when the thread is to end instead.
pub fn become_only_thread(thread: &Thread) -> Result<()> {
    let process = &thread.process;
    if process.thread_count() > 1 {
        if process.executing.swap(true, Ordering::SeqCst) {
            // Another thread was first, and is about to end this one.
            return Err(Fail::Restart);
        }
        for other in process.threads() {
            if other.tid() != thread.tid() {
                other.dying.store(true, Ordering::SeqCst);
                other.call_attention();
            }
        }
        let alone = process.left_alone.wait(|| {
            if thread.dying.load(Ordering::SeqCst) {
                return Some(false);
            }
            (process.thread_count() == 1).then_some(true)
        });
        process.executing.store(false, Ordering::SeqCst);
        if !alone {
            return Err(Fail::Restart);
        }
    }
    if let Some(left) = process.make_first(thread) {
        release_pid(left);
    }
    Ok(())
}

//! Sending signals.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use errno::Errno;
use trace::Event;

use super::info::LENGTH;
use super::number::{LAST, SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
use super::{Info, set_of};
use crate::error::{Result, fail};
use crate::process::{Identity, Process, Status, by_pid, tree};
use crate::thread::Thread;
use crate::user;

const CAP_KILL: u32 = 5;

const STOPPING: u64 = set_of(SIGSTOP) | set_of(SIGTSTP) | set_of(SIGTTIN) | set_of(SIGTTOU);

/// Effects of a signal that come before its delivery, even when it is blocked or ignored.
fn prepare(process: &Process, signal: u8) {
    if signal == SIGCONT || signal == SIGKILL {
        discard(process, STOPPING);
        if process.signals.stopped.swap(false, Ordering::SeqCst) {
            if signal == SIGCONT {
                *process.status.lock() = Some(Status::Continued);
                if let Some(parent) = process.parent() {
                    parent.children_changed.wake_all();
                }
            }
            process.signals.continued.wake_all();
        }
    } else if STOPPING & set_of(signal) != 0 {
        discard(process, set_of(SIGCONT));
    }
}

fn discard(process: &Process, set: u64) {
    process.signals.pending.lock().discard(set);
    for thread in process.threads() {
        thread.signals.pending.lock().discard(set);
    }
}

/// Whether a signal would have no effect, so that it need not be queued: it is ignored, and no
/// thread could find it by waiting for it.
fn is_lost(process: &Process, signal: u8, blocked: u64, waited: u64) -> bool {
    (blocked | waited) & set_of(signal) == 0 && process.signals.action(signal).ignores(signal)
}

/// Sends a signal to a process.
pub fn send_to_process(process: &Arc<Process>, signal: u8, info: Info) {
    trace::record(Event::Signal, u64::from(process.pid), u64::from(signal));
    prepare(process, signal);
    let threads = process.threads();
    let blocked = threads.iter().fold(u64::MAX, |all, thread| all & thread.signals.mask());
    let waited =
        threads.iter().fold(0, |all, thread| all | thread.signals.waited.load(Ordering::SeqCst));
    if threads.is_empty() || is_lost(process, signal, blocked, waited) {
        return;
    }
    process.signals.pending.lock().add(signal, info);
    let bit = set_of(signal);
    let takes = |thread: &&Arc<Thread>| {
        (thread.signals.mask() & bit == 0
            || thread.signals.waited.load(Ordering::SeqCst) & bit != 0)
            && !thread.dying.load(Ordering::Relaxed)
    };
    // The first thread if it takes it, as on Linux, else any that does.
    if let Some(thread) = threads.iter().find(takes) {
        thread.call_attention();
    }
    process.signals.arrived.notify();
}

/// Sends a signal to a thread.
pub fn send_to_thread(thread: &Arc<Thread>, signal: u8, info: Info) {
    trace::record(Event::Signal, u64::from(thread.tid()), u64::from(signal));
    let process = &thread.process;
    prepare(process, signal);
    let waited = thread.signals.waited.load(Ordering::SeqCst);
    if is_lost(process, signal, thread.signals.mask(), waited) {
        return;
    }
    thread.signals.pending.lock().add(signal, info);
    thread.call_attention();
    process.signals.arrived.notify();
}

/// Sends a signal to all processes of a group; `false`: there are none.
pub fn send_to_group(group: u32, signal: u8, info: Info) -> bool {
    let members = tree().group(group);
    for member in &members {
        send_to_process(member, signal, info);
    }
    !members.is_empty()
}

/// Whether the caller may send a signal to a process; `target` is who its receiver acts for.
fn may_send(caller: &Thread, process: &Process, target: &Identity, signal: u8) -> bool {
    if caller.process.pid == process.pid {
        return true;
    }
    let own = caller.identity();
    [own.uid, own.effective_uid].iter().any(|uid| [target.uid, target.saved_uid].contains(uid))
        || own.can(CAP_KILL)
        || (signal == SIGCONT && caller.process.session() == process.session())
}

fn number_of(signal: u64) -> Result<u8> {
    match u8::try_from(signal as u32) {
        Ok(number) if number <= LAST => Ok(number),
        _ => fail(Errno::EINVAL),
    }
}

/// `kill(2)`.
pub fn kill(thread: &Thread, [pid, signal, ..]: [u64; 6]) -> Result {
    let caller = &thread.process;
    let targets: Vec<Arc<Process>> = match pid as i32 {
        0 => tree().group(caller.group()),
        -1 => tree()
            .iter()
            .filter(|process| process.pid != 1 && process.pid != caller.pid)
            .cloned()
            .collect(),
        i32::MIN => return fail(Errno::ESRCH),
        pid if pid < 0 => tree().group(pid.unsigned_abs()),
        pid => by_pid(pid as u32).into_iter().collect(),
    };
    to_all(thread, &targets, signal, Info::user(thread))
}

/// Sends a signal to a thread.
pub fn queue_to_thread(thread: &Thread, target: &Arc<Thread>, signal: u64, info: Info) -> Result {
    let signal = number_of(signal)?;
    if !may_send(thread, &target.process, &target.identity(), signal) {
        return fail(Errno::EPERM);
    }
    if signal != 0 {
        send_to_thread(target, signal, info);
    }
    Ok(0)
}

/// Sends a signal to all processes of a group that the caller may send it to.
pub fn queue_to_group(thread: &Thread, group: u32, signal: u64, info: Info) -> Result {
    to_all(thread, &tree().group(group), signal, info)
}

/// Sends a signal to those processes that the caller may send it to.
fn to_all(thread: &Thread, targets: &[Arc<Process>], signal: u64, info: Info) -> Result {
    let mut result = fail(Errno::ESRCH);
    for target in targets {
        let sent = queue(thread, target, signal, info);
        if sent.is_ok() || result.is_err() {
            result = sent;
        }
    }
    result
}

fn to_thread(thread: &Thread, group: Option<u64>, tid: u64, signal: u64, info: Info) -> Result {
    let positive = |number: u64| u32::try_from(number as i32).ok().filter(|number| *number > 0);
    let tid = positive(tid).ok_or(Errno::EINVAL)?;
    let group = group.map(|group| positive(group).ok_or(Errno::EINVAL)).transpose()?;
    let target = crate::process::by_tid(tid).ok_or(Errno::ESRCH)?;
    if group.is_some_and(|group| target.process.pid != group) {
        return fail(Errno::ESRCH);
    }
    queue_to_thread(thread, &target, signal, info)
}

/// `tkill(2)`.
pub fn tkill(thread: &Thread, [tid, signal, ..]: [u64; 6]) -> Result {
    to_thread(thread, None, tid, signal, Info::thread(thread))
}

/// `tgkill(2)`.
pub fn tgkill(thread: &Thread, [group, tid, signal, ..]: [u64; 6]) -> Result {
    to_thread(thread, Some(group), tid, signal, Info::thread(thread))
}

/// Only the kernel may say that it sent a signal, except to oneself.
pub fn check_claim(thread: &Thread, info: Info, target: u32) -> Result<Info> {
    let claims = info.code >= 0 || info.code == super::info::SI_TKILL;
    if claims && target != thread.process.pid {
        return fail(Errno::EPERM);
    }
    Ok(info)
}

fn user_info(thread: &Thread, address: u64, target: u64) -> Result<Info> {
    let bytes: [u8; LENGTH] = user::read(address)?;
    check_claim(thread, Info::decode(&bytes), target as u32)
}

/// Sends a signal with information to a process.
pub fn queue(thread: &Thread, target: &Arc<Process>, signal: u64, info: Info) -> Result {
    let signal = number_of(signal)?;
    if !may_send(thread, target, &target.identity(), signal) {
        return fail(Errno::EPERM);
    }
    if signal != 0 {
        send_to_process(target, signal, info);
    }
    Ok(0)
}

/// `rt_sigqueueinfo(2)`.
pub fn rt_sigqueueinfo(thread: &Thread, [pid, signal, info, ..]: [u64; 6]) -> Result {
    let info = user_info(thread, info, pid)?;
    let target = by_pid(pid as u32).ok_or(Errno::ESRCH)?;
    queue(thread, &target, signal, info)
}

/// `rt_tgsigqueueinfo(2)`.
pub fn rt_tgsigqueueinfo(thread: &Thread, [group, tid, signal, info, ..]: [u64; 6]) -> Result {
    let info = user_info(thread, info, group)?;
    to_thread(thread, Some(group), tid, signal, info)
}

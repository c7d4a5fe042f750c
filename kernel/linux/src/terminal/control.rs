//! Controlling terminals and job control.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use errno::Errno;
use lock::SpinLock;

use super::discipline::Key;
use super::settings::local;
use super::{Owner, Terminal, open_slave};
use crate::error::{Fail, Result, fail};
use crate::file::OpenFile;
use crate::process::{Process, by_pid, tree};
use crate::rank;
use crate::signal::number::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU};
use crate::signal::{Info, send_to_group, send_to_process, set_of};
use crate::thread::Thread;

/// The terminals of sessions.
pub static CONTROLLING: SpinLock<BTreeMap<u32, Arc<Terminal>>> =
    SpinLock::new(rank::TERMINALS, BTreeMap::new());

/// The controlling terminal of a process.
pub fn terminal_of(process: &Process) -> Option<Arc<Terminal>> {
    let session = process.session();
    CONTROLLING.lock().get(&session).cloned()
}

/// Whether it is the process's controlling terminal.
pub fn is_own(process: &Process, terminal: &Terminal) -> bool {
    terminal_of(process).is_some_and(|own| core::ptr::eq(&*own, terminal))
}

/// Makes it the controlling terminal of the caller's session. `steal`: even another session's.
pub fn take(thread: &Thread, terminal: &Arc<Terminal>, steal: bool) -> Result<()> {
    const SYS_ADMIN: u32 = 21;
    let process = &thread.process;
    let session = process.session();
    if is_own(process, terminal) && process.pid == session {
        return Ok(());
    }
    if process.pid != session || terminal_of(process).is_some() {
        return fail(Errno::EPERM);
    }
    let before = terminal.state.lock().owner.session;
    if before != 0 {
        if !steal || !thread.has_capability(SYS_ADMIN) {
            return fail(Errno::EPERM);
        }
        let gone = CONTROLLING.lock().remove(&before);
        drop(gone);
    }
    terminal.state.lock().owner = Owner { session, group: process.group() };
    CONTROLLING.lock().insert(session, Arc::clone(terminal));
    Ok(())
}

/// A session's leader gives its terminal up.
pub fn give_up(process: &Process) {
    let session = process.session();
    let Some(terminal) = CONTROLLING.lock().remove(&session) else { return };
    let owner = core::mem::take(&mut terminal.state.lock().owner);
    if owner.group != 0 {
        send_to_group(owner.group, SIGHUP, Info::kernel());
        send_to_group(owner.group, SIGCONT, Info::kernel());
    }
}

/// A terminal was hung up: its session has none any more.
pub fn hung_up(_terminal: &Terminal, owner: Owner) {
    if owner.session == 0 {
        return;
    }
    let gone = CONTROLLING.lock().remove(&owner.session);
    drop(gone);
    if let Some(leader) = by_pid(owner.session) {
        send_to_process(&leader, SIGHUP, Info::kernel());
        send_to_process(&leader, SIGCONT, Info::kernel());
    }
}

/// A process has ended: if it led a session, the foreground group is told that the terminal is
/// nobody's any more. As on Linux, whoever has a pseudo-terminal open goes on using it.
pub fn session_ends(process: &Process) {
    if process.pid != process.session() {
        return;
    }
    let Some(terminal) = CONTROLLING.lock().remove(&process.pid) else { return };
    let owner = core::mem::take(&mut terminal.state.lock().owner);
    if owner.group != 0 {
        send_to_group(owner.group, SIGHUP, Info::kernel());
    }
}

/// Opens the caller's controlling terminal (`/dev/tty`).
pub fn open_controlling(
    thread: &Thread,
    location: vfs::Location,
    options: u32,
) -> Result<Arc<OpenFile>> {
    match terminal_of(&thread.process) {
        Some(terminal) => open_slave(thread, &terminal, location, options, true),
        None => fail(Errno::ENXIO),
    }
}

/// Sends the foreground group what a key stands for.
pub fn key_pressed(terminal: &Terminal, key: Key) {
    let signal = match key {
        Key::Interrupt => SIGINT,
        Key::Quit => SIGQUIT,
        Key::Suspend => SIGTSTP,
    };
    to_foreground(terminal, signal);
}

/// Sends the foreground group a signal.
pub fn to_foreground(terminal: &Terminal, signal: u8) {
    let group = terminal.state.lock().owner.group;
    if group != 0 {
        send_to_group(group, signal, Info::kernel());
    }
}

/// Whether nobody outside a group, but in its session, is there to continue it. The first process may
/// well be: it is the shell that somebody started, not a system's init.
fn is_orphaned(group: u32) -> bool {
    let members = tree().group(group);
    !members.iter().any(|member| {
        member.parent().is_some_and(|parent| {
            !parent.is_ending() && parent.group() != group && parent.session() == member.session()
        })
    })
}

/// Stops the caller's group with `signal` if it is in the background.
fn stop_background(thread: &Thread, terminal: &Terminal, signal: u8) -> Result<()> {
    let process = &thread.process;
    let owner = terminal.state.lock().owner;
    let group = process.group();
    if owner.group == 0 || owner.group == group || !is_own(process, terminal) {
        return Ok(());
    }
    let ignored = thread.signals.mask() & set_of(signal) != 0
        || process.signals.action(signal).ignores(signal);
    if ignored {
        return if signal == SIGTTIN { fail(Errno::EIO) } else { Ok(()) };
    }
    if is_orphaned(group) {
        return fail(Errno::EIO);
    }
    send_to_group(group, signal, Info::kernel());
    Err(Fail::Restart)
}

/// Reading is for the foreground.
pub fn check_read(thread: &Thread, terminal: &Terminal) -> Result<()> {
    stop_background(thread, terminal, SIGTTIN)
}

/// Writing is, too, when the terminal is set so.
pub fn check_write(thread: &Thread, terminal: &Terminal) -> Result<()> {
    if !terminal.state.lock().discipline.settings.local(local::TOSTOP) {
        return Ok(());
    }
    check_change(thread, terminal)
}

/// So is changing settings.
pub fn check_change(thread: &Thread, terminal: &Terminal) -> Result<()> {
    stop_background(thread, terminal, SIGTTOU)
}

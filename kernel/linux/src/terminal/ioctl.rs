//! What `ioctl(2)` does with terminals; see ioctl_tty(2).

use alloc::sync::Arc;

use errno::Errno;

use super::settings::{SHORT, Settings};
use super::{Terminal, control};
use crate::abi::Layout;
use crate::error::{Result, fail};
use crate::file::events;
use crate::process::tree;
use crate::signal::number::SIGWINCH;
use crate::thread::Thread;
use crate::user;

const TCGETS: u32 = 0x5401;
const TCSETS: u32 = 0x5402;
const TCSETSF: u32 = 0x5404;
const TCSBRK: u32 = 0x5409;
const TCXONC: u32 = 0x540a;
const TCFLSH: u32 = 0x540b;
const TIOCSCTTY: u32 = 0x540e;
const TIOCGPGRP: u32 = 0x540f;
const TIOCSPGRP: u32 = 0x5410;
const TIOCOUTQ: u32 = 0x5411;
const TIOCSTI: u32 = 0x5412;
const TIOCGWINSZ: u32 = 0x5413;
const TIOCSWINSZ: u32 = 0x5414;
const FIONREAD: u32 = 0x541b;
const TIOCNOTTY: u32 = 0x5422;
const TIOCGETD: u32 = 0x5424;
const TCSBRKP: u32 = 0x5425;
const TIOCGSID: u32 = 0x5429;
const TCGETS2: u32 = 0x802c_542a;
const TCSETS2: u32 = 0x402c_542b;
const TCSETSF2: u32 = 0x402c_542d;
const TIOCGPTN: u32 = 0x8004_5430;
const TIOCSPTLCK: u32 = 0x4004_5431;
const TIOCGPTLCK: u32 = 0x8004_5439;

fn set_settings(thread: &Thread, terminal: &Terminal, request: u32, from: u64) -> Result {
    let long = request >= TCSETS2;
    let old = terminal.state.lock().discipline.settings;
    let mut bytes = [0; Settings::SIZE];
    old.encode(&mut bytes);
    let read = user::read_bytes(from, if long { Settings::SIZE } else { SHORT })?;
    bytes[..read.len()].copy_from_slice(&read);
    control::check_change(thread, terminal)?;
    // Output reaches the other end at once: there is nothing to drain.
    let mut state = terminal.state.lock();
    if matches!(request, TCSETSF | TCSETSF2) {
        state.discipline.flush_input();
    }
    state.discipline.set(Settings::decode(&bytes));
    drop(state);
    terminal.slave.notify();
    Ok(0)
}

/// What both ends have.
fn of_both(thread: &Thread, terminal: &Terminal, request: u32, argument: u64) -> Result {
    match request {
        TCGETS | TCGETS2 => {
            let mut bytes = [0; Settings::SIZE];
            terminal.state.lock().discipline.settings.encode(&mut bytes);
            let length = if request == TCGETS { SHORT } else { Settings::SIZE };
            user::write_bytes(argument, &bytes[..length])?;
        }
        TCSETS..=TCSETSF | TCSETS2..=TCSETSF2 => {
            return set_settings(thread, terminal, request, argument);
        }
        TCSBRK | TCSBRKP => control::check_change(thread, terminal)?,
        TIOCGWINSZ => {
            let window = terminal.state.lock().window;
            user::write(argument, &window)?;
        }
        TIOCSWINSZ => {
            let window: [u16; 4] = user::read(argument)?;
            let old = core::mem::replace(&mut terminal.state.lock().window, window);
            if old != window {
                control::to_foreground(terminal, SIGWINCH);
            }
        }
        TIOCGETD => user::write(argument, &0u32)?,
        TIOCSTI => return fail(Errno::EIO),
        TIOCSPGRP => set_foreground(thread, terminal, argument)?,
        _ => return fail(Errno::ENOTTY),
    }
    Ok(0)
}

fn set_foreground(thread: &Thread, terminal: &Terminal, argument: u64) -> Result<()> {
    control::check_change(thread, terminal)?;
    let session = thread.process.session();
    if !control::is_own(&thread.process, terminal) || terminal.state.lock().owner.session != session
    {
        return fail(Errno::ENOTTY);
    }
    let group: i32 = user::read(argument)?;
    let group = u32::try_from(group).map_err(|_| Errno::EINVAL)?;
    let members = tree().group(group);
    let Some(member) = members.first() else { return fail(Errno::ESRCH) };
    if member.session() != session {
        return fail(Errno::EPERM);
    }
    terminal.state.lock().owner.group = group;
    Ok(())
}

/// Forgets input and output that wait.
fn flush(terminal: &Terminal, what: u64) -> Result {
    if what > 2 {
        return fail(Errno::EINVAL);
    }
    let mut state = terminal.state.lock();
    if what != 1 {
        state.discipline.flush_input();
    }
    if what != 0 {
        state.discipline.output.clear();
    }
    drop(state);
    terminal.master.notify_of(events::OUT);
    terminal.slave.notify_of(events::OUT);
    Ok(0)
}

/// Stops or continues output.
fn flow(terminal: &Terminal, what: u64) -> Result {
    match what {
        0 | 1 => terminal.state.lock().discipline.stopped = what == 0,
        // The characters that stop and continue the other side's typing.
        2 | 3 => {}
        _ => return fail(Errno::EINVAL),
    }
    terminal.has_output();
    terminal.slave.notify_of(events::OUT);
    Ok(0)
}

/// Of the programs' end.
pub fn of_slave(thread: &Thread, terminal: &Arc<Terminal>, request: u32, argument: u64) -> Result {
    let process = &thread.process;
    let owner = terminal.state.lock().owner;
    let own = control::is_own(process, terminal);
    match request {
        TIOCSCTTY => control::take(thread, terminal, argument == 1)?,
        TIOCNOTTY | TIOCGPGRP | TIOCGSID if !own => return fail(Errno::ENOTTY),
        TIOCNOTTY => {
            // The terminal belongs to the session: others than its leader cannot leave it alone.
            if process.pid != process.session() {
                return fail(Errno::EPERM);
            }
            control::give_up(process);
        }
        TIOCGPGRP => user::write(argument, &owner.group)?,
        TIOCGSID => user::write(argument, &owner.session)?,
        FIONREAD => {
            let count = terminal.state.lock().discipline.readable() as u32;
            user::write(argument, &count)?;
        }
        TIOCOUTQ => user::write(argument, &0u32)?,
        TCFLSH => {
            control::check_change(thread, terminal)?;
            return flush(terminal, argument);
        }
        TCXONC => {
            control::check_change(thread, terminal)?;
            return flow(terminal, argument);
        }
        _ => return of_both(thread, terminal, request, argument),
    }
    Ok(0)
}

/// Of the master's end.
pub fn of_master(thread: &Thread, terminal: &Arc<Terminal>, request: u32, argument: u64) -> Result {
    match request {
        TIOCGPTN => user::write(argument, &terminal.number)?,
        TIOCSPTLCK => {
            let locked: i32 = user::read(argument)?;
            terminal.state.lock().locked = locked != 0;
        }
        TIOCGPTLCK => {
            let locked = u32::from(terminal.state.lock().locked);
            user::write(argument, &locked)?;
        }
        TIOCGPGRP => {
            let group = terminal.state.lock().owner.group;
            user::write(argument, &group)?;
        }
        TIOCGSID => {
            let session = terminal.state.lock().owner.session;
            if session == 0 {
                return fail(Errno::ENOTTY);
            }
            user::write(argument, &session)?;
        }
        FIONREAD => {
            let count = terminal.state.lock().discipline.output.len() as u32;
            user::write(argument, &count)?;
        }
        TCFLSH => return flush(terminal, argument),
        _ => return of_both(thread, terminal, request, argument),
    }
    Ok(0)
}

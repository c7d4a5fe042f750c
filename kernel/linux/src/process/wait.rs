//! `wait4(2)` and `waitid(2)`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;

use super::exit::bury;
use super::{Process, Status, Usage};
use crate::error::{Result, fail};
use crate::signal::{Info, number::SIGCHLD};
use crate::thread::Thread;
use crate::{time, user};

const WNOHANG: u64 = 1;
const WUNTRACED: u64 = 2;
const WEXITED: u64 = 4;
const WCONTINUED: u64 = 8;
const WNOWAIT: u64 = 0x0100_0000;
const WNOTHREAD: u64 = 0x2000_0000;
const WALL: u64 = 0x4000_0000;
const WCLONE: u64 = 0x8000_0000;

/// Which children are waited for.
#[derive(Clone, Copy)]
enum Whom {
    Any,
    Process(u32),
    Group(u32),
}

impl Whom {
    fn includes(self, child: &Process) -> bool {
        match self {
            Self::Any => true,
            Self::Process(pid) => child.pid == pid,
            Self::Group(group) => child.group() == group,
        }
    }
}

/// What a wait found.
struct Found {
    pid: u32,
    uid: u32,
    status: Status,
    usage: Usage,
}

fn children(process: &Process) -> Vec<Arc<Process>> {
    process.family.lock().children.clone()
}

/// Looks once; `None`: there are such children, but nothing to tell yet.
fn look(process: &Process, whom: Whom, options: u64) -> Result<Option<Found>> {
    let mut any = false;
    for child in children(process) {
        if !whom.includes(&child) {
            continue;
        }
        let clone_child =
            child.exit_signal.load(core::sync::atomic::Ordering::Relaxed) != i32::from(SIGCHLD);
        if options & WALL == 0 && clone_child != (options & WCLONE != 0) {
            continue;
        }
        any = true;
        let mut slot = child.status.lock();
        let Some(status) = *slot else { continue };
        let wanted = match status {
            Status::Exited(_) | Status::Killed { .. } => options & WEXITED != 0,
            Status::Stopped(_) => options & WUNTRACED != 0,
            Status::Continued => options & WCONTINUED != 0,
        };
        if !wanted {
            continue;
        }
        let ended = matches!(status, Status::Exited(_) | Status::Killed { .. });
        if options & WNOWAIT == 0 {
            *slot = None;
        }
        drop(slot);
        let [own, of_children] = *child.usage.lock();
        let usage = Usage {
            time: own.time + of_children.time,
            largest: own.largest.max(of_children.largest),
        };
        let uid = child.identity().uid;
        if ended && options & WNOWAIT == 0 {
            let mut collected = process.usage.lock();
            collected[1].time += usage.time;
            collected[1].largest = collected[1].largest.max(usage.largest);
            drop(collected);
            bury(&child);
        }
        return Ok(Some(Found { pid: child.pid, uid, status, usage }));
    }
    if any { Ok(None) } else { fail(Errno::ECHILD) }
}

fn wait(thread: &Thread, whom: Whom, options: u64) -> Result<Option<Found>> {
    let process = &thread.process;
    if options & WNOHANG != 0 {
        return look(process, whom, options);
    }
    let found = thread.wait_until(&process.children_changed, u64::MAX, || {
        look(process, whom, options).transpose()
    })?;
    found.transpose()
}

/// `wait4(2)`.
pub fn wait4(thread: &Thread, [pid, status, options, usage, ..]: [u64; 6]) -> Result {
    let options = options & 0xffff_ffff;
    if options & !(WNOHANG | WUNTRACED | WCONTINUED | WNOTHREAD | WALL | WCLONE) != 0 {
        return fail(Errno::EINVAL);
    }
    let whom = match pid as i32 {
        -1 => Whom::Any,
        0 => Whom::Group(thread.process.group()),
        i32::MIN => return fail(Errno::ESRCH),
        pid if pid < 0 => Whom::Group(pid.unsigned_abs()),
        pid => Whom::Process(pid as u32),
    };
    let Some(found) = wait(thread, whom, options | WEXITED)? else { return Ok(0) };
    user::write_if(status, &found.status.encode())?;
    if usage != 0 {
        time::write_usage(usage, found.usage)?;
    }
    Ok(u64::from(found.pid))
}

/// `waitid(2)`.
pub fn waitid(thread: &Thread, [kind, id, info, options, usage, _]: [u64; 6]) -> Result {
    let options = options & 0xffff_ffff;
    let known = WNOHANG | WUNTRACED | WEXITED | WCONTINUED | WNOWAIT | WNOTHREAD | WALL | WCLONE;
    if options & !known != 0 || options & (WUNTRACED | WEXITED | WCONTINUED) == 0 {
        return fail(Errno::EINVAL);
    }
    let mut never_waits = false;
    let whom = match (kind as u32, id as i32) {
        (0, _) => Whom::Any,
        (1, id) if id > 0 => Whom::Process(id as u32),
        (2, 0) => Whom::Group(thread.process.group()),
        (2, id) if id > 0 => Whom::Group(id as u32),
        (3, descriptor) if descriptor >= 0 => {
            never_waits = super::never_waits(thread, descriptor as u64);
            Whom::Process(super::process_of(thread, descriptor as u64)?.pid)
        }
        _ => return fail(Errno::EINVAL),
    };
    let found = wait(thread, whom, options | if never_waits { WNOHANG } else { 0 })?;
    if found.is_none() && never_waits && options & WNOHANG == 0 {
        return fail(Errno::EAGAIN);
    }
    if info != 0 {
        let bytes = match &found {
            Some(found) => Info::of_status(found.pid, found.uid, found.status).encode(SIGCHLD),
            None => [0; 128],
        };
        user::write_bytes(info, &bytes)?;
    }
    if usage != 0
        && let Some(found) = &found
    {
        time::write_usage(usage, found.usage)?;
    }
    Ok(0)
}

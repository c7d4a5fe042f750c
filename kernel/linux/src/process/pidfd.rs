//! Process descriptors: `pidfd_open(2)` and its kin.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::Ordering;

use errno::Errno;

use super::{Process, by_pid, by_tid, may_trace};
use crate::abi::Layout;
use crate::error::{Result, fail};
use crate::file::{File, OpenFile, events, flags};
use crate::notifier::Notifier;
use crate::signal::{self, Info};
use crate::thread::Thread;
use crate::user;

/// `PIDFD_NONBLOCK`: `waitid(2)` does not wait.
const NONBLOCK: u32 = flags::NONBLOCK;

/// What a process descriptor stands for.
struct PidFile(Arc<Process>);

impl File for PidFile {
    fn ready(&self) -> u32 {
        const ENDED: u32 = events::IN | events::RDNORM;
        match (self.0.has_ended.load(Ordering::SeqCst), is_known(&self.0)) {
            (false, _) => 0,
            (true, true) => ENDED,
            (true, false) => ENDED | events::HUP,
        }
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.0.ended)
    }

    fn label(&self) -> String {
        "anon_inode:[pidfd]".into()
    }

    fn information(&self) -> String {
        let pid = if is_known(&self.0) { self.0.pid as i32 } else { -1 };
        format!("Pid:\t{pid}\nNSpid:\t{pid}\n")
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Whether a process was not waited for yet.
fn is_known(process: &Arc<Process>) -> bool {
    by_pid(process.pid).is_some_and(|known| Arc::ptr_eq(&known, process))
}

/// Opens a process.
pub fn open_process(process: Arc<Process>, options: u32) -> Arc<OpenFile> {
    OpenFile::new(Arc::new(PidFile(process)), None, flags::RDWR | options & NONBLOCK)
}

/// The process behind a descriptor.
///
/// # Errors
/// `EBADF` if the descriptor is none of a process.
pub fn process_of(thread: &Thread, descriptor: u64) -> Result<Arc<Process>> {
    let open = thread.files().get(descriptor)?;
    let file = open.file.as_any().downcast_ref::<PidFile>().ok_or(Errno::EBADF)?;
    Ok(Arc::clone(&file.0))
}

/// Like [`process_of`], for a process that was not waited for.
///
/// # Errors
/// `EBADF`; `ESRCH` if it was.
pub fn known_process_of(thread: &Thread, descriptor: u64) -> Result<Arc<Process>> {
    let process = process_of(thread, descriptor)?;
    if is_known(&process) { Ok(process) } else { fail(Errno::ESRCH) }
}

/// Whether a descriptor was opened with `PIDFD_NONBLOCK`.
pub fn never_waits(thread: &Thread, descriptor: u64) -> bool {
    thread.files().get(descriptor).is_ok_and(|open| open.flags() & NONBLOCK != 0)
}

/// `pidfd_open(2)`.
pub fn pidfd_open(thread: &Thread, [pid, options, ..]: [u64; 6]) -> Result {
    if options as u32 & !NONBLOCK != 0 {
        return fail(Errno::EINVAL);
    }
    let pid = u32::try_from(pid as i32).ok().filter(|pid| *pid > 0).ok_or(Errno::EINVAL)?;
    let Some(process) = by_pid(pid) else {
        // A thread that is not the first of its process.
        return fail(if by_tid(pid).is_some() { Errno::EINVAL } else { Errno::ESRCH });
    };
    thread.add_file(open_process(process, options as u32), true)
}

/// `pidfd_send_signal(2)`.
pub fn pidfd_send_signal(
    thread: &Thread,
    [descriptor, signal, info, options, ..]: [u64; 6],
) -> Result {
    const THREAD: u32 = 1;
    const THREAD_GROUP: u32 = 2;
    const PROCESS_GROUP: u32 = 4;
    let options = options as u32;
    if options & !(THREAD | THREAD_GROUP | PROCESS_GROUP) != 0 || options.count_ones() > 1 {
        return fail(Errno::EINVAL);
    }
    let process = process_of(thread, descriptor)?;
    let info = if info == 0 {
        Info::user(thread)
    } else {
        let raw: [u8; signal::INFO_LENGTH] = user::read(info)?;
        if u32::decode(&raw[..4]) != signal as u32 {
            return fail(Errno::EINVAL);
        }
        signal::check_claim(thread, Info::decode(&raw), process.pid)?
    };
    if !is_known(&process) {
        return fail(Errno::ESRCH);
    }
    match options {
        THREAD => match process.thread(process.pid) {
            Some(first) => signal::queue_to_thread(thread, &first, signal, info),
            None => Ok(0),
        },
        PROCESS_GROUP => signal::queue_to_group(thread, process.pid, signal, info),
        _ => signal::queue(thread, &process, signal, info),
    }
}

/// `pidfd_getfd(2)`.
pub fn pidfd_getfd(thread: &Thread, [descriptor, wanted, options, ..]: [u64; 6]) -> Result {
    if options as u32 != 0 {
        return fail(Errno::EINVAL);
    }
    let process = known_process_of(thread, descriptor)?;
    if !may_trace(thread, &process) {
        return fail(Errno::EPERM);
    }
    let Some(other) = process.threads().into_iter().next() else { return fail(Errno::ESRCH) };
    let open = other.files().get_any(wanted)?;
    thread.add_file(open, true)
}

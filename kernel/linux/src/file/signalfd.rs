//! `signalfd(2)`.

use alloc::sync::Arc;
use core::any::Any;
use core::sync::atomic::{AtomicU64, Ordering};

use errno::Errno;

use super::{File, OpenFile, events, flags};
use crate::error::{Result, fail};
use crate::notifier::Notifier;
use crate::process::Process;
use crate::signal::number::SIGCHLD;
use crate::signal::{Info, Set, UNSTOPPABLE, take_waiting};
use crate::thread::{self, Thread};
use crate::user::{self, Sink};

/// Bytes of a `struct signalfd_siginfo`.
const RECORD: usize = 128;

struct SignalFile {
    mask: AtomicU64,
    /// Whose signals it tells about when it is polled.
    process: Arc<Process>,
}

fn record_of(signal: u8, info: &Info) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..4].copy_from_slice(&u32::from(signal).to_le_bytes());
    record[4..8].copy_from_slice(&info.error.to_le_bytes());
    record[8..12].copy_from_slice(&info.code.to_le_bytes());
    let mut copy = |to: usize, from: usize, length: usize| {
        record[to..to + length].copy_from_slice(&info.fields[from..from + length]);
    };
    const SI_TIMER: i32 = -2;
    if info.code == SI_TIMER {
        // ssi_tid, ssi_overrun, then the value as number and pointer.
        copy(24, 0, 4);
        copy(32, 4, 4);
        copy(44, 8, 4);
        copy(48, 8, 8);
        return record;
    }
    // ssi_pid and ssi_uid.
    copy(12, 0, 8);
    if signal == SIGCHLD && info.code > 0 {
        // ssi_status, ssi_utime and ssi_stime.
        copy(40, 8, 4);
        copy(56, 16, 16);
    } else {
        copy(44, 8, 4);
        copy(48, 8, 8);
    }
    record
}

impl File for SignalFile {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, _position: u64) -> Result<usize> {
        if to.room() < RECORD as u64 {
            return fail(Errno::EINVAL);
        }
        let mask = self.mask.load(Ordering::Relaxed);
        let mut done = 0;
        while to.room() >= RECORD as u64 {
            let taken = thread::with_current(|thread| take_waiting(thread, mask)).flatten();
            let Some((signal, info)) = taken else { break };
            done += to.put(&record_of(signal, &info))?;
        }
        if done == 0 { fail(Errno::EAGAIN) } else { Ok(done) }
    }

    fn ready(&self) -> u32 {
        let pending = thread::with_current(|thread| {
            thread.signals.pending_set() | thread.process.signals.pending_set()
        });
        let pending = pending.unwrap_or_else(|| self.process.signals.pending_set());
        if pending & self.mask.load(Ordering::Relaxed) != 0 { events::IN } else { 0 }
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.process.signals.arrived)
    }

    fn label(&self) -> alloc::string::String {
        "anon_inode:[signalfd]".into()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `signalfd4(2)`.
pub fn signalfd4(thread: &Thread, [descriptor, mask, length, options, ..]: [u64; 6]) -> Result {
    let options = options as u32;
    if length != 8 {
        return fail(Errno::EINVAL);
    }
    let mask = user::read::<Set>(mask)? & !UNSTOPPABLE;
    if options & !(flags::CLOEXEC | flags::NONBLOCK) != 0 {
        return fail(Errno::EINVAL);
    }
    if descriptor as i32 != -1 {
        let open = thread.files().get(descriptor)?;
        let Some(file) = open.file.as_any().downcast_ref::<SignalFile>() else {
            return fail(Errno::EINVAL);
        };
        file.mask.store(mask, Ordering::Relaxed);
        file.process.signals.arrived.notify();
        return Ok(u64::from(descriptor as u32));
    }
    let process = Arc::clone(&thread.process);
    let file = Arc::new(SignalFile { mask: AtomicU64::new(mask), process });
    let open = OpenFile::new(file, None, flags::RDWR | options & flags::NONBLOCK);
    thread.add_file(open, options & flags::CLOEXEC != 0)
}

/// `signalfd(2)`.
pub fn signalfd(thread: &Thread, [descriptor, mask, length, ..]: [u64; 6]) -> Result {
    signalfd4(thread, [descriptor, mask, length, 0, 0, 0])
}

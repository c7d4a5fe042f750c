//! `eventfd(2)`.

use alloc::sync::Arc;
use core::any::Any;

use errno::Errno;
use lock::SpinLock;

use super::{File, OpenFile, events, flags};
use crate::error::{Result, fail};
use crate::notifier::Notifier;
use crate::rank;
use crate::thread::Thread;
use crate::user::{Sink, Source};

/// The largest count.
const MAX: u64 = u64::MAX - 1;

struct EventFile {
    count: SpinLock<u64>,
    /// A read takes one instead of all.
    semaphore: bool,
    notifier: Notifier,
}

impl File for EventFile {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, _position: u64) -> Result<usize> {
        if to.room() < 8 {
            return fail(Errno::EINVAL);
        }
        let mut count = self.count.lock();
        let taken = match *count {
            0 => return fail(Errno::EAGAIN),
            _ if self.semaphore => 1,
            all => all,
        };
        *count -= taken;
        drop(count);
        self.notifier.notify_of(events::OUT | events::WRNORM);
        to.put(&taken.to_le_bytes())
    }

    fn write(&self, _open: &OpenFile, from: &mut dyn Source, _position: u64) -> Result<usize> {
        if from.left() < 8 {
            return fail(Errno::EINVAL);
        }
        let mut bytes = [0; 8];
        // It is taken only when it can be added: a write that waits looks at it again.
        if from.look(&mut bytes)? < bytes.len() {
            return fail(Errno::EFAULT);
        }
        let added = u64::from_le_bytes(bytes);
        if added == u64::MAX {
            return fail(Errno::EINVAL);
        }
        let mut count = self.count.lock();
        match count.checked_add(added).filter(|sum| *sum <= MAX) {
            Some(sum) => *count = sum,
            None => return fail(Errno::EAGAIN),
        }
        drop(count);
        self.notifier.notify_of(events::IN | events::RDNORM);
        from.get(&mut bytes)
    }

    fn ready(&self) -> u32 {
        let count = *self.count.lock();
        let readable = if count > 0 { events::IN } else { 0 };
        let writable = if count < MAX { events::OUT } else { 0 };
        readable | writable
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.notifier)
    }

    fn label(&self) -> alloc::string::String {
        "anon_inode:[eventfd]".into()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `eventfd2(2)`.
pub fn eventfd2(thread: &Thread, [initial, options, ..]: [u64; 6]) -> Result {
    const SEMAPHORE: u32 = 1;
    let options = options as u32;
    if options & !(SEMAPHORE | flags::CLOEXEC | flags::NONBLOCK) != 0 {
        return fail(Errno::EINVAL);
    }
    let file = Arc::new(EventFile {
        count: SpinLock::new(rank::STREAM, u64::from(initial as u32)),
        semaphore: options & SEMAPHORE != 0,
        notifier: Notifier::new(),
    });
    let open = OpenFile::new(file, None, flags::RDWR | options & flags::NONBLOCK);
    thread.add_file(open, options & flags::CLOEXEC != 0)
}

/// `eventfd(2)`.
pub fn eventfd(thread: &Thread, [initial, ..]: [u64; 6]) -> Result {
    eventfd2(thread, [initial, 0, 0, 0, 0, 0])
}

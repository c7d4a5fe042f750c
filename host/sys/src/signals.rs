//! Signals as data on a descriptor.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A set of signals that arrive on a descriptor instead of interrupting.
///
/// They stay blocked for the thread that made it when it is dropped: a signal that came in
/// between must not end the process in the middle of tidying up.
pub struct Signals {
    descriptor: OwnedFd,
}

impl Signals {
    /// Blocks `signals` (Linux numbers) for this thread and opens a descriptor that becomes
    /// readable when one arrives. Call before other threads are started.
    ///
    /// # Errors
    /// When the kernel refuses, such as for want of descriptors.
    pub fn block(signals: &[i32]) -> io::Result<Self> {
        // SAFETY: the set is initialised by sigemptyset before anything reads it, and the other
        // calls take pointers to it that live across them.
        let descriptor = unsafe {
            let mut set = std::mem::zeroed::<libc::sigset_t>();
            libc::sigemptyset(&mut set);
            for &signal in signals {
                libc::sigaddset(&mut set, signal);
            }
            libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: signalfd has just returned this descriptor and nobody else knows it.
        Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) } })
    }

    /// The number of the next signal that has arrived; `None` when there is none.
    pub fn next_signal(&self) -> Option<i32> {
        // SAFETY: signalfd_siginfo is plain data, for which zeros are valid.
        let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
        let length = size_of_val(&info);
        // SAFETY: the buffer is `length` bytes long and lives across the call.
        let read =
            unsafe { libc::read(self.descriptor.as_raw_fd(), (&raw mut info).cast(), length) };
        (read == length as isize).then_some(info.ssi_signo as i32)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::Signals;

    #[test]
    fn a_signal_arrives_as_data() {
        let signals = Signals::block(&[libc::SIGUSR1]).unwrap();
        assert_eq!(signals.next_signal(), None);
        // SAFETY: raising a blocked signal only marks it as pending.
        unsafe { libc::raise(libc::SIGUSR1) };
        assert_eq!(signals.next_signal(), Some(libc::SIGUSR1));
    }
}

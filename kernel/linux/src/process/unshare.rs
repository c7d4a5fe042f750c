//! `unshare(2)`.

use errno::Errno;

use super::flag;
use crate::error::{Result, fail};
use crate::thread::Thread;

/// `unshare(2)`. Namespaces are refused as by a Linux that was built without them: one guest is
/// one application.
pub fn unshare(thread: &Thread, [flags, ..]: [u64; 6]) -> Result {
    const SELF_ONLY: u64 = flag::THREAD | flag::SIGHAND | flag::VM;
    if flags & !(flag::NAMESPACES | flag::FS | flag::FILES | flag::SYSVSEM | SELF_ONLY) != 0 {
        return fail(Errno::EINVAL);
    }
    if flags & SELF_ONLY != 0 && thread.process.thread_count() > 1 {
        return fail(Errno::EINVAL);
    }
    if flags & flag::NAMESPACES != 0 {
        return fail(Errno::EINVAL);
    }
    if flags & flag::FS != 0 {
        thread.unshare_context();
    }
    if flags & flag::FILES != 0 {
        thread.unshare_files();
    }
    Ok(0)
}

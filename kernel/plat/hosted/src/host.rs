//! The calls to the host that are left, each a function. Numbers and constants are those of
//! Linux on x86-64.

use core::sync::atomic::AtomicU32;

use crate::gateway::host_call;

/// A negative result of a host call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError(pub i32);

macro_rules! numbers {
    ($($name:ident = $number:literal),* $(,)?) => { $(pub const $name: usize = $number;)* };
}

numbers! {
    CLOSE = 3, MMAP = 9, MPROTECT = 10, MUNMAP = 11, RT_SIGACTION = 13,
    RT_SIGRETURN = 15, READV = 19, WRITEV = 20, SCHED_YIELD = 24, MREMAP = 25, MADVISE = 28,
    CLONE = 56, EXIT = 60, SIGALTSTACK = 131, PRCTL = 157,
    FUTEX = 202, SCHED_SETAFFINITY = 203, SCHED_GETAFFINITY = 204, CLOCK_GETTIME = 228,
    EXIT_GROUP = 231, TGKILL = 234, OPENAT = 257, PPOLL = 271, SECCOMP = 317, MEMBARRIER = 324,
    RT_SIGPROCMASK = 14, FDATASYNC = 75, PREADV2 = 327, PWRITEV2 = 328, GETPID = 39,
}

pub const PR_SET_PDEATHSIG: usize = 1;
pub const PR_SET_NO_NEW_PRIVS: usize = 38;
pub const SIGKILL: usize = 9;
pub const FUTEX_WAKE: usize = 1;
pub const FUTEX_WAIT_BITSET: usize = 9;
pub const MEMBARRIER_GLOBAL: usize = 1;
pub const PROT_READ: usize = 1;
pub const PROT_WRITE: usize = 2;
pub const PROT_EXEC: usize = 4;
pub const PROT_ALL: usize = PROT_READ | PROT_WRITE | PROT_EXEC;
pub const MAP_SHARED: usize = 1;
pub const MAP_PRIVATE: usize = 2;
pub const MAP_FIXED: usize = 0x10;
pub const MAP_ANONYMOUS: usize = 0x20;
pub const MAP_NORESERVE: usize = 0x4000;
pub const MAP_FIXED_NOREPLACE: usize = 0x10_0000;
/// The flags that mappings are made with.
pub const MAP_USED: usize =
    MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
pub const MREMAP_MAYMOVE: usize = 1;
pub const MREMAP_FIXED: usize = 2;
pub const MADV_DONTNEED: usize = 4;

pub const EINTR: i32 = 4;
pub const EAGAIN: i32 = 11;

/// Turns a raw result into a `Result`.
pub fn check(result: isize) -> Result<usize, HostError> {
    if result < 0 { Err(HostError(-result as i32)) } else { Ok(result as usize) }
}

/// `mmap`.
///
/// # Safety
/// Replacing what is mapped at the range must be what the caller means.
pub unsafe fn mmap(
    address: usize,
    length: usize,
    protection: usize,
    flags: usize,
    descriptor: Option<u32>,
    offset: u64,
) -> Result<usize, HostError> {
    let descriptor = descriptor.map_or(usize::MAX, |number| number as usize);
    // SAFETY: the caller's.
    check(unsafe {
        host_call(MMAP, address, length, protection, flags, descriptor, offset as usize)
    })
}

/// `munmap`.
///
/// # Safety
/// Nothing in the kernel uses the range any more.
pub unsafe fn munmap(address: usize, length: usize) -> Result<(), HostError> {
    // SAFETY: the caller's.
    check(unsafe { host_call(MUNMAP, address, length, 0, 0, 0, 0) }).map(drop)
}

/// Writes all `parts` to a descriptor, as far as it takes them.
pub fn writev<const N: usize>(descriptor: u32, parts: [&[u8]; N]) -> Result<usize, HostError> {
    let iovecs = parts.map(|part| [part.as_ptr() as usize, part.len()]);
    let pointer = iovecs.as_ptr() as usize;
    // SAFETY: reads the parts only.
    check(unsafe { host_call(WRITEV, descriptor as usize, pointer, N, 0, 0, 0) })
}

/// `read`.
pub fn read(descriptor: u32, buffer: &mut [u8]) -> Result<usize, HostError> {
    let iovec = [buffer.as_mut_ptr() as usize, buffer.len()];
    // SAFETY: writes into the buffer only.
    check(unsafe { host_call(READV, descriptor as usize, iovec.as_ptr() as usize, 1, 0, 0, 0) })
}

/// Waits until `word` is no longer `expected`, a wake-up, a signal, or the deadline (absolute,
/// monotonic, nanoseconds; `u64::MAX`: none).
pub fn futex_wait(word: &AtomicU32, expected: u32, deadline: u64) {
    let time = [deadline / 1_000_000_000, deadline % 1_000_000_000];
    let time = if deadline == u64::MAX { 0 } else { time.as_ptr() as usize };
    let word = word.as_ptr() as usize;
    // SAFETY: reads the word and the time. Why it returned does not matter: the caller looks.
    unsafe {
        host_call(FUTEX, word, FUTEX_WAIT_BITSET, expected as usize, time, 0, u32::MAX as usize);
    }
}

/// Wakes one waiter of `word`.
pub fn futex_wake(word: &AtomicU32) {
    // SAFETY: wakes waiters; they all look again at what they wait for.
    unsafe {
        host_call(FUTEX, word.as_ptr() as usize, FUTEX_WAKE, 1, 0, 0, 0);
    }
}

/// Ends the calling process.
pub fn exit_group(code: i32) -> ! {
    loop {
        // SAFETY: ends this process only.
        unsafe { host_call(EXIT_GROUP, code as usize, 0, 0, 0, 0, 0) };
    }
}

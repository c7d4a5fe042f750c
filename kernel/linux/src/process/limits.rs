//! Resource limits.

use core::sync::atomic::{AtomicU64, Ordering};

use errno::Errno;

use crate::error::{Result, fail};
use crate::layout;
use crate::thread::Thread;
use crate::user;

/// No limit.
pub const INFINITY: u64 = u64::MAX;

const COUNT: usize = 16;

/// A resource, by Linux's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Seconds of processor time.
    ProcessorTime = 0,
    /// Bytes of a file.
    FileSize = 1,
    /// Bytes of data and heap.
    Data = 2,
    /// Bytes of the main thread's stack.
    Stack = 3,
    /// Processes of a user.
    Processes = 6,
    /// Open files.
    Files = 7,
    /// Bytes of locked memory.
    LockedMemory = 8,
    /// Bytes of all mappings.
    AddressSpace = 9,
    /// Queued signals.
    PendingSignals = 11,
}

layout! {
    /// `struct rlimit64`.
    pub struct Limit {
        pub soft: u64,
        pub hard: u64,
    }
}

/// Soft and hard limits of a process.
pub struct Limits([[AtomicU64; 2]; COUNT]);

impl Default for Limits {
    fn default() -> Self {
        let limits = Self([const { [const { AtomicU64::new(INFINITY) }; 2] }; COUNT]);
        let defaults = [
            (Resource::Stack as usize, 8 << 20, INFINITY),
            (4, 0, INFINITY),
            (Resource::Processes as usize, 30_000, 30_000),
            (Resource::Files as usize, 1024, 1_048_576),
            (8, 8 << 20, 8 << 20),
            (Resource::PendingSignals as usize, 30_000, 30_000),
            (12, 819_200, 819_200),
            (13, 0, 0),
            (14, 0, 0),
        ];
        for (resource, soft, hard) in defaults {
            limits.set(resource, Limit { soft, hard });
        }
        limits
    }
}

impl Clone for Limits {
    fn clone(&self) -> Self {
        let copy = Self::default();
        for resource in 0..COUNT {
            copy.set(resource, self.get(resource));
        }
        copy
    }
}

impl Limits {
    fn get(&self, resource: usize) -> Limit {
        let [soft, hard] = &self.0[resource];
        Limit { soft: soft.load(Ordering::Relaxed), hard: hard.load(Ordering::Relaxed) }
    }

    fn set(&self, resource: usize, limit: Limit) {
        let [soft, hard] = &self.0[resource];
        soft.store(limit.soft, Ordering::Relaxed);
        hard.store(limit.hard, Ordering::Relaxed);
    }

    /// The soft limit of a resource.
    pub fn soft(&self, resource: Resource) -> u64 {
        self.get(resource as usize).soft
    }

    /// Soft and hard limit, by Linux's number (below 16).
    pub fn both(&self, resource: usize) -> Limit {
        self.get(resource % COUNT)
    }

    /// Bytes that all mappings may take.
    pub fn address_space(&self) -> u64 {
        self.soft(Resource::AddressSpace)
    }

    /// Bytes that the heap may take.
    pub fn data(&self) -> u64 {
        self.soft(Resource::Data)
    }
}

/// `prlimit64(2)`.
pub fn prlimit64(thread: &Thread, [pid, resource, new, old, ..]: [u64; 6]) -> Result {
    let resource = usize::try_from(resource as u32).map_err(|_| Errno::EINVAL)?;
    if resource >= COUNT {
        return fail(Errno::EINVAL);
    }
    let process = match pid as u32 {
        0 => alloc::sync::Arc::clone(&thread.process),
        pid => super::by_pid(pid).ok_or(Errno::ESRCH)?,
    };
    let current = process.limits.get(resource);
    if new != 0 {
        let wanted: Limit = user::read(new)?;
        if wanted.soft > wanted.hard {
            return fail(Errno::EINVAL);
        }
        let privileged = thread.has_capability(24);
        if wanted.hard > current.hard && !privileged {
            return fail(Errno::EPERM);
        }
        if resource == Resource::Files as usize && wanted.hard > 1_048_576 {
            return fail(Errno::EPERM);
        }
        let is_time = resource == Resource::ProcessorTime as usize;
        // No time at all means as little as can be measured.
        let soft = if is_time { wanted.soft.max(1) } else { wanted.soft };
        process.limits.set(resource, Limit { soft, ..wanted });
        if is_time {
            crate::time::watch_processor_limit(&process);
        }
    }
    user::write_if(old, &current)?;
    Ok(0)
}

/// `getrlimit(2)`.
pub fn getrlimit(thread: &Thread, [resource, to, ..]: [u64; 6]) -> Result {
    if to == 0 {
        return fail(Errno::EFAULT);
    }
    prlimit64(thread, [0, resource, 0, to, 0, 0])
}

/// `setrlimit(2)`.
pub fn setrlimit(thread: &Thread, [resource, from, ..]: [u64; 6]) -> Result {
    if from == 0 {
        return fail(Errno::EFAULT);
    }
    prlimit64(thread, [0, resource, from, 0, 0, 0])
}

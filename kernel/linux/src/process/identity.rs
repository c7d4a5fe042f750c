//! Identities: process, thread, user and group numbers, groups and sessions.

use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;
use vfs::Credentials;

use super::{Process, by_pid, tree};
use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::user;

/// All capabilities that Linux defines.
pub const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

/// `CAP_SETGID`.
pub const CAP_SETGID: u32 = 6;
/// `CAP_SETUID`.
pub const CAP_SETUID: u32 = 7;
/// `CAP_SETPCAP`.
pub const CAP_SETPCAP: u32 = 8;
/// `CAP_SYS_CHROOT`.
pub const SYS_CHROOT: u32 = 18;

/// Who a thread acts for (`credentials(7)`, `capabilities(7)`). It never changes in place: a
/// change makes a new one, so that whoever holds one sees what held at one moment.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Real user.
    pub uid: u32,
    /// Effective user.
    pub effective_uid: u32,
    /// Saved user.
    pub saved_uid: u32,
    /// Real group.
    pub gid: u32,
    /// Effective group.
    pub effective_gid: u32,
    /// Saved group.
    pub saved_gid: u32,
    /// Capabilities that it may make effective.
    pub permitted: u64,
    /// Capabilities that a program may inherit.
    pub inheritable: u64,
    /// Capabilities that a program can get at all.
    pub bounding: u64,
    /// Capabilities that stay with programs that have none of their own.
    pub ambient: u64,
    /// `PR_SET_SECUREBITS`: how user 0 is special.
    pub secure_bits: u32,
    /// What permission checks ask for: file-system user and group, further groups, effective
    /// capabilities.
    pub checks: Credentials,
}

impl Identity {
    /// One user and group in all roles.
    pub fn of(uid: u32, gid: u32) -> Self {
        let capabilities = if uid == 0 { ALL_CAPABILITIES } else { 0 };
        Self {
            uid,
            effective_uid: uid,
            saved_uid: uid,
            gid,
            effective_gid: gid,
            saved_gid: gid,
            permitted: capabilities,
            inheritable: 0,
            bounding: ALL_CAPABILITIES,
            ambient: 0,
            secure_bits: 0,
            checks: Credentials { uid, gid, groups: Arc::from(Vec::new()), capabilities },
        }
    }

    /// Whether a capability is effective, by Linux's number.
    pub fn can(&self, number: u32) -> bool {
        self.checks.capabilities & 1 << number != 0
    }

    /// What `access(2)` asks for: what it could do as its real user.
    pub fn real_checks(&self) -> Credentials {
        let mut checks = Credentials { uid: self.uid, gid: self.gid, ..self.checks.clone() };
        if super::fixes_users(self) {
            checks.capabilities = if self.uid == 0 { self.permitted } else { 0 };
        }
        checks
    }

    /// Real, effective and saved user.
    pub fn users(&self) -> [u32; 3] {
        [self.uid, self.effective_uid, self.saved_uid]
    }

    /// Real, effective and saved group.
    pub fn groups(&self) -> [u32; 3] {
        [self.gid, self.effective_gid, self.saved_gid]
    }
}

/// `getpid(2)`.
pub fn getpid(thread: &Thread, _: [u64; 6]) -> Result {
    Ok(u64::from(thread.process.pid))
}

/// `gettid(2)`.
pub fn gettid(thread: &Thread, _: [u64; 6]) -> Result {
    Ok(u64::from(thread.tid()))
}

/// `getppid(2)`.
pub fn getppid(thread: &Thread, _: [u64; 6]) -> Result {
    Ok(thread.process.parent().map_or(0, |parent| u64::from(parent.pid)))
}

/// `getuid(2)`.
pub fn getuid(thread: &Thread, _: [u64; 6]) -> Result {
    Ok(u64::from(thread.identity().uid))
}

/// `geteuid(2)`.
pub fn geteuid(thread: &Thread, _: [u64; 6]) -> Result {
    Ok(u64::from(thread.identity().effective_uid))
}

/// `getgid(2)`.
pub fn getgid(thread: &Thread, _: [u64; 6]) -> Result {
    Ok(u64::from(thread.identity().gid))
}

/// `getegid(2)`.
pub fn getegid(thread: &Thread, _: [u64; 6]) -> Result {
    Ok(u64::from(thread.identity().effective_gid))
}

/// `getresuid(2)`.
pub fn getresuid(thread: &Thread, [real, effective, saved, ..]: [u64; 6]) -> Result {
    let identity = thread.identity();
    user::write(real, &identity.uid)?;
    user::write(effective, &identity.effective_uid)?;
    user::write(saved, &identity.saved_uid)?;
    Ok(0)
}

/// `getresgid(2)`.
pub fn getresgid(thread: &Thread, [real, effective, saved, ..]: [u64; 6]) -> Result {
    let identity = thread.identity();
    user::write(real, &identity.gid)?;
    user::write(effective, &identity.effective_gid)?;
    user::write(saved, &identity.saved_gid)?;
    Ok(0)
}

/// `setpgid(2)`.
pub fn setpgid(thread: &Thread, [pid, group, ..]: [u64; 6]) -> Result {
    let (pid, group) = (pid as i32, group as i32);
    if group < 0 || pid < 0 {
        return fail(Errno::EINVAL);
    }
    let caller = &thread.process;
    let target = match pid as u32 {
        0 => Arc::clone(caller),
        pid => by_pid(pid).ok_or(Errno::ESRCH)?,
    };
    let is_child = target.parent().is_some_and(|parent| Arc::ptr_eq(&parent, caller));
    if !Arc::ptr_eq(&target, caller) && !is_child {
        return fail(Errno::ESRCH);
    }
    if is_child && target.has_executed.load(core::sync::atomic::Ordering::Relaxed) {
        return fail(Errno::EACCES);
    }
    let session = caller.session();
    if target.session() != session || target.session() == target.pid {
        return fail(Errno::EPERM);
    }
    let group = if group == 0 { target.pid } else { group as u32 };
    if group != target.pid && !tree().group(group).iter().any(|member| member.session() == session)
    {
        return fail(Errno::EPERM);
    }
    target.family.lock().group = group;
    Ok(0)
}

/// `getpgid(2)`.
pub fn getpgid(thread: &Thread, [pid, ..]: [u64; 6]) -> Result {
    let target = find(thread, pid)?;
    Ok(u64::from(target.group()))
}

/// `getpgrp(2)`.
pub fn getpgrp(thread: &Thread, _: [u64; 6]) -> Result {
    Ok(u64::from(thread.process.group()))
}

/// `getsid(2)`.
pub fn getsid(thread: &Thread, [pid, ..]: [u64; 6]) -> Result {
    let target = find(thread, pid)?;
    Ok(u64::from(target.session()))
}

/// The process with a number, 0 being the caller's.
pub fn find(thread: &Thread, pid: u64) -> Result<Arc<Process>> {
    match pid as u32 {
        0 => Ok(Arc::clone(&thread.process)),
        pid => Ok(by_pid(pid).ok_or(Errno::ESRCH)?),
    }
}

/// `setsid(2)`.
pub fn setsid(thread: &Thread, _: [u64; 6]) -> Result {
    let process = &thread.process;
    let pid = process.pid;
    if !tree().group(pid).is_empty() {
        return fail(Errno::EPERM);
    }
    let mut family = process.family.lock();
    family.group = pid;
    family.session = pid;
    Ok(u64::from(pid))
}

/// `getgroups(2)`.
pub fn getgroups(thread: &Thread, [size, list, ..]: [u64; 6]) -> Result {
    let groups = thread.identity().checks.groups.clone();
    let size = size as i32;
    if size < 0 {
        return fail(Errno::EINVAL);
    }
    if size > 0 {
        if (size as usize) < groups.len() {
            return fail(Errno::EINVAL);
        }
        for (index, group) in groups.iter().enumerate() {
            user::write(list + 4 * index as u64, group)?;
        }
    }
    Ok(groups.len() as u64)
}

//! Changing users and groups (`credentials(7)`).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use errno::Errno;

use super::capability::{FILE_SYSTEM, emulate_user_change, fixes_users};
use super::{CAP_SETGID, CAP_SETUID, Identity, Process};
use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::user;

/// "Leave as it is."
const KEEP: u32 = u32::MAX;

fn set_users(thread: &Thread, [real, effective, saved]: [u32; 3]) -> Result {
    let old = thread.identity();
    let mut new = Identity::clone(&old);
    (new.uid, new.effective_uid, new.saved_uid) = (real, effective, saved);
    new.checks.uid = effective;
    emulate_user_change(&old, &mut new);
    thread.set_identity(new);
    Ok(0)
}

fn set_groups(thread: &Thread, [real, effective, saved]: [u32; 3]) -> Result {
    let mut new = Identity::clone(&thread.identity());
    (new.gid, new.effective_gid, new.saved_gid) = (real, effective, saved);
    new.checks.gid = effective;
    thread.set_identity(new);
    Ok(0)
}

/// What `set*id` with one number makes of the three: all of them, or the effective one.
fn adopt([real, _, saved]: [u32; 3], wanted: u32, privileged: bool) -> Result<[u32; 3]> {
    match wanted {
        KEEP => fail(Errno::EINVAL),
        wanted if privileged => Ok([wanted; 3]),
        wanted if [real, saved].contains(&wanted) => Ok([real, wanted, saved]),
        _ => fail(Errno::EPERM),
    }
}

/// `CAP_SYS_PTRACE`.
const CAP_SYS_PTRACE: u32 = 19;

/// Whether a thread may look into a process and change it (`ptrace(2)`, "Ptrace access mode
/// checking", by real identities).
pub fn may_trace(thread: &Thread, process: &Arc<Process>) -> bool {
    if Arc::ptr_eq(&thread.process, process) {
        return true;
    }
    let (own, other) = (thread.identity(), process.identity());
    if own.can(CAP_SYS_PTRACE) {
        return true;
    }
    let same = other.users() == [own.uid; 3] && other.groups() == [own.gid; 3];
    let no_more = other.permitted & !own.permitted == 0;
    same && no_more && process.dumpable.load(Ordering::Relaxed)
}

/// `setuid(2)`.
pub fn setuid(thread: &Thread, [uid, ..]: [u64; 6]) -> Result {
    let old = thread.identity();
    set_users(thread, adopt(old.users(), uid as u32, old.can(CAP_SETUID))?)
}

/// `setgid(2)`.
pub fn setgid(thread: &Thread, [gid, ..]: [u64; 6]) -> Result {
    let old = thread.identity();
    set_groups(thread, adopt(old.groups(), gid as u32, old.can(CAP_SETGID))?)
}

/// The new real, effective and saved identity of `setre*id`, by its rules.
fn exchange(current: [u32; 3], wanted: [u32; 2], privileged: bool) -> Result<[u32; 3]> {
    let [real, effective, saved] = current;
    let [new_real, new_effective] = wanted;
    if !privileged {
        let real_allowed = [KEEP, real, effective].contains(&new_real);
        let effective_allowed = [KEEP, real, effective, saved].contains(&new_effective);
        if !real_allowed || !effective_allowed {
            return fail(Errno::EPERM);
        }
    }
    let keep = |new: u32, old: u32| if new == KEEP { old } else { new };
    let chosen = [keep(new_real, real), keep(new_effective, effective)];
    // The saved one follows when the real one is set, or the effective one to another value.
    let follows = new_real != KEEP || (new_effective != KEEP && new_effective != real);
    Ok([chosen[0], chosen[1], if follows { chosen[1] } else { saved }])
}

/// The same for `setres*id`.
fn choose(current: [u32; 3], wanted: [u32; 3], privileged: bool) -> Result<[u32; 3]> {
    let allowed = |id: u32| id == KEEP || current.contains(&id);
    if !privileged && !wanted.into_iter().all(allowed) {
        return fail(Errno::EPERM);
    }
    let mut chosen = current;
    for (slot, new) in chosen.iter_mut().zip(wanted) {
        if new != KEEP {
            *slot = new;
        }
    }
    Ok(chosen)
}

/// `setreuid(2)`.
pub fn setreuid(thread: &Thread, [real, effective, ..]: [u64; 6]) -> Result {
    let old = thread.identity();
    let wanted = [real as u32, effective as u32];
    set_users(thread, exchange(old.users(), wanted, old.can(CAP_SETUID))?)
}

/// `setregid(2)`.
pub fn setregid(thread: &Thread, [real, effective, ..]: [u64; 6]) -> Result {
    let old = thread.identity();
    let wanted = [real as u32, effective as u32];
    set_groups(thread, exchange(old.groups(), wanted, old.can(CAP_SETGID))?)
}

/// `setresuid(2)`.
pub fn setresuid(thread: &Thread, [real, effective, saved, ..]: [u64; 6]) -> Result {
    let old = thread.identity();
    let wanted = [real as u32, effective as u32, saved as u32];
    set_users(thread, choose(old.users(), wanted, old.can(CAP_SETUID))?)
}

/// `setresgid(2)`.
pub fn setresgid(thread: &Thread, [real, effective, saved, ..]: [u64; 6]) -> Result {
    let old = thread.identity();
    let wanted = [real as u32, effective as u32, saved as u32];
    set_groups(thread, choose(old.groups(), wanted, old.can(CAP_SETGID))?)
}

/// `setfsuid(2)`: gives the old one, whatever happens.
pub fn setfsuid(thread: &Thread, [uid, ..]: [u64; 6]) -> Result {
    let (old, uid) = (thread.identity(), uid as u32);
    let before = old.checks.uid;
    let allowed = old.can(CAP_SETUID) || old.users().contains(&uid) || uid == before;
    if uid != KEEP && allowed {
        let mut new = Identity::clone(&old);
        new.checks.uid = uid;
        if fixes_users(&old) {
            match (before, uid) {
                (0, 0) => {}
                (0, _) => new.checks.capabilities &= !FILE_SYSTEM,
                (_, 0) => new.checks.capabilities |= new.permitted & FILE_SYSTEM,
                _ => {}
            }
        }
        thread.set_identity(new);
    }
    Ok(u64::from(before))
}

/// `setfsgid(2)`: gives the old one, whatever happens.
pub fn setfsgid(thread: &Thread, [gid, ..]: [u64; 6]) -> Result {
    let (old, gid) = (thread.identity(), gid as u32);
    let before = old.checks.gid;
    let allowed = old.can(CAP_SETGID) || old.groups().contains(&gid) || gid == before;
    if gid != KEEP && allowed {
        let mut new = Identity::clone(&old);
        new.checks.gid = gid;
        thread.set_identity(new);
    }
    Ok(u64::from(before))
}

/// `setgroups(2)`.
pub fn setgroups(thread: &Thread, [size, list, ..]: [u64; 6]) -> Result {
    const MAX_GROUPS: u64 = 65_536;
    if !thread.has_capability(CAP_SETGID) {
        return fail(Errno::EPERM);
    }
    if size & 0xffff_ffff > MAX_GROUPS {
        return fail(Errno::EINVAL);
    }
    let bytes = user::read_bytes(list, 4 * (size & 0xffff_ffff) as usize)?;
    let mut groups: Vec<u32> = bytes
        .chunks(4)
        .map(|chunk| u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]))
        .collect();
    groups.sort_unstable();
    let mut new = Identity::clone(&thread.identity());
    new.checks.groups = groups.into();
    thread.set_identity(new);
    Ok(0)
}

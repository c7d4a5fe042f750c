//! Changing identities and capabilities (`credentials(7)`, `capabilities(7)`).

use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;
use vfs::Credentials;

use super::{Identity, Process};
use crate::error::{Result, fail};
use crate::layout;
use crate::thread::Thread;
use crate::user;

const CAP_SETGID: u32 = 6;
const CAP_SETUID: u32 = 7;
const CAP_SETPCAP: u32 = 8;

/// "Leave as it is."
const KEEP: u32 = u32::MAX;

/// Takes on user identities; capabilities go and come with user 0.
fn change_users(process: &Process, change: impl FnOnce(&mut Identity)) {
    let mut identity = process.identity.lock();
    let old = *identity;
    change(&mut identity);
    let new = *identity;
    let mut credentials = Credentials::clone(&process.credentials());
    credentials.uid = new.effective_uid;
    let is_root = |identity: &Identity| {
        [identity.uid, identity.effective_uid, identity.saved_uid].contains(&0)
    };
    if is_root(&old) && !is_root(&new) {
        identity.permitted = 0;
        credentials.capabilities = 0;
    } else if old.effective_uid == 0 && new.effective_uid != 0 {
        credentials.capabilities = 0;
    } else if old.effective_uid != 0 && new.effective_uid == 0 {
        credentials.capabilities = identity.permitted;
    }
    drop(identity);
    process.set_credentials(credentials);
}

fn change_groups(process: &Process, change: impl FnOnce(&mut Identity)) {
    let mut identity = process.identity.lock();
    change(&mut identity);
    let gid = identity.effective_gid;
    drop(identity);
    let credentials = Credentials { gid, ..Credentials::clone(&process.credentials()) };
    process.set_credentials(credentials);
}

/// `setuid(2)`.
pub fn setuid(thread: &Thread, [uid, ..]: [u64; 6]) -> Result {
    let (process, uid) = (&thread.process, uid as u32);
    let identity = *process.identity.lock();
    if uid == KEEP {
        return fail(Errno::EINVAL);
    }
    if process.has_capability(CAP_SETUID) {
        change_users(process, |identity| {
            (identity.uid, identity.effective_uid, identity.saved_uid) = (uid, uid, uid);
        });
    } else if uid == identity.uid || uid == identity.saved_uid {
        change_users(process, |identity| identity.effective_uid = uid);
    } else {
        return fail(Errno::EPERM);
    }
    Ok(0)
}

/// `setgid(2)`.
pub fn setgid(thread: &Thread, [gid, ..]: [u64; 6]) -> Result {
    let (process, gid) = (&thread.process, gid as u32);
    let identity = *process.identity.lock();
    if gid == KEEP {
        return fail(Errno::EINVAL);
    }
    if process.has_capability(CAP_SETGID) {
        change_groups(process, |identity| {
            (identity.gid, identity.effective_gid, identity.saved_gid) = (gid, gid, gid);
        });
    } else if gid == identity.gid || gid == identity.saved_gid {
        change_groups(process, |identity| identity.effective_gid = gid);
    } else {
        return fail(Errno::EPERM);
    }
    Ok(0)
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

fn users(process: &Process) -> [u32; 3] {
    let identity = process.identity.lock();
    [identity.uid, identity.effective_uid, identity.saved_uid]
}

fn groups(process: &Process) -> [u32; 3] {
    let identity = process.identity.lock();
    [identity.gid, identity.effective_gid, identity.saved_gid]
}

fn set_users(process: &Process, [real, effective, saved]: [u32; 3]) -> Result {
    change_users(process, |identity| {
        (identity.uid, identity.effective_uid, identity.saved_uid) = (real, effective, saved);
    });
    Ok(0)
}

fn set_groups(process: &Process, [real, effective, saved]: [u32; 3]) -> Result {
    change_groups(process, |identity| {
        (identity.gid, identity.effective_gid, identity.saved_gid) = (real, effective, saved);
    });
    Ok(0)
}

/// `setreuid(2)`.
pub fn setreuid(thread: &Thread, [real, effective, ..]: [u64; 6]) -> Result {
    let process = &thread.process;
    let wanted = [real as u32, effective as u32];
    set_users(process, exchange(users(process), wanted, process.has_capability(CAP_SETUID))?)
}

/// `setregid(2)`.
pub fn setregid(thread: &Thread, [real, effective, ..]: [u64; 6]) -> Result {
    let process = &thread.process;
    let wanted = [real as u32, effective as u32];
    set_groups(process, exchange(groups(process), wanted, process.has_capability(CAP_SETGID))?)
}

/// `setresuid(2)`.
pub fn setresuid(thread: &Thread, [real, effective, saved, ..]: [u64; 6]) -> Result {
    let process = &thread.process;
    let wanted = [real as u32, effective as u32, saved as u32];
    set_users(process, choose(users(process), wanted, process.has_capability(CAP_SETUID))?)
}

/// `setresgid(2)`.
pub fn setresgid(thread: &Thread, [real, effective, saved, ..]: [u64; 6]) -> Result {
    let process = &thread.process;
    let wanted = [real as u32, effective as u32, saved as u32];
    set_groups(process, choose(groups(process), wanted, process.has_capability(CAP_SETGID))?)
}

/// `setfsuid(2)`: gives the old one, whatever happens.
pub fn setfsuid(thread: &Thread, [uid, ..]: [u64; 6]) -> Result {
    let (process, uid) = (&thread.process, uid as u32);
    let credentials = process.credentials();
    let old = credentials.uid;
    if uid != KEEP
        && (process.has_capability(CAP_SETUID) || users(process).contains(&uid) || uid == old)
    {
        process.set_credentials(Credentials { uid, ..Credentials::clone(&credentials) });
    }
    Ok(u64::from(old))
}

/// `setfsgid(2)`: gives the old one, whatever happens.
pub fn setfsgid(thread: &Thread, [gid, ..]: [u64; 6]) -> Result {
    let (process, gid) = (&thread.process, gid as u32);
    let credentials = process.credentials();
    let old = credentials.gid;
    if gid != KEEP
        && (process.has_capability(CAP_SETGID) || groups(process).contains(&gid) || gid == old)
    {
        process.set_credentials(Credentials { gid, ..Credentials::clone(&credentials) });
    }
    Ok(u64::from(old))
}

/// `setgroups(2)`.
pub fn setgroups(thread: &Thread, [size, list, ..]: [u64; 6]) -> Result {
    const MAX_GROUPS: u64 = 65_536;
    let process = &thread.process;
    if !process.has_capability(CAP_SETGID) {
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
    let credentials =
        Credentials { groups: groups.into(), ..Credentials::clone(&process.credentials()) };
    process.set_credentials(credentials);
    Ok(0)
}

layout! {
    /// `struct __user_cap_header_struct`.
    pub struct CapabilityHeader {
        pub version: u32,
        pub pid: i32,
    }

    /// `struct __user_cap_data_struct`.
    pub struct CapabilityData {
        pub effective: u32,
        pub permitted: u32,
        pub inheritable: u32,
    }
}

const VERSION_1: u32 = 0x1998_0330;
const VERSION_2: u32 = 0x2007_1026;
const VERSION_3: u32 = 0x2008_0522;

/// How many words of each set a version has; an unknown version is told the preferred one.
fn words_of(header: u64) -> Result<(CapabilityHeader, usize)> {
    let raw: CapabilityHeader = user::read(header)?;
    match raw.version {
        VERSION_1 => Ok((raw, 1)),
        VERSION_2 | VERSION_3 => Ok((raw, 2)),
        _ => {
            user::write(header, &VERSION_3)?;
            fail(Errno::EINVAL)
        }
    }
}

/// `capget(2)`.
pub fn capget(thread: &Thread, [header, data, ..]: [u64; 6]) -> Result {
    let (raw, words) = match words_of(header) {
        Ok(found) => found,
        // Asking for the version only is no error.
        Err(crate::error::Fail::Errno(Errno::EINVAL)) if data == 0 => return Ok(0),
        Err(error) => return Err(error),
    };
    if raw.pid < 0 {
        return fail(Errno::EINVAL);
    }
    let process = match raw.pid {
        0 => Arc::clone(&thread.process),
        pid => Arc::clone(&super::by_tid(pid as u32).ok_or(Errno::ESRCH)?.process),
    };
    let effective = process.credentials().capabilities;
    let identity = *process.identity.lock();
    for word in 0..words {
        let part = |set: u64| (set >> (32 * word)) as u32;
        let value = CapabilityData {
            effective: part(effective),
            permitted: part(identity.permitted),
            inheritable: part(identity.inheritable),
        };
        user::write(data + 12 * word as u64, &value)?;
    }
    Ok(0)
}

/// `capset(2)`.
pub fn capset(thread: &Thread, [header, data, ..]: [u64; 6]) -> Result {
    let (raw, words) = words_of(header)?;
    let process = &thread.process;
    if raw.pid != 0 && raw.pid as u32 != thread.tid && raw.pid as u32 != process.pid {
        return fail(Errno::EPERM);
    }
    let (mut effective, mut permitted, mut inheritable) = (0u64, 0u64, 0u64);
    for word in 0..words {
        let value: CapabilityData = user::read(data + 12 * word as u64)?;
        let place = |part: u32| u64::from(part) << (32 * word);
        effective |= place(value.effective);
        permitted |= place(value.permitted);
        inheritable |= place(value.inheritable);
    }
    effective &= super::ALL_CAPABILITIES;
    permitted &= super::ALL_CAPABILITIES;
    inheritable &= super::ALL_CAPABILITIES;
    let mut identity = process.identity.lock();
    let grows = permitted & !identity.permitted != 0 || effective & !permitted != 0;
    let may_inherit = identity.permitted | identity.inheritable;
    let privileged = process.has_capability(CAP_SETPCAP);
    if grows || (inheritable & !may_inherit != 0 && !privileged) {
        return fail(Errno::EPERM);
    }
    identity.permitted = permitted;
    identity.inheritable = inheritable;
    drop(identity);
    let credentials =
        Credentials { capabilities: effective, ..Credentials::clone(&process.credentials()) };
    process.set_credentials(credentials);
    Ok(0)
}

//! Capabilities (`capabilities(7)`): reading and changing them, and what user 0 means for them.

use errno::Errno;

use super::{ALL_CAPABILITIES, CAP_SETPCAP, Identity};
use crate::error::{Fail, Result, fail};
use crate::layout;
use crate::thread::Thread;
use crate::user;

/// The capabilities that go and come with the file-system user: `CAP_CHOWN` to `CAP_FSETID`,
/// `CAP_LINUX_IMMUTABLE`, `CAP_MKNOD`, `CAP_MAC_OVERRIDE`.
pub const FILE_SYSTEM: u64 = 0x1f | 1 << 9 | 1 << 27 | 1 << 32;

/// Bits of `PR_SET_SECUREBITS`; each has a lock above it.
mod secure {
    pub const NO_ROOT: u32 = 1;
    pub const NO_SETUID_FIXUP: u32 = 1 << 2;
    pub const KEEP_CAPS: u32 = 1 << 4;
    pub const KEEP_CAPS_LOCKED: u32 = 1 << 5;
    pub const NO_AMBIENT_RAISE: u32 = 1 << 6;
    /// The bits themselves.
    pub const BITS: u32 = 0x55;
    /// Their locks.
    pub const LOCKS: u32 = 0xaa;
}

/// Whether capabilities follow changes of users.
pub fn fixes_users(identity: &Identity) -> bool {
    identity.secure_bits & secure::NO_SETUID_FIXUP == 0
}

/// Capabilities go and come with user 0.
pub fn emulate_user_change(old: &Identity, new: &mut Identity) {
    if !fixes_users(old) {
        return;
    }
    if old.users().contains(&0) && !new.users().contains(&0) {
        if old.secure_bits & secure::KEEP_CAPS == 0 {
            new.permitted = 0;
            new.checks.capabilities = 0;
        }
        new.ambient = 0;
    }
    match (old.effective_uid, new.effective_uid) {
        (0, 0) => {}
        (0, _) => new.checks.capabilities = 0,
        (_, 0) => new.checks.capabilities = new.permitted,
        _ => {}
    }
}

/// Who a program acts for that is started with `execve(2)`, and whether it must not trust its
/// environment (`AT_SECURE`). `set_id`: the user and group that its file gives it.
pub fn for_program(old: &Identity, set_id: [Option<u32>; 2]) -> (Identity, bool) {
    let mut new = old.clone();
    let [user, group] = set_id;
    new.effective_uid = user.unwrap_or(old.effective_uid);
    new.effective_gid = group.unwrap_or(old.effective_gid);
    let is_set_id = new.effective_uid != old.uid || new.effective_gid != old.gid;
    new.permitted = 0;
    let mut effective = false;
    if old.secure_bits & secure::NO_ROOT == 0 {
        if new.effective_uid == 0 || new.uid == 0 {
            new.permitted = old.bounding | old.inheritable;
        }
        effective = new.effective_uid == 0;
    }
    if is_set_id {
        new.ambient = 0;
    }
    new.permitted |= new.ambient;
    new.checks.capabilities = if effective { new.permitted } else { new.ambient };
    new.saved_uid = new.effective_uid;
    new.saved_gid = new.effective_gid;
    new.checks.uid = new.effective_uid;
    new.checks.gid = new.effective_gid;
    new.secure_bits &= !secure::KEEP_CAPS;
    let grew = new.permitted & !new.ambient != 0;
    let is_secure = is_set_id || (new.uid != 0 && (effective || grew));
    (new, is_secure)
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
        Err(Fail::Errno(Errno::EINVAL)) if data == 0 => return Ok(0),
        Err(error) => return Err(error),
    };
    if raw.pid < 0 {
        return fail(Errno::EINVAL);
    }
    let identity = match raw.pid {
        0 => thread.identity(),
        pid => super::by_tid(pid as u32).ok_or(Errno::ESRCH)?.identity(),
    };
    for word in 0..words {
        let part = |set: u64| (set >> (32 * word)) as u32;
        let value = CapabilityData {
            effective: part(identity.checks.capabilities),
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
    if raw.pid != 0 && raw.pid as u32 != thread.tid() {
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
    // Numbers that mean nothing are not looked at.
    effective &= ALL_CAPABILITIES;
    permitted &= ALL_CAPABILITIES;
    inheritable &= ALL_CAPABILITIES;
    let old = thread.identity();
    let may_inherit = if old.can(CAP_SETPCAP) {
        old.inheritable | old.bounding
    } else {
        (old.inheritable | old.bounding) & (old.inheritable | old.permitted)
    };
    if permitted & !old.permitted != 0
        || effective & !permitted != 0
        || inheritable & !may_inherit != 0
    {
        return fail(Errno::EPERM);
    }
    let mut new = Identity::clone(&old);
    new.permitted = permitted;
    new.inheritable = inheritable;
    new.ambient &= permitted & inheritable;
    new.checks.capabilities = effective;
    thread.set_identity(new);
    Ok(0)
}

/// The options of `prctl(2)` that concern capabilities; `None`: it is none of them.
pub fn control(thread: &Thread, option: u32, [first, rest @ ..]: [u64; 4]) -> Option<Result> {
    const GET_KEEPCAPS: u32 = 7;
    const SET_KEEPCAPS: u32 = 8;
    const CAPBSET_READ: u32 = 23;
    const CAPBSET_DROP: u32 = 24;
    const GET_SECUREBITS: u32 = 27;
    const SET_SECUREBITS: u32 = 28;
    const CAP_AMBIENT: u32 = 47;
    let old = thread.identity();
    let known = |number: u64| number < u64::from(ALL_CAPABILITIES.count_ones());
    let mut new = Identity::clone(&old);
    let done = match option {
        GET_KEEPCAPS => return Some(Ok(u64::from(old.secure_bits & secure::KEEP_CAPS != 0))),
        SET_KEEPCAPS if first > 1 => fail(Errno::EINVAL),
        SET_KEEPCAPS if old.secure_bits & secure::KEEP_CAPS_LOCKED != 0 => fail(Errno::EPERM),
        SET_KEEPCAPS => {
            new.secure_bits &= !secure::KEEP_CAPS;
            new.secure_bits |= if first == 1 { secure::KEEP_CAPS } else { 0 };
            Ok(0)
        }
        CAPBSET_READ if !known(first) => fail(Errno::EINVAL),
        CAPBSET_READ => return Some(Ok(old.bounding >> first & 1)),
        CAPBSET_DROP if !old.can(CAP_SETPCAP) => fail(Errno::EPERM),
        CAPBSET_DROP if !known(first) => fail(Errno::EINVAL),
        CAPBSET_DROP => {
            new.bounding &= !(1 << first);
            Ok(0)
        }
        GET_SECUREBITS => return Some(Ok(u64::from(old.secure_bits))),
        SET_SECUREBITS => secure_bits(&old, first).map(|bits| {
            new.secure_bits = bits;
            0
        }),
        CAP_AMBIENT => ambient(&old, first, rest).map(|(set, value)| {
            new.ambient = set;
            value
        }),
        _ => return None,
    };
    if done.is_ok() {
        thread.set_identity(new);
    }
    Some(done)
}

fn secure_bits(old: &Identity, wanted: u64) -> Result<u32> {
    let known = u64::from(secure::BITS | secure::LOCKS);
    let bits = wanted as u32;
    let locked = old.secure_bits & secure::LOCKS;
    if wanted & !known != 0
        || locked >> 1 & (old.secure_bits ^ bits) != 0
        || locked & !bits != 0
        || !old.can(CAP_SETPCAP)
    {
        return fail(Errno::EPERM);
    }
    Ok(bits)
}

/// `PR_CAP_AMBIENT`: the new ambient set and the result.
fn ambient(old: &Identity, operation: u64, [number, rest @ ..]: [u64; 3]) -> Result<(u64, u64)> {
    const IS_SET: u64 = 1;
    const RAISE: u64 = 2;
    const LOWER: u64 = 3;
    const CLEAR_ALL: u64 = 4;
    let none_left = rest == [0; 2];
    let known = number < u64::from(ALL_CAPABILITIES.count_ones());
    match operation {
        CLEAR_ALL if number == 0 && none_left => Ok((0, 0)),
        IS_SET | RAISE | LOWER if !none_left || !known => fail(Errno::EINVAL),
        IS_SET => Ok((old.ambient, old.ambient >> number & 1)),
        RAISE => {
            let refused = old.secure_bits & secure::NO_AMBIENT_RAISE != 0;
            if old.permitted & old.inheritable & 1 << number == 0 || refused {
                return fail(Errno::EPERM);
            }
            Ok((old.ambient | 1 << number, 0))
        }
        LOWER => Ok((old.ambient & !(1 << number), 0)),
        _ => fail(Errno::EINVAL),
    }
}

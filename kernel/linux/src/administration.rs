//! Calls of whoever administers the system: its names, its end, swapping.

use errno::Errno;
use vfs::{Final, Kind, Resolve};

use crate::error::{Result, fail};
use crate::system::{set_domain_name, set_host_name};
use crate::thread::Thread;
use crate::user;

const CAP_SYS_ADMIN: u32 = 21;
const CAP_SYS_BOOT: u32 = 22;

fn require(thread: &Thread, capability: u32) -> Result<()> {
    if thread.has_capability(capability) { Ok(()) } else { fail(Errno::EPERM) }
}

/// The longest host and domain name.
const NAME_MAX: i32 = 64;

fn new_name(thread: &Thread, name: u64, length: u64) -> Result<alloc::vec::Vec<u8>> {
    require(thread, CAP_SYS_ADMIN)?;
    let length = length as i32;
    if !(0..=NAME_MAX).contains(&length) {
        return fail(Errno::EINVAL);
    }
    user::read_bytes(name, length as usize)
}

/// `sethostname(2)`.
pub fn sethostname(thread: &Thread, [name, length, ..]: [u64; 6]) -> Result {
    set_host_name(&new_name(thread, name, length)?);
    Ok(0)
}

/// `setdomainname(2)`.
pub fn setdomainname(thread: &Thread, [name, length, ..]: [u64; 6]) -> Result {
    set_domain_name(&new_name(thread, name, length)?);
    Ok(0)
}

/// `reboot(2)`: whatever would stop or start the machine again ends the guest.
pub fn reboot(thread: &Thread, [first, second, command, ..]: [u64; 6]) -> Result {
    const FIRST: u32 = 0xfee1_dead;
    const SECOND_ONES: [u32; 4] = [672_274_793, 85_072_278, 369_367_448, 537_993_216];
    const CAD_ON: u32 = 0x89ab_cdef;
    const CAD_OFF: u32 = 0;
    const RESTART: u32 = 0x0123_4567;
    const RESTART2: u32 = 0xa1b2_c3d4;
    const HALT: u32 = 0xcdef_0123;
    const POWER_OFF: u32 = 0x4321_fedc;
    require(thread, CAP_SYS_BOOT)?;
    if first as u32 != FIRST || !SECOND_ONES.contains(&(second as u32)) {
        return fail(Errno::EINVAL);
    }
    match command as u32 {
        // There is no keyboard.
        CAD_ON | CAD_OFF => Ok(0),
        RESTART | RESTART2 | HALT | POWER_OFF => hal::exit(0),
        _ => fail(Errno::EINVAL),
    }
}

/// `swapon(2)`: nothing that can be named holds a swap area.
pub fn swapon(thread: &Thread, [path, flags, ..]: [u64; 6]) -> Result {
    const KNOWN: u64 = 0xf_ffff;
    if flags & !KNOWN != 0 {
        return fail(Errno::EINVAL);
    }
    no_swap_area(thread, path, false)
}

/// `swapoff(2)`.
pub fn swapoff(thread: &Thread, [path, ..]: [u64; 6]) -> Result {
    no_swap_area(thread, path, true)
}

fn no_swap_area(thread: &Thread, path: u64, for_writing: bool) -> Result {
    require(thread, CAP_SYS_ADMIN)?;
    let path = user::read_path(path)?;
    let place = thread
        .with_context(|context| context.resolve(None, &path, Final::Follow, Resolve::default()))?;
    if for_writing && place.kind() == Kind::Directory {
        return fail(Errno::EISDIR);
    }
    fail(Errno::EINVAL)
}

//! Calls about the system and about oneself.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use errno::Errno;

use crate::abi::SECOND;
use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::user::Sink;
use crate::{random, user};

/// The release that programs are told: the oldest one that has what is here.
pub const RELEASE: &str = "6.1.0-drupe";

/// The version of that release, as `uname(2)` shows it.
pub const VERSION: &str = "#1 SMP drupe";

const fn name_bytes(text: &[u8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    let mut at = 0;
    while at < text.len() {
        bytes[at] = text[at];
        at += 1;
    }
    bytes
}

/// The host name.
static HOST_NAME: lock::SpinLock<[u8; 64]> = lock::SpinLock::new(crate::rank::PROCESS, [0; 64]);

/// Sets the host name; what is too long is cut.
pub fn set_host_name(name: &[u8]) {
    let mut bytes = [0; 64];
    let length = name.len().min(64);
    bytes[..length].copy_from_slice(&name[..length]);
    *HOST_NAME.lock() = bytes;
}

/// The domain name (of NIS, which hardly anybody uses).
static DOMAIN_NAME: lock::SpinLock<[u8; 64]> =
    lock::SpinLock::new(crate::rank::PROCESS, name_bytes(b"(none)"));

/// Sets the domain name; what is too long is cut.
pub fn set_domain_name(name: &[u8]) {
    let mut bytes = [0; 64];
    let length = name.len().min(64);
    bytes[..length].copy_from_slice(&name[..length]);
    *DOMAIN_NAME.lock() = bytes;
}

/// The host name.
pub fn host_name() -> Vec<u8> {
    let host = *HOST_NAME.lock();
    let length = host.iter().position(|&byte| byte == 0).unwrap_or(host.len());
    host[..length].to_vec()
}

/// `uname(2)`.
pub fn uname(_thread: &Thread, [to, ..]: [u64; 6]) -> Result {
    const FIELD: usize = 65;
    let mut bytes = [0; 6 * FIELD];
    let (host, domain) = (host_name(), *DOMAIN_NAME.lock());
    let fields: [&[u8]; 6] =
        [b"Linux", &host, RELEASE.as_bytes(), VERSION.as_bytes(), b"x86_64", &domain];
    for (field, text) in bytes.chunks_mut(FIELD).zip(fields) {
        field[..text.len()].copy_from_slice(text);
    }
    user::write_bytes(to, &bytes)?;
    Ok(0)
}

/// `sysinfo(2)`.
pub fn sysinfo(_thread: &Thread, [to, ..]: [u64; 6]) -> Result {
    let processes =
        crate::process::tree().iter().map(|process| process.thread_count()).sum::<usize>();
    let words: [u64; 14] = [
        hal::monotonic() / SECOND,
        0,
        0,
        0,
        mm::frames::total() as u64 * 4096,
        mm::frames::free() as u64 * 4096,
        0,
        0,
        0,
        0,
        processes as u64 & 0xffff,
        0,
        0,
        1,
    ];
    user::write(to, &words)?;
    Ok(0)
}

/// `getrandom(2)`.
pub fn getrandom(_thread: &Thread, [buffer, length, options, ..]: [u64; 6]) -> Result {
    const INSECURE_AND_RANDOM: u64 = 6;
    if options & !7 != 0 || options & INSECURE_AND_RANDOM == INSECURE_AND_RANDOM {
        return fail(Errno::EINVAL);
    }
    let mut to = user::Buffer::new(buffer, length);
    let mut done = 0;
    let mut chunk = [0; 256];
    while !to.is_done() {
        let count = chunk.len().min(to.left() as usize);
        random::fill(&mut chunk[..count]);
        match to.put(&chunk[..count]) {
            Ok(moved) => {
                done += moved as u64;
                if moved < count {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// `arch_prctl(2)`.
pub fn arch_prctl(_thread: &Thread, [code, address, ..]: [u64; 6]) -> Result {
    const ARCH_SET_GS: u64 = 0x1001;
    const ARCH_SET_FS: u64 = 0x1002;
    const ARCH_GET_FS: u64 = 0x1003;
    const ARCH_GET_GS: u64 = 0x1004;
    match code {
        ARCH_SET_FS | ARCH_SET_GS if address >= crate::memory::TASK_END => fail(Errno::EPERM),
        ARCH_SET_FS => {
            let mut context = sched::context();
            context.save_vectors();
            context.registers.fs_base = address;
            Ok(0)
        }
        ARCH_SET_GS => {
            if !hal::programs_have_gs() {
                return fail(Errno::EINVAL);
            }
            let mut context = sched::context();
            context.save_vectors();
            context.registers.gs_base = address;
            Ok(0)
        }
        ARCH_GET_FS | ARCH_GET_GS => {
            let registers = {
                let mut context = sched::context();
                context.save_vectors();
                context.registers
            };
            let value = if code == ARCH_GET_FS { registers.fs_base } else { registers.gs_base };
            user::write(address, &value)?;
            Ok(0)
        }
        _ => fail(Errno::EINVAL),
    }
}

/// `prctl(2)`.
pub fn prctl(thread: &Thread, [option, first, second, third, fourth, _]: [u64; 6]) -> Result {
    const SET_PDEATHSIG: u32 = 1;
    const GET_PDEATHSIG: u32 = 2;
    const GET_DUMPABLE: u32 = 3;
    const SET_DUMPABLE: u32 = 4;
    const SET_NAME: u32 = 15;
    const GET_NAME: u32 = 16;
    const SET_TIMERSLACK: u32 = 29;
    const GET_TIMERSLACK: u32 = 30;
    const SET_CHILD_SUBREAPER: u32 = 36;
    const GET_CHILD_SUBREAPER: u32 = 37;
    const SET_NO_NEW_PRIVS: u32 = 38;
    const GET_NO_NEW_PRIVS: u32 = 39;
    const SET_VMA: u32 = 0x5356_4d41;
    let process = &thread.process;
    let on_capabilities = [first, second, third, fourth];
    if let Some(result) = crate::process::control(thread, option as u32, on_capabilities) {
        return result;
    }
    match option as u32 {
        SET_PDEATHSIG => {
            if first > 64 {
                return fail(Errno::EINVAL);
            }
            process.parent_death_signal.store(first as u32, Ordering::Relaxed);
        }
        GET_PDEATHSIG => user::write(first, &process.parent_death_signal.load(Ordering::Relaxed))?,
        GET_DUMPABLE => return Ok(u64::from(process.dumpable.load(Ordering::Relaxed))),
        SET_DUMPABLE => match first {
            0 | 1 => process.dumpable.store(first == 1, Ordering::Relaxed),
            _ => return fail(Errno::EINVAL),
        },
        SET_NAME => {
            let name = user::read_string(first, 4096, Errno::EFAULT)?;
            thread.set_name(&name);
        }
        GET_NAME => user::write_bytes(first, &thread.name())?,
        SET_TIMERSLACK => {}
        GET_TIMERSLACK => return Ok(50_000),
        SET_CHILD_SUBREAPER => process.subreaper.store(first != 0, Ordering::Relaxed),
        GET_CHILD_SUBREAPER => {
            user::write(first, &u32::from(process.subreaper.load(Ordering::Relaxed)))?
        }
        SET_NO_NEW_PRIVS => {
            if first != 1 || second | third | fourth != 0 {
                return fail(Errno::EINVAL);
            }
            process.no_new_privileges.store(true, Ordering::Relaxed);
        }
        GET_NO_NEW_PRIVS => {
            return Ok(u64::from(process.no_new_privileges.load(Ordering::Relaxed)));
        }
        // Names of anonymous memory are for people only.
        SET_VMA => {}
        _ => return fail(Errno::EINVAL),
    }
    Ok(0)
}

/// `membarrier(2)`: every switch and every return to a program is a full barrier here, and those
/// that run are made to pass one.
pub fn membarrier(thread: &Thread, [command, flags, ..]: [u64; 6]) -> Result {
    const QUERY: i32 = 0;
    const GLOBAL: i32 = 1;
    const REGISTER_PRIVATE_EXPEDITED: i32 = 1 << 4;
    const PRIVATE_EXPEDITED: i32 = 1 << 3;
    if flags != 0 {
        return fail(Errno::EINVAL);
    }
    match command as i32 {
        QUERY => Ok((GLOBAL | REGISTER_PRIVATE_EXPEDITED | PRIVATE_EXPEDITED) as u64),
        REGISTER_PRIVATE_EXPEDITED => {
            thread.process.registered_barriers.store(true, Ordering::Relaxed);
            Ok(0)
        }
        PRIVATE_EXPEDITED if !thread.process.registered_barriers.load(Ordering::Relaxed) => {
            fail(Errno::EPERM)
        }
        GLOBAL | PRIVATE_EXPEDITED => {
            hal::barrier_all();
            Ok(0)
        }
        _ => fail(Errno::EINVAL),
    }
}

//! Extended attributes (`xattr(7)`).

use alloc::vec::Vec;

use errno::Errno;
use vfs::{Final, Location, Resolve, XattrMode};

use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::user;

/// The longest value, in bytes.
const VALUE_MAX: u64 = 65_536;

fn by_path(thread: &Thread, path: u64, end: Final) -> Result<Location> {
    let path = user::read_path(path)?;
    Ok(thread.with_context(|context| context.resolve(None, &path, end, Resolve::default()))?)
}

fn by_descriptor(thread: &Thread, descriptor: u64) -> Result<Location> {
    Ok(thread.files().get(descriptor)?.location.clone().ok_or(Errno::EOPNOTSUPP)?)
}

fn read_name(address: u64) -> Result<Vec<u8>> {
    user::read_string(address, vfs::NAME_MAX + 1, Errno::ERANGE)
}

/// Gives bytes; with room for none, only says how many there are.
fn answer(bytes: &[u8], to: u64, room: u64) -> Result {
    if room != 0 {
        if bytes.len() as u64 > room {
            return fail(Errno::ERANGE);
        }
        user::write_bytes(to, bytes)?;
    }
    Ok(bytes.len() as u64)
}

/// What a program wants to set.
struct Wanted {
    name: Vec<u8>,
    value: Vec<u8>,
    mode: XattrMode,
}

impl Wanted {
    fn read(name: u64, value: u64, size: u64, options: u64) -> Result<Self> {
        let mode = match options as u32 {
            0 => XattrMode::Any,
            1 => XattrMode::Create,
            2 => XattrMode::Replace,
            _ => return fail(Errno::EINVAL),
        };
        let name = read_name(name)?;
        if size > VALUE_MAX {
            return fail(Errno::E2BIG);
        }
        Ok(Self { name, value: user::read_bytes(value, size as usize)?, mode })
    }

    fn set(&self, thread: &Thread, location: &Location) -> Result {
        thread.with_context(|context| {
            context.set_xattr(location, &self.name, &self.value, self.mode)
        })?;
        Ok(0)
    }
}

/// `setxattr(2)`.
pub fn setxattr(thread: &Thread, [path, name, value, size, options, _]: [u64; 6]) -> Result {
    let wanted = Wanted::read(name, value, size, options)?;
    wanted.set(thread, &by_path(thread, path, Final::Follow)?)
}

/// `lsetxattr(2)`.
pub fn lsetxattr(thread: &Thread, [path, name, value, size, options, _]: [u64; 6]) -> Result {
    let wanted = Wanted::read(name, value, size, options)?;
    wanted.set(thread, &by_path(thread, path, Final::NoFollow)?)
}

/// `fsetxattr(2)`.
pub fn fsetxattr(thread: &Thread, [file, name, value, size, options, _]: [u64; 6]) -> Result {
    let location = by_descriptor(thread, file)?;
    Wanted::read(name, value, size, options)?.set(thread, &location)
}

fn get(thread: &Thread, location: &Location, name: u64, to: u64, room: u64) -> Result {
    let name = read_name(name)?;
    let value = thread.with_context(|context| context.xattr(location, &name))?;
    answer(&value, to, room)
}

/// `getxattr(2)`.
pub fn getxattr(thread: &Thread, [path, name, to, room, ..]: [u64; 6]) -> Result {
    get(thread, &by_path(thread, path, Final::Follow)?, name, to, room)
}

/// `lgetxattr(2)`.
pub fn lgetxattr(thread: &Thread, [path, name, to, room, ..]: [u64; 6]) -> Result {
    get(thread, &by_path(thread, path, Final::NoFollow)?, name, to, room)
}

/// `fgetxattr(2)`.
pub fn fgetxattr(thread: &Thread, [file, name, to, room, ..]: [u64; 6]) -> Result {
    get(thread, &by_descriptor(thread, file)?, name, to, room)
}

fn list(thread: &Thread, location: &Location, to: u64, room: u64) -> Result {
    let mut bytes = Vec::new();
    for name in thread.with_context(|context| context.xattr_names(location)) {
        bytes.extend_from_slice(&name);
        bytes.push(0);
    }
    answer(&bytes, to, room)
}

/// `listxattr(2)`.
pub fn listxattr(thread: &Thread, [path, to, room, ..]: [u64; 6]) -> Result {
    list(thread, &by_path(thread, path, Final::Follow)?, to, room)
}

/// `llistxattr(2)`.
pub fn llistxattr(thread: &Thread, [path, to, room, ..]: [u64; 6]) -> Result {
    list(thread, &by_path(thread, path, Final::NoFollow)?, to, room)
}

/// `flistxattr(2)`.
pub fn flistxattr(thread: &Thread, [file, to, room, ..]: [u64; 6]) -> Result {
    list(thread, &by_descriptor(thread, file)?, to, room)
}

fn remove(thread: &Thread, location: &Location, name: u64) -> Result {
    let name = read_name(name)?;
    thread.with_context(|context| context.remove_xattr(location, &name))?;
    Ok(0)
}

/// `removexattr(2)`.
pub fn removexattr(thread: &Thread, [path, name, ..]: [u64; 6]) -> Result {
    remove(thread, &by_path(thread, path, Final::Follow)?, name)
}

/// `lremovexattr(2)`.
pub fn lremovexattr(thread: &Thread, [path, name, ..]: [u64; 6]) -> Result {
    remove(thread, &by_path(thread, path, Final::NoFollow)?, name)
}

/// `fremovexattr(2)`.
pub fn fremovexattr(thread: &Thread, [file, name, ..]: [u64; 6]) -> Result {
    remove(thread, &by_descriptor(thread, file)?, name)
}

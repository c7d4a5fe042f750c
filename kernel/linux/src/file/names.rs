//! Names: making, removing and moving them.

use errno::Errno;
use vfs::{Capability, DeviceNumber, Kind, NewKind, Rename};

use super::open::AT_FDCWD;
use super::stat::{AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, find_at};
use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::user;

fn make(thread: &Thread, directory: u64, path: u64, kind: NewKind<'_>, permissions: u64) -> Result {
    let path = user::read_path(path)?;
    let at = thread.directory(directory, &path)?;
    let permissions = (permissions & 0o7777) as u16;
    thread.with_context(|context| context.make(at.as_ref(), &path, kind, permissions))?;
    Ok(0)
}

/// `mkdirat(2)`.
pub fn mkdirat(thread: &Thread, [directory, path, mode, ..]: [u64; 6]) -> Result {
    // Set-id bits are not for `mkdir`; the sticky bit is.
    make(thread, directory, path, NewKind::Directory, mode & 0o1777)
}

/// `mkdir(2)`.
pub fn mkdir(thread: &Thread, [path, mode, ..]: [u64; 6]) -> Result {
    mkdirat(thread, [AT_FDCWD, path, mode, 0, 0, 0])
}

/// `mknodat(2)`.
pub fn mknodat(thread: &Thread, [directory, path, mode, device, ..]: [u64; 6]) -> Result {
    let device = DeviceNumber::decode(u64::from(device as u32));
    let kind = match mode as u32 & 0o170_000 {
        0 => NewKind::File,
        bits => match Kind::from_mode(bits) {
            Some(Kind::File) => NewKind::File,
            Some(Kind::CharDevice) => NewKind::CharDevice(device),
            Some(Kind::BlockDevice) => NewKind::BlockDevice(device),
            Some(Kind::Fifo) => NewKind::Fifo,
            Some(Kind::Socket) => NewKind::Socket,
            Some(Kind::Directory) => return fail(Errno::EPERM),
            Some(Kind::Symlink) | None => return fail(Errno::EINVAL),
        },
    };
    make(thread, directory, path, kind, mode)
}

/// `mknod(2)`.
pub fn mknod(thread: &Thread, [path, mode, device, ..]: [u64; 6]) -> Result {
    mknodat(thread, [AT_FDCWD, path, mode, device, 0, 0])
}

/// `symlinkat(2)`.
pub fn symlinkat(thread: &Thread, [target, directory, path, ..]: [u64; 6]) -> Result {
    let target = user::read_path(target)?;
    make(thread, directory, path, NewKind::Symlink(&target), 0o777)
}

/// `symlink(2)`.
pub fn symlink(thread: &Thread, [target, path, ..]: [u64; 6]) -> Result {
    symlinkat(thread, [target, AT_FDCWD, path, 0, 0, 0])
}

/// `linkat(2)`.
pub fn linkat(
    thread: &Thread,
    [old_directory, old, new_directory, new, options, _]: [u64; 6],
) -> Result {
    const AT_SYMLINK_FOLLOW: u64 = 0x400;
    if options & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return fail(Errno::EINVAL);
    }
    let identity = thread.identity();
    if options & AT_EMPTY_PATH != 0 && !identity.checks.can(Capability::DacReadSearch) {
        return fail(Errno::ENOENT);
    }
    let old = user::read_path(old)?;
    let follow = if options & AT_SYMLINK_FOLLOW != 0 { 0 } else { AT_SYMLINK_NOFOLLOW };
    let found = find_at(thread, old_directory, &old, options & AT_EMPTY_PATH | follow)?;
    let new = user::read_path(new)?;
    let at = thread.directory(new_directory, &new)?;
    // What has no place in a file system cannot get a name in one.
    let Ok(source) = found else { return fail(Errno::EXDEV) };
    thread.with_context(|context| context.link(&source, at.as_ref(), &new))?;
    Ok(0)
}

/// `link(2)`.
pub fn link(thread: &Thread, [old, new, ..]: [u64; 6]) -> Result {
    linkat(thread, [AT_FDCWD, old, AT_FDCWD, new, 0, 0])
}

/// `unlinkat(2)`.
pub fn unlinkat(thread: &Thread, [directory, path, options, ..]: [u64; 6]) -> Result {
    const AT_REMOVEDIR: u64 = 0x200;
    if options & !AT_REMOVEDIR != 0 {
        return fail(Errno::EINVAL);
    }
    let path = user::read_path(path)?;
    let at = thread.directory(directory, &path)?;
    thread.with_context(|context| match options {
        0 => context.unlink(at.as_ref(), &path),
        _ => context.remove_directory(at.as_ref(), &path),
    })?;
    Ok(0)
}

/// `unlink(2)`.
pub fn unlink(thread: &Thread, [path, ..]: [u64; 6]) -> Result {
    unlinkat(thread, [AT_FDCWD, path, 0, 0, 0, 0])
}

/// `rmdir(2)`.
pub fn rmdir(thread: &Thread, [path, ..]: [u64; 6]) -> Result {
    unlinkat(thread, [AT_FDCWD, path, 0x200, 0, 0, 0])
}

/// `renameat2(2)`.
pub fn renameat2(
    thread: &Thread,
    [old_directory, old, new_directory, new, options, _]: [u64; 6],
) -> Result {
    const NO_REPLACE: u32 = 1;
    const EXCHANGE: u32 = 2;
    let how = match options as u32 {
        0 => Rename::Replace,
        NO_REPLACE => Rename::NoReplace,
        EXCHANGE => Rename::Exchange,
        _ => return fail(Errno::EINVAL),
    };
    let old = user::read_path(old)?;
    let new = user::read_path(new)?;
    let from = thread.directory(old_directory, &old)?;
    let to = thread.directory(new_directory, &new)?;
    thread.with_context(|context| context.rename(from.as_ref(), &old, to.as_ref(), &new, how))?;
    Ok(0)
}

/// `renameat(2)`.
pub fn renameat(thread: &Thread, [from, old, to, new, ..]: [u64; 6]) -> Result {
    renameat2(thread, [from, old, to, new, 0, 0])
}

/// `rename(2)`.
pub fn rename(thread: &Thread, [old, new, ..]: [u64; 6]) -> Result {
    renameat2(thread, [AT_FDCWD, old, AT_FDCWD, new, 0, 0])
}

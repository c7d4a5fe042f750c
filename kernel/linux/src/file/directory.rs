//! Directories: reading them, the working directory, the root directory.

use alloc::vec::Vec;
use core::ops::ControlFlow;

use errno::Errno;
use vfs::{Access, Final, Kind, Location, Resolve};

use super::OpenFile;
use crate::error::{Result, fail};
use crate::process::SYS_CHROOT;
use crate::thread::Thread;
use crate::{time, user};

/// Bytes of entries that one call gives at most; programs ask for 32 KiB.
const LARGEST: usize = 64 << 10;

/// How an entry is laid out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `struct linux_dirent`: the type is the last byte.
    Old,
    /// `struct linux_dirent64`: the type comes before the name.
    New,
}

impl Form {
    /// In both forms the fixed part, the name, its NUL and the type.
    fn length(name: &[u8]) -> usize {
        (8 + 8 + 2 + name.len() + 1 + 1).next_multiple_of(8)
    }

    fn append(self, entry: &vfs::DirectoryEntry<'_>, to: &mut Vec<u8>) {
        let start = to.len();
        let end = start + Self::length(entry.name);
        to.extend_from_slice(&entry.number.to_le_bytes());
        to.extend_from_slice(&entry.cookie.to_le_bytes());
        to.extend_from_slice(&((end - start) as u16).to_le_bytes());
        if self == Self::New {
            to.push(entry.kind.entry_type());
        }
        to.extend_from_slice(entry.name);
        to.resize(end, 0);
        if self == Self::Old {
            to[end - 1] = entry.kind.entry_type();
        }
    }
}

fn read_entries(thread: &Thread, file: &OpenFile, form: Form, to: u64, room: u64) -> Result {
    let Some(location) = &file.location else { return fail(Errno::ENOTDIR) };
    let room = usize::try_from(room as u32).map_or(LARGEST, |room| room.min(LARGEST));
    let (root, _) = thread.context().places();
    let mut position = file.position();
    let mut bytes = Vec::with_capacity(room.min(4096));
    let mut next = *position;
    let mut too_small = false;
    location.read_directory(&root, *position, &mut |entry| {
        if bytes.len() + Form::length(entry.name) > room {
            too_small = bytes.is_empty();
            return ControlFlow::Break(());
        }
        form.append(entry, &mut bytes);
        next = entry.cookie;
        ControlFlow::Continue(())
    })?;
    if too_small {
        return fail(Errno::EINVAL);
    }
    user::write_bytes(to, &bytes)?;
    *position = next;
    drop(position);
    location.accessed(time::timestamp());
    Ok(bytes.len() as u64)
}

/// `getdents64(2)`.
pub fn getdents64(thread: &Thread, [descriptor, to, room, ..]: [u64; 6]) -> Result {
    let file = thread.files().get(descriptor)?;
    read_entries(thread, &file, Form::New, to, room)
}

/// `getdents(2)`.
pub fn getdents(thread: &Thread, [descriptor, to, room, ..]: [u64; 6]) -> Result {
    let file = thread.files().get(descriptor)?;
    read_entries(thread, &file, Form::Old, to, room)
}

/// `getcwd(2)`.
pub fn getcwd(thread: &Thread, [to, size, ..]: [u64; 6]) -> Result {
    let (root, cwd) = thread.context().places();
    let path = cwd.path(&root);
    if path.deleted {
        return fail(Errno::ENOENT);
    }
    let mut text = Vec::with_capacity(path.text.len() + 1);
    if !path.reachable {
        text.extend_from_slice(b"(unreachable)");
    }
    text.extend_from_slice(&path.text);
    text.push(0);
    if text.len() > vfs::PATH_MAX {
        return fail(Errno::ENAMETOOLONG);
    }
    if text.len() as u64 > size {
        return fail(Errno::ERANGE);
    }
    user::write_bytes(to, &text)?;
    Ok(text.len() as u64)
}

/// A directory that the caller may search.
fn directory_at(thread: &Thread, path: u64) -> Result<Location> {
    let path = user::read_path(path)?;
    thread.with_context(|context| {
        let location = context.resolve(None, &path, Final::Follow, Resolve::default())?;
        if location.kind() != Kind::Directory {
            return fail(Errno::ENOTDIR);
        }
        context.check(&location, Access::EXECUTE)?;
        Ok(location)
    })
}

/// `chdir(2)`.
pub fn chdir(thread: &Thread, [path, ..]: [u64; 6]) -> Result {
    let location = directory_at(thread, path)?;
    thread.context().set_cwd(location);
    Ok(0)
}

/// `fchdir(2)`.
pub fn fchdir(thread: &Thread, [descriptor, ..]: [u64; 6]) -> Result {
    let file = thread.files().get_any(descriptor)?;
    let location = file.location.clone().filter(|place| place.kind() == Kind::Directory);
    let location = location.ok_or(Errno::ENOTDIR)?;
    thread.with_context(|context| context.check(&location, Access::EXECUTE))?;
    thread.context().set_cwd(location);
    Ok(0)
}

/// `chroot(2)`.
pub fn chroot(thread: &Thread, [path, ..]: [u64; 6]) -> Result {
    let location = directory_at(thread, path)?;
    if !thread.has_capability(SYS_CHROOT) {
        return fail(Errno::EPERM);
    }
    thread.context().set_root(location);
    Ok(0)
}

/// `umask(2)`.
pub fn umask(thread: &Thread, [mask, ..]: [u64; 6]) -> Result {
    Ok(u64::from(thread.context().set_umask((mask & 0o777) as u16)))
}

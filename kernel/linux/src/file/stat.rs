//! `stat(2)` and its kin.

use alloc::sync::Arc;

use errno::Errno;
use vfs::{Access, Context, Final, Location, Metadata, Resolve};

use super::OpenFile;
use super::open::AT_FDCWD;
use crate::error::{Result, fail};
use crate::layout;
use crate::thread::Thread;
use crate::user;

pub(super) const AT_SYMLINK_NOFOLLOW: u64 = 0x100;
pub(super) const AT_EMPTY_PATH: u64 = 0x1000;
const AT_NO_AUTOMOUNT: u64 = 0x800;

layout! {
    /// `struct stat`.
    pub struct Stat {
        pub device: u64,
        pub number: u64,
        pub links: u64,
        pub mode: u32,
        pub uid: u32,
        pub gid: u32,
        pub padding: u32,
        pub special_device: u64,
        pub size: u64,
        pub block_size: u64,
        pub blocks: u64,
        pub accessed: [i64; 2],
        pub modified: [i64; 2],
        pub changed: [i64; 2],
        pub unused: [u64; 3],
    }

    /// `struct statx`.
    pub struct Statx {
        pub mask: u32,
        pub block_size: u32,
        pub attributes: u64,
        pub links: u32,
        pub uid: u32,
        pub gid: u32,
        pub mode: u16,
        pub spare: u16,
        pub number: u64,
        pub size: u64,
        pub blocks: u64,
        pub attributes_mask: u64,
        pub accessed: [u64; 2],
        pub born: [u64; 2],
        pub changed: [u64; 2],
        pub modified: [u64; 2],
        pub special_major: u32,
        pub special_minor: u32,
        pub device_major: u32,
        pub device_minor: u32,
        pub mount: u64,
        pub alignment: [u32; 2],
        pub rest: [u64; 12],
    }
}

fn time(time: vfs::Timestamp) -> [i64; 2] {
    [time.seconds, i64::from(time.nanoseconds)]
}

/// What `stat` shows.
pub fn stat_of(metadata: &Metadata, device: u64) -> Stat {
    Stat {
        device,
        number: metadata.number,
        links: u64::from(metadata.links),
        mode: metadata.mode(),
        uid: metadata.uid,
        gid: metadata.gid,
        padding: 0,
        special_device: metadata.device.encode(),
        size: metadata.size,
        block_size: u64::from(metadata.block_size),
        blocks: metadata.blocks,
        accessed: time(metadata.accessed),
        modified: time(metadata.modified),
        changed: time(metadata.changed),
        unused: [0; 3],
    }
}

fn statx_of(metadata: &Metadata, device: u64, mount: u64) -> Statx {
    const BASIC_BIRTH_AND_MOUNT: u32 = 0x7ff | 0x800 | 0x1000;
    let device = vfs::DeviceNumber::decode(device);
    let time = |time: vfs::Timestamp| [time.seconds as u64, u64::from(time.nanoseconds)];
    Statx {
        mask: BASIC_BIRTH_AND_MOUNT,
        block_size: metadata.block_size,
        links: metadata.links,
        uid: metadata.uid,
        gid: metadata.gid,
        mode: metadata.mode() as u16,
        number: metadata.number,
        size: metadata.size,
        blocks: metadata.blocks,
        accessed: time(metadata.accessed),
        born: time(metadata.born),
        changed: time(metadata.changed),
        modified: time(metadata.modified),
        special_major: metadata.device.major,
        special_minor: metadata.device.minor,
        device_major: device.major,
        device_minor: device.minor,
        mount,
        ..Statx::default()
    }
}

/// Metadata of an open file: of its place, of its inode, or made up for what has neither.
pub fn metadata_of(file: &Arc<OpenFile>) -> (Metadata, u64, u64) {
    if let Some(location) = &file.location {
        let (metadata, device) = location.metadata();
        return (metadata, device, location.mount().number());
    }
    if let Some(Some(mapped)) = file.mappable() {
        return (mapped.inode.metadata(), 1, 1);
    }
    let label = file.file.label();
    let (kind, permissions) = match label.as_str() {
        label if label.starts_with("pipe:") => (vfs::Kind::Fifo, 0o600),
        label if label.starts_with("socket:") => (vfs::Kind::Socket, 0o777),
        _ => (vfs::Kind::File, 0o600),
    };
    let metadata = Metadata {
        number: Arc::as_ptr(&file.file).cast::<()>().addr() as u64 >> 4,
        kind,
        permissions,
        links: 1,
        uid: 0,
        gid: 0,
        device: vfs::DeviceNumber { major: 0, minor: 0 },
        size: 0,
        blocks: 0,
        block_size: 4096,
        accessed: crate::time::timestamp(),
        modified: crate::time::timestamp(),
        changed: crate::time::timestamp(),
        born: crate::time::timestamp(),
    };
    (metadata, 14, 1)
}

/// The place that a path and flags of the `*at` family name; `Err(descriptor)` is the open file
/// itself.
pub(super) fn find_at(
    thread: &Thread,
    directory: u64,
    path: &[u8],
    options: u64,
) -> Result<core::result::Result<Location, Arc<OpenFile>>> {
    if path.is_empty() && options & AT_EMPTY_PATH != 0 {
        if directory as i32 == AT_FDCWD as i32 {
            return Ok(Ok(thread.context().places().1));
        }
        let file = thread.files().get_any(directory)?;
        return Ok(match &file.location {
            Some(location) => Ok(location.clone()),
            None => Err(file),
        });
    }
    let at = thread.directory(directory, path)?;
    let end = if options & AT_SYMLINK_NOFOLLOW != 0 { Final::NoFollow } else { Final::Follow };
    let found = thread.with_context(|context: &Context<'_>| {
        context.resolve(at.as_ref(), path, end, Resolve::default())
    })?;
    Ok(Ok(found))
}

fn describe(
    thread: &Thread,
    directory: u64,
    path: u64,
    options: u64,
) -> Result<(Metadata, u64, u64)> {
    let path = if path == 0 && options & AT_EMPTY_PATH != 0 {
        alloc::vec::Vec::new()
    } else {
        user::read_path(path)?
    };
    Ok(match find_at(thread, directory, &path, options)? {
        Ok(location) => {
            let (metadata, device) = location.metadata();
            (metadata, device, location.mount().number())
        }
        Err(file) => metadata_of(&file),
    })
}

/// `newfstatat(2)`.
pub fn newfstatat(thread: &Thread, [directory, path, to, options, ..]: [u64; 6]) -> Result {
    if options & !(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT) != 0 {
        return fail(Errno::EINVAL);
    }
    let (metadata, device, _) = describe(thread, directory, path, options)?;
    user::write(to, &stat_of(&metadata, device))?;
    Ok(0)
}

/// `stat(2)`.
pub fn stat(thread: &Thread, [path, to, ..]: [u64; 6]) -> Result {
    newfstatat(thread, [AT_FDCWD, path, to, 0, 0, 0])
}

/// `lstat(2)`.
pub fn lstat(thread: &Thread, [path, to, ..]: [u64; 6]) -> Result {
    newfstatat(thread, [AT_FDCWD, path, to, AT_SYMLINK_NOFOLLOW, 0, 0])
}

/// `fstat(2)`.
pub fn fstat(thread: &Thread, [descriptor, to, ..]: [u64; 6]) -> Result {
    let file = thread.files().get_any(descriptor)?;
    let (metadata, device, _) = metadata_of(&file);
    user::write(to, &stat_of(&metadata, device))?;
    Ok(0)
}

/// `statx(2)`.
pub fn statx(thread: &Thread, [directory, path, options, mask, to, _]: [u64; 6]) -> Result {
    const SYNC: u64 = 0x6000;
    let known = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | SYNC;
    if options & !known != 0 || mask & 0x8000_0000 != 0 || options & SYNC == SYNC {
        return fail(Errno::EINVAL);
    }
    let (metadata, device, mount) = describe(thread, directory, path, options)?;
    user::write(to, &statx_of(&metadata, device, mount))?;
    Ok(0)
}

/// `faccessat2(2)`.
pub fn faccessat2(thread: &Thread, [directory, path, mode, options, ..]: [u64; 6]) -> Result {
    const AT_EACCESS: u64 = 0x200;
    if mode & !7 != 0 || options & !(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) != 0 {
        return fail(Errno::EINVAL);
    }
    let path = user::read_path(path)?;
    let Ok(location) = find_at(thread, directory, &path, options)? else { return Ok(0) };
    let mut wanted = Access::NONE;
    for (bit, access) in [(4, Access::READ), (2, Access::WRITE), (1, Access::EXECUTE)] {
        if mode & bit != 0 {
            wanted = wanted.and(access);
        }
    }
    let identity = thread.identity();
    let real = identity.real_checks();
    let who = if options & AT_EACCESS != 0 { &identity.checks } else { &real };
    thread.context().with(who, |context| context.check(&location, wanted))?;
    Ok(0)
}

/// `faccessat(2)`.
pub fn faccessat(thread: &Thread, [directory, path, mode, ..]: [u64; 6]) -> Result {
    faccessat2(thread, [directory, path, mode, 0, 0, 0])
}

/// `access(2)`.
pub fn access(thread: &Thread, [path, mode, ..]: [u64; 6]) -> Result {
    faccessat2(thread, [AT_FDCWD, path, mode, 0, 0, 0])
}

/// `readlinkat(2)`.
pub fn readlinkat(thread: &Thread, [directory, path, buffer, size, ..]: [u64; 6]) -> Result {
    let size = usize::try_from(size as i32).ok().filter(|size| *size > 0).ok_or(Errno::EINVAL)?;
    let path = user::read_path(path)?;
    let empty = path.is_empty();
    let found = find_at(thread, directory, &path, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)?;
    let Ok(location) = found else { return fail(Errno::EINVAL) };
    if empty && location.kind() != vfs::Kind::Symlink {
        return fail(Errno::ENOENT);
    }
    let text = thread.with_context(|context| context.read_link(&location))?;
    let length = text.len().min(size);
    user::write_bytes(buffer, &text[..length])?;
    Ok(length as u64)
}

/// `readlink(2)`.
pub fn readlink(thread: &Thread, [path, buffer, size, ..]: [u64; 6]) -> Result {
    readlinkat(thread, [AT_FDCWD, path, buffer, size, 0, 0])
}

//! `open(2)` and its kin.

use alloc::sync::Arc;

use errno::Errno;
use vfs::{Context, Kind, Location, OpenHow, Opened, Resolve};

use super::{File, GeneratedFile, OpenFile, RegularFile, flags, open_device, reopen};
use crate::error::{Result, fail};
use crate::layout;
use crate::terminal;
use crate::thread::Thread;
use crate::user;

/// A place in a file system, without access to its content (`O_PATH`, directories).
pub struct Place;

impl File for Place {
    fn read(&self, open: &OpenFile, _: &mut dyn user::Sink, _: u64) -> Result<usize> {
        let directory = open.location.as_ref().is_some_and(|place| place.kind() == Kind::Directory);
        fail(if directory { Errno::EISDIR } else { Errno::EBADF })
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn as_any(&self) -> &dyn core::any::Any {
        self
    }
}

fn how_of(options: u32, mode: u16, resolve: Resolve) -> OpenHow {
    let access = options & flags::ACCESS;
    let path_only = options & flags::PATH != 0;
    let unnamed = options & flags::TMPFILE == flags::TMPFILE;
    OpenHow {
        read: access != flags::WRONLY && !path_only,
        write: access != 0 && !path_only,
        create: options & flags::CREAT != 0 && !path_only,
        exclusive: options & flags::EXCL != 0,
        truncate: options & flags::TRUNC != 0 && !path_only,
        directory: options & flags::DIRECTORY != 0 && !unnamed,
        no_follow: options & flags::NOFOLLOW != 0,
        path_only,
        unnamed,
        no_access_time: options & flags::NOATIME != 0,
        permissions: mode & 0o7777,
        resolve,
    }
}

/// The open file that a found file becomes.
pub fn file_of(thread: &Thread, opened: Opened, options: u32) -> Result<Arc<OpenFile>> {
    let location = opened.location;
    let inode = Arc::clone(location.inode());
    let file: Arc<dyn File> = if options & flags::PATH != 0 {
        Arc::new(Place)
    } else {
        if let Some(file) = reopen(&*inode, options) {
            return Ok(OpenFile::new(file?, None, options));
        }
        match inode.kind() {
            Kind::File => match opened.content {
                Some(content) => Arc::new(GeneratedFile(content)),
                None => Arc::new(RegularFile::new(inode, Some(location.clone()), opened.write)),
            },
            Kind::Directory => Arc::new(Place),
            Kind::CharDevice => return open_character_device(thread, location, options),
            Kind::BlockDevice | Kind::Socket => return fail(Errno::ENXIO),
            Kind::Fifo => return super::open_fifo(thread, location, options),
            Kind::Symlink => return fail(Errno::ELOOP),
        }
    };
    Ok(OpenFile::new(file, Some(location), options))
}

fn open_character_device(
    thread: &Thread,
    location: Location,
    options: u32,
) -> Result<Arc<OpenFile>> {
    let device = location.inode().metadata().device;
    match (device.major, device.minor) {
        (5, 0) => return terminal::open_controlling(thread, location, options),
        (5, 2) => return terminal::open_master(thread, location, options),
        (terminal::SLAVE_MAJOR, number) => {
            return terminal::open_numbered(thread, number, location, options);
        }
        _ => {}
    }
    Ok(OpenFile::new(open_device(device)?, Some(location), options))
}

fn open_at(
    thread: &Thread,
    directory: u64,
    path: u64,
    options: u32,
    mode: u16,
    resolve: Resolve,
) -> Result {
    let path = user::read_path(path)?;
    let at = if resolve.in_root || resolve.beneath {
        // Then the descriptor matters for absolute paths, too.
        thread.directory(directory, b".")?
    } else {
        thread.directory(directory, &path)?
    };
    let how = how_of(options, mode, resolve);
    let opened =
        thread.with_context(|context: &Context<'_>| context.open(at.as_ref(), &path, &how))?;
    const OF_PLACES: u32 = flags::PATH | flags::DIRECTORY | flags::NOFOLLOW;
    let kept =
        if options & flags::PATH != 0 { options & OF_PLACES } else { options | flags::LARGEFILE };
    if options & flags::TRUNC != 0 && !opened.created && opened.write.is_some() {
        super::size::cut_off(thread, opened.location.inode());
    }
    let file = file_of(thread, opened, kept)?;
    if let Some(location) = file.location.as_ref().filter(|_| !file.is_path()) {
        super::inotify::happened(location, super::inotify::mask::OPEN);
    }
    thread.add_file(file, options & flags::CLOEXEC != 0)
}

/// Flags of `open(2)` that are known; others are ignored there.
const KNOWN: u32 = 0o37777703;

/// `openat(2)`.
pub fn openat(thread: &Thread, [directory, path, options, mode, ..]: [u64; 6]) -> Result {
    let options = options as u32 & KNOWN;
    // O_CREAT and O_TMPFILE without the directory bit are contradictions.
    let unnamed = options & flags::TMPFILE;
    if unnamed & !flags::DIRECTORY != 0
        && (unnamed != flags::TMPFILE || options & flags::ACCESS == 0)
    {
        return fail(Errno::EINVAL);
    }
    if options & flags::CREAT != 0 && options & flags::DIRECTORY != 0 && options & flags::PATH == 0
    {
        return fail(Errno::EINVAL);
    }
    open_at(thread, directory, path, options, mode as u16, Resolve::default())
}

/// `open(2)`.
pub fn open(thread: &Thread, [path, options, mode, ..]: [u64; 6]) -> Result {
    openat(thread, [AT_FDCWD, path, options, mode, 0, 0])
}

/// `creat(2)`.
pub fn creat(thread: &Thread, [path, mode, ..]: [u64; 6]) -> Result {
    let options = flags::CREAT | flags::WRONLY | flags::TRUNC;
    openat(thread, [AT_FDCWD, path, u64::from(options), mode, 0, 0])
}

/// The working directory as a descriptor.
pub const AT_FDCWD: u64 = -100i64 as u64;

layout! {
    /// `struct open_how`.
    pub struct RawHow {
        pub flags: u64,
        pub mode: u64,
        pub resolve: u64,
    }
}

/// `openat2(2)`.
pub fn openat2(thread: &Thread, [directory, path, how, size, ..]: [u64; 6]) -> Result {
    if size < 24 {
        return fail(Errno::EINVAL);
    }
    if size > 4096 {
        return fail(Errno::E2BIG);
    }
    if size > 24 && user::read_bytes(how + 24, size as usize - 24)?.iter().any(|&byte| byte != 0) {
        return fail(Errno::E2BIG);
    }
    let raw: RawHow = user::read(how)?;
    let options = u32::try_from(raw.flags).map_err(|_| Errno::EINVAL)?;
    let makes = options & flags::CREAT != 0 || options & flags::TMPFILE == flags::TMPFILE;
    if options & !KNOWN != 0
        || raw.mode & !0o7777 != 0
        || (raw.mode != 0 && !makes)
        || raw.resolve & !0x1f != 0
    {
        return fail(Errno::EINVAL);
    }
    let bit = |number: u32| raw.resolve & 1 << number != 0;
    if bit(3) && bit(4) {
        return fail(Errno::EINVAL);
    }
    let resolve = Resolve {
        no_mounts: bit(0),
        no_magic_links: bit(1),
        no_symlinks: bit(2),
        beneath: bit(3),
        in_root: bit(4),
    };
    open_at(thread, directory, path, options, raw.mode as u16, resolve)
}

//! `mount(2)` and `umount2(2)`. There is one mount namespace, and mounts do not propagate.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use errno::Errno;
use tmpfs::{Limits, Tmpfs};
use vfs::{FileSystem, Final, Location, MountFlags, NewInode, NewKind, Resolve, Superblock};

use crate::error::{Result, fail};
use crate::frames::MEMORY;
use crate::thread::Thread;
use crate::{procfs, time, user};

const CAP_SYS_ADMIN: u32 = 21;

/// Flags of `mount(2)`.
mod flag {
    pub const REMOUNT: u64 = 32;
    pub const BIND: u64 = 4096;
    pub const MOVE: u64 = 8192;
    pub const RECURSIVE: u64 = 16_384;
    pub const UNBINDABLE: u64 = 1 << 17;
    pub const PRIVATE: u64 = 1 << 18;
    pub const SLAVE: u64 = 1 << 19;
    pub const SHARED: u64 = 1 << 20;
    pub const PROPAGATION: u64 = UNBINDABLE | PRIVATE | SLAVE | SHARED;
    /// What old programs put into the upper half.
    pub const MAGIC_MASK: u64 = 0xffff_0000;
    pub const MAGIC: u64 = 0xc0ed_0000;
}

/// Bytes of a type's name, and of options.
const LONGEST: usize = 4096;

fn optional_string(address: u64) -> Result<Vec<u8>> {
    if address == 0 {
        return Ok(Vec::new());
    }
    user::read_string(address, LONGEST, Errno::EINVAL)
}

fn find(thread: &Thread, path: &[u8], end: Final) -> Result<Location> {
    Ok(thread.with_context(|context| context.resolve(None, path, end, Resolve::default()))?)
}

/// `mount(2)`.
pub fn mount(thread: &Thread, [source, target, kind, flags, data, _]: [u64; 6]) -> Result {
    let kind_name = optional_string(kind)?;
    let source = optional_string(source)?;
    // A page of options may end where memory ends.
    let options = match data {
        0 => Vec::new(),
        data => user::read_string(data, LONGEST, Errno::EINVAL)?,
    };
    let target = user::read_path(target)?;
    let place = find(thread, &target, Final::Follow)?;
    if !thread.has_capability(CAP_SYS_ADMIN) {
        return fail(Errno::EPERM);
    }
    let flags =
        if flags & flag::MAGIC_MASK == flag::MAGIC { flags & !flag::MAGIC_MASK } else { flags };
    let restrictions = MountFlags::from_bits(flags as u32);
    if flags & flag::REMOUNT != 0 {
        if !Arc::ptr_eq(place.dentry(), place.mount().root()) {
            return fail(Errno::EINVAL);
        }
        place.mount().set_flags(restrictions);
        return Ok(0);
    }
    if flags & flag::BIND != 0 {
        return bind(thread, &source, &place, flags);
    }
    if flags & flag::PROPAGATION != 0 {
        // All mounts are private. What asks for that, or to follow nobody, has it.
        let wanted = flags & flag::PROPAGATION;
        return match wanted {
            flag::PRIVATE | flag::SLAVE => Ok(0),
            _ => fail(Errno::EINVAL),
        };
    }
    if flags & flag::MOVE != 0 || kind == 0 {
        return fail(Errno::EINVAL);
    }
    let file_system: Arc<dyn FileSystem> = match &kind_name[..] {
        b"tmpfs" | b"ramfs" => new_tmpfs(&options)?,
        b"proc" => procfs::file_system(),
        b"sysfs" => procfs::sys_file_system(),
        _ => return fail(Errno::ENODEV),
    };
    let context = thread.context();
    let superblock = Superblock::new(file_system, next_device());
    context.namespace().mount(&place, superblock, None, restrictions)?;
    Ok(0)
}

/// `st_dev` of a new file system.
fn next_device() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(64);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Shows what is at `source` at another place, too, with what is mounted inside if asked for.
fn bind(thread: &Thread, source: &[u8], place: &Location, flags: u64) -> Result {
    let from = find(thread, source, Final::Follow)?;
    let context = thread.context();
    let namespace = context.namespace();
    let inner: Vec<_> = if flags & flag::RECURSIVE != 0 { namespace.mounts() } else { Vec::new() };
    let show = |place: &Location, from: &Location| {
        let superblock = Arc::clone(from.mount().superblock());
        let root = Some(Arc::clone(from.dentry()));
        namespace.mount(place, superblock, root, from.mount().flags())
    };
    let top = show(place, &from)?;
    let new_root = Location::new(Arc::clone(&top), Arc::clone(top.root()));
    for mount in inner {
        let Some(parent) = mount.parent() else { continue };
        let own = Location::new(Arc::clone(&mount), Arc::clone(mount.root()));
        let relative = parent.path(&from);
        let is_inside = relative.reachable && !Arc::ptr_eq(&mount, &top);
        if !is_inside || parent.is_same(&from) {
            continue;
        }
        let identity = thread.identity();
        let at = context.with(&identity.checks, |context| {
            let path = relative.text.strip_prefix(b"/").unwrap_or(&relative.text);
            context.resolve(Some(&new_root), path, Final::Follow, Resolve::default())
        });
        // A place that is gone meanwhile has nothing mounted on it.
        if let Ok(at) = at {
            show(&at, &own)?;
        }
    }
    Ok(0)
}

/// A file system in memory with the options of `tmpfs(5)`.
fn new_tmpfs(options: &[u8]) -> Result<Arc<Tmpfs>> {
    let mut limits =
        Limits { pages: mm::frames::total() as u64 / 2, inodes: mm::frames::total() as u64 / 2 };
    let mut root = NewInode { kind: NewKind::Directory, permissions: 0o1777, uid: 0, gid: 0 };
    let words = options.split(|&byte| byte == b',').filter(|word| !word.is_empty());
    for word in words {
        let text = core::str::from_utf8(word).map_err(|_| Errno::EINVAL)?;
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let number = || value.parse::<u32>().map_err(|_| Errno::EINVAL);
        match name {
            "size" => limits.pages = size(value)?.div_ceil(4096),
            "nr_blocks" => limits.pages = size(value)?,
            "nr_inodes" => limits.inodes = size(value)?,
            "mode" => {
                root.permissions =
                    u16::from_str_radix(value, 8).map_err(|_| Errno::EINVAL)? & 0o7777;
            }
            "uid" => root.uid = number()?,
            "gid" => root.gid = number()?,
            _ => return fail(Errno::EINVAL),
        }
    }
    let unlimited = |limit: u64| if limit == 0 { u64::MAX } else { limit };
    let limits = Limits { pages: unlimited(limits.pages), inodes: unlimited(limits.inodes) };
    Ok(Tmpfs::new(&MEMORY, limits, &root, time::timestamp()))
}

/// A number with `k`, `m`, `g` or, of the memory, `%`.
fn size(text: &str) -> Result<u64> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        Some((at, '%')) => (&text[..at], mm::frames::total() as u64 * 4096 / 100),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| Errno::EINVAL)?;
    Ok(number.checked_mul(unit).ok_or(Errno::EINVAL)?)
}

/// `umount2(2)`.
pub fn umount2(thread: &Thread, [target, flags, ..]: [u64; 6]) -> Result {
    const FORCE: u64 = 1;
    const DETACH: u64 = 2;
    const NO_FOLLOW: u64 = 8;
    if flags & !(FORCE | DETACH | NO_FOLLOW) != 0 {
        return fail(Errno::EINVAL);
    }
    let target = user::read_path(target)?;
    let end = if flags & NO_FOLLOW != 0 { Final::NoFollow } else { Final::Follow };
    let place = find(thread, &target, end)?;
    if !thread.has_capability(CAP_SYS_ADMIN) {
        return fail(Errno::EPERM);
    }
    thread.context().namespace().unmount(place, flags & DETACH != 0)?;
    Ok(0)
}

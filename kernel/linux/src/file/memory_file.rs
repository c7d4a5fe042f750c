//! Files without a name: `memfd_create(2)`, shared anonymous memory.

use alloc::sync::Arc;

use errno::Errno;
use spin::Once;
use tmpfs::Tmpfs;
use vfs::{Inode, Location, Mount, MountFlags, NewInode, NewKind, Superblock, WriteAccess};

use super::{OpenFile, RegularFile, flags};
use crate::error::{Result, fail};
use crate::memory::Mapped;
use crate::thread::Thread;
use crate::{time, user};

static HOME: Once<(Arc<Tmpfs>, Arc<Mount>)> = Once::new();

/// Says where files without a name live.
pub fn set_memory_files(file_system: Arc<Tmpfs>) {
    HOME.call_once(|| {
        let superblock = Superblock::new(file_system.clone(), 1);
        (file_system, Mount::detached(superblock, MountFlags::NONE))
    });
}

fn new_file(permissions: u16, sealable: bool) -> Result<(Arc<dyn Inode>, &'static Arc<Mount>)> {
    let Some((home, mount)) = HOME.get() else { return fail(Errno::ENOSYS) };
    let new = NewInode { kind: NewKind::File, permissions, uid: 0, gid: 0 };
    Ok((home.memory_file(&new, sealable, time::timestamp())?, mount))
}

/// Memory of `length` bytes that can be shared.
pub fn memory_file(length: u64) -> Result<Mapped> {
    let (inode, _) = new_file(0o600, false)?;
    inode.truncate(length, time::timestamp())?;
    Ok(Mapped { inode, location: None })
}

/// Memory with these bytes, for the kernel's own mappings.
pub fn memory_file_of(bytes: &[u8]) -> Result<Mapped> {
    let (inode, _) = new_file(0o600, false)?;
    super::regular::write_pages(&*inode, &mut user::Bytes(bytes), 0, u64::MAX)?;
    Ok(Mapped { inode, location: None })
}

/// `memfd_create(2)`.
pub fn memfd_create(thread: &Thread, [name, options, ..]: [u64; 6]) -> Result {
    const CLOEXEC: u64 = 1;
    const ALLOW_SEALING: u64 = 2;
    const NOEXEC_SEAL: u64 = 8;
    const EXEC: u64 = 16;
    const LONGEST: usize = 249;
    if options & !(CLOEXEC | ALLOW_SEALING | NOEXEC_SEAL | EXEC) != 0 {
        return fail(Errno::EINVAL);
    }
    let mut label = b"/memfd:".to_vec();
    label.append(&mut user::read_string(name, LONGEST + 1, Errno::EINVAL)?);
    let (inode, mount) = new_file(0o777, options & ALLOW_SEALING != 0)?;
    let location = Location::unnamed(Arc::clone(mount), Arc::clone(&inode), &label);
    let write = WriteAccess::take(&inode)?;
    let file = Arc::new(RegularFile::new(inode, Some(location.clone()), Some(write)));
    let open = OpenFile::new(file, Some(location), flags::RDWR | flags::LARGEFILE);
    thread.add_file(open, options & CLOEXEC != 0)
}

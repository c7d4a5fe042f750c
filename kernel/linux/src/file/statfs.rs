//! `statfs(2)`, and file handles, which there are none of.

use errno::Errno;
use vfs::{Final, Mount, Resolve};

use super::stat::{AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, find_at};
use crate::error::{Result, fail};
use crate::layout;
use crate::thread::Thread;
use crate::user;

layout! {
    /// `struct statfs`.
    pub struct FileSystemStatus {
        pub magic: u64,
        pub block_size: u64,
        pub blocks: u64,
        pub free: u64,
        pub available: u64,
        pub inodes: u64,
        pub free_inodes: u64,
        pub number: u64,
        pub longest_name: u64,
        pub fragment_size: u64,
        pub flags: u64,
        pub spare: [u64; 4],
    }
}

fn status_of(mount: &Mount) -> FileSystemStatus {
    const VALID: u64 = 0x20;
    const RELATIVE_ACCESS_TIME: u64 = 0x1000;
    const SHARED_BITS: u32 = 1 | 2 | 4 | 8 | 1024 | 2048;
    const ACCESS_TIME_BITS: u32 = 1024 | 1 << 24;
    let superblock = mount.superblock();
    let statistics = superblock.file_system().statistics();
    let bits = mount.flags().bits();
    let mut flags = VALID | u64::from(bits & SHARED_BITS);
    if bits & ACCESS_TIME_BITS == 0 {
        flags |= RELATIVE_ACCESS_TIME;
    }
    FileSystemStatus {
        magic: statistics.magic,
        block_size: u64::from(statistics.block_size),
        blocks: statistics.blocks,
        free: statistics.free,
        available: statistics.free,
        inodes: statistics.inodes,
        free_inodes: statistics.free_inodes,
        number: superblock.device(),
        longest_name: vfs::NAME_MAX as u64,
        fragment_size: u64::from(statistics.block_size),
        flags,
        spare: [0; 4],
    }
}

/// `statfs(2)`.
pub fn statfs(thread: &Thread, [path, to, ..]: [u64; 6]) -> Result {
    let path = user::read_path(path)?;
    let location = thread
        .with_context(|context| context.resolve(None, &path, Final::Follow, Resolve::default()))?;
    user::write(to, &status_of(location.mount()))?;
    Ok(0)
}

/// `fstatfs(2)`.
pub fn fstatfs(thread: &Thread, [descriptor, to, ..]: [u64; 6]) -> Result {
    const PIPEFS_MAGIC: u64 = 0x5049_5045;
    let file = thread.files().get_any(descriptor)?;
    let status = match &file.location {
        Some(location) => status_of(location.mount()),
        None => FileSystemStatus {
            magic: PIPEFS_MAGIC,
            block_size: 4096,
            fragment_size: 4096,
            longest_name: vfs::NAME_MAX as u64,
            flags: 0x20,
            ..FileSystemStatus::default()
        },
    };
    user::write(to, &status)?;
    Ok(0)
}

/// `name_to_handle_at(2)`: no file system here has handles.
pub fn name_to_handle_at(
    thread: &Thread,
    [directory, path, handle, _, options, _]: [u64; 6],
) -> Result {
    const AT_SYMLINK_FOLLOW: u64 = 0x400;
    const LARGEST: u32 = 128;
    if options & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
        return fail(Errno::EINVAL);
    }
    let path = user::read_path(path)?;
    let follow = if options & AT_SYMLINK_FOLLOW != 0 { 0 } else { AT_SYMLINK_NOFOLLOW };
    let _found = find_at(thread, directory, &path, options & AT_EMPTY_PATH | follow)?;
    let room: u32 = user::read(handle)?;
    fail(if room > LARGEST { Errno::EINVAL } else { Errno::EOPNOTSUPP })
}

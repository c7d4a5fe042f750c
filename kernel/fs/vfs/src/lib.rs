//! The virtual file system: what lies between system calls and file systems.
//!
//! - [`Inode`] and [`FileSystem`] are what a file system implements. Every operation returns
//!   without waiting; regular files hand out *pages* ([`Inode::extent`]), not copies, so that
//!   the same pages serve `read`, `write` and `mmap`, and user memory is never touched under a
//!   lock.
//! - [`Dentry`], [`Mount`], [`Namespace`] and [`Location`] name inodes; they know the path of
//!   an open file even after a rename or a removal.
//! - [`Context`] is who asks: root, working directory, credentials. Its methods are the
//!   operations of Linux on paths, with Linux's checks in Linux's order of errors.
//! - [`FileLocks`] are POSIX, OFD and `flock` locks as a pure table.
//!
//! No globals, no clock, no scheduler: time comes in with the [`Context`], memory through
//! [`PageMemory`], and whoever has to wait does so outside.
//!
//! Refused: access control lists (stored as attributes, not enforced), mount propagation.
//!
//! Locks are taken in the order of [`ranks`]. A directory's children are locked while the file
//! system looks up or changes that directory, so cache and directory cannot disagree.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod context;
mod credentials;
mod dentry;
mod exclusion;
mod file_lock;
mod filesystem;
mod inode;
mod location;
mod memory;
mod mount;
mod notify;
mod operations;
mod transfer;
mod types;
mod walk;

pub use context::Context;
pub use credentials::{Access, Capability, Credentials};
pub use dentry::Dentry;
pub use exclusion::{ExecuteAccess, WriteAccess};
pub use file_lock::{Conflict, FileLocks, LockKind, LockRange, Owner};
pub use filesystem::{FileSystem, Statistics, Superblock};
pub use inode::{
    Allocate, Attachment, AttributeChange, Content, DirectoryEntry, Inode, LinkTarget, NewInode,
    NewKind, Rename, SeekTarget, XattrMode, seals,
};
pub use location::{Location, PathText};
pub use memory::{Extent, Intent, PAGE_SIZE, PageMemory};
pub use mount::{Mount, MountFlags, Namespace};
pub use notify::{Event, EventKind, Listener};
pub use operations::{OpenHow, Opened, TimeChange};
pub use transfer::{read_at, write_at};
pub use types::{DeviceNumber, Kind, Metadata, Timestamp, mode};
pub use walk::{Final, Last, Parent, Resolve};

/// The longest name of a directory entry, in bytes.
pub const NAME_MAX: usize = 255;
/// The longest path with its terminating NUL, in bytes.
pub const PATH_MAX: usize = 4096;

/// The ranks of the locks in this crate and in file systems; memory allocation ranks above.
pub mod ranks {
    use lock::Rank;

    /// Renames within a file system, one at a time.
    pub const RENAME: Rank = Rank::new(160, "vfs rename");
    /// The cached children of a directory; held while the file system changes the directory.
    pub const CHILDREN: Rank = Rank::new(162, "vfs children");
    /// The mount table.
    pub const MOUNTS: Rank = Rank::new(164, "vfs mounts");
    /// The name and parent of a dentry.
    pub const PLACE: Rank = Rank::new(166, "vfs place");
    /// Dentries that were used recently.
    pub const RECENT: Rank = Rank::new(168, "vfs recent");
    /// The entries of a directory inside a file system.
    pub const DIRECTORY: Rank = Rank::new(170, "fs directory");
    /// The attributes of an inode inside a file system.
    pub const ATTRIBUTES: Rank = Rank::new(174, "fs attributes");
    /// The pages of a file inside a file system.
    pub const PAGES: Rank = Rank::new(176, "fs pages");
    /// The table of inodes inside a file system.
    pub const INODES: Rank = Rank::new(177, "fs inodes");
    /// What another layer attached to an inode.
    pub const ATTACHMENT: Rank = Rank::new(178, "vfs attachment");
}

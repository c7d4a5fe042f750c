//! Who asks, and what that allows.

use alloc::sync::Arc;

use errno::Errno;

use crate::inode::Inode;
use crate::types::{Kind, mode};

/// Capabilities that file systems ask for, with their numbers in Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Change owners at will.
    Chown = 0,
    /// Ignore permission bits.
    DacOverride = 1,
    /// Ignore permission bits for reading and searching.
    DacReadSearch = 2,
    /// Act as the owner of any file.
    Fowner = 3,
    /// Keep set-id bits.
    Fsetid = 4,
    /// Mount, and use `trusted.` and `security.` attributes.
    SysAdmin = 21,
    /// Make device special files.
    Mknod = 27,
    /// Set file capabilities.
    Setfcap = 31,
}

/// The identity that permission checks use.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The file system user ID (`fsuid`: normally the effective user ID).
    pub uid: u32,
    /// The file system group ID.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Arc<[u32]>,
    /// Effective capabilities, bit n for capability n.
    pub capabilities: u64,
}

/// A set of what `access` asks: reading, writing, executing or searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// Execute a file, search a directory.
    pub const EXECUTE: Self = Self(1);
    /// Write.
    pub const WRITE: Self = Self(2);
    /// Read.
    pub const READ: Self = Self(4);
    /// Nothing: only existence.
    pub const NONE: Self = Self(0);

    /// From the bits of `access(2)`: 4 read, 2 write, 1 execute.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 7)
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in here.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl Credentials {
    /// The superuser with all capabilities.
    pub fn root() -> Self {
        Self { uid: 0, gid: 0, groups: Arc::new([]), capabilities: !0 }
    }

    /// Whether a capability is effective.
    pub fn can(&self, capability: Capability) -> bool {
        self.capabilities >> (capability as u8) & 1 == 1
    }

    /// Whether the group or a supplementary group is `gid`.
    pub fn in_group(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }

    /// Whether an inode of this owner may be treated as one's own.
    pub fn owns(&self, uid: u32) -> bool {
        self.uid == uid || self.can(Capability::Fowner)
    }

    /// Checks the permission bits of an inode as `path_resolution(7)` says.
    ///
    /// # Errors
    /// `EACCES`.
    #[inline]
    pub fn check(&self, inode: &dyn Inode, wanted: Access) -> Result<(), Errno> {
        let (uid, gid, permissions) = inode.access();
        let class = if self.uid == uid {
            permissions >> 6
        } else if self.in_group(gid) {
            permissions >> 3
        } else {
            permissions
        };
        if class as u8 & wanted.0 == wanted.0 {
            return Ok(());
        }
        let directory = inode.kind() == Kind::Directory;
        let overridden = if directory || !wanted.has(Access::EXECUTE) {
            self.can(Capability::DacOverride)
        } else {
            // Root cannot execute what nobody can.
            self.can(Capability::DacOverride) && permissions & 0o111 != 0
        };
        let searching = directory && !wanted.has(Access::WRITE) || wanted == Access::READ;
        if overridden || searching && self.can(Capability::DacReadSearch) {
            return Ok(());
        }
        Err(Errno::EACCES)
    }

    /// The permission bits that a change to `permissions` really gives a file of group `gid`:
    /// who is not in the group cannot set its set-group-ID bit.
    pub(crate) fn limit_set_gid(&self, permissions: u16, gid: u32) -> u16 {
        if self.in_group(gid) || self.can(Capability::Fsetid) {
            permissions
        } else {
            permissions & !mode::SET_GID
        }
    }
}

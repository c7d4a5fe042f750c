//! Places in the tree: a name, seen through a mount.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use errno::Errno;

use crate::dentry::Dentry;
use crate::inode::{DirectoryEntry, Inode};
use crate::mount::{Mount, MountFlags};
use crate::types::{Kind, Metadata, Timestamp};

/// A name and the mount that it was reached through: what an open file, a working directory or
/// a directory descriptor holds.
#[derive(Clone)]
pub struct Location {
    mount: Arc<Mount>,
    dentry: Arc<Dentry>,
}

/// The path of a location, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathText {
    /// The path from the root that was asked for.
    pub text: Vec<u8>,
    /// Whether the location is below that root; if not, the path starts at the top of its mount.
    pub reachable: bool,
    /// Whether the name was removed. ` (deleted)` is not part of the text.
    pub deleted: bool,
}

impl PathText {
    /// The text as the links in `/proc/*/fd` show it.
    pub fn into_link_text(mut self) -> Vec<u8> {
        if self.deleted {
            self.text.extend_from_slice(b" (deleted)");
        }
        self.text
    }
}

const CURRENT_COOKIE: u64 = 1;
const PARENT_COOKIE: u64 = 2;

impl Location {
    /// A place in `mount`'s file system.
    pub fn new(mount: Arc<Mount>, dentry: Arc<Dentry>) -> Self {
        Self { mount, dentry }
    }

    /// A place for a file without a name; its path is `name`.
    pub fn unnamed(mount: Arc<Mount>, inode: Arc<dyn Inode>, name: &[u8]) -> Self {
        Self { mount, dentry: Dentry::unlinked(inode, None, name) }
    }

    /// The mount.
    #[inline]
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// The name.
    #[inline]
    pub fn dentry(&self) -> &Arc<Dentry> {
        &self.dentry
    }

    /// The inode.
    #[inline]
    pub fn inode(&self) -> &Arc<dyn Inode> {
        self.dentry.inode()
    }

    /// The type of the inode.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.dentry.kind()
    }

    /// What `stat` shows, and `st_dev`.
    pub fn metadata(&self) -> (Metadata, u64) {
        (self.inode().metadata(), self.mount.superblock().device())
    }

    /// Whether both are the same name through the same mount.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.dentry, &other.dentry) && Arc::ptr_eq(&self.mount, &other.mount)
    }

    pub(crate) fn into_parts(self) -> (Arc<Mount>, Arc<Dentry>) {
        (self.mount, self.dentry)
    }

    /// The directory above, across mounts, not above `root`; itself at the top.
    #[must_use]
    pub fn parent(&self, root: &Self) -> Self {
        let mut current = self.clone();
        loop {
            if current.is_same(root) {
                return current;
            }
            if !Arc::ptr_eq(&current.dentry, current.mount.root())
                && let Some(parent) = current.dentry.parent()
            {
                return Self { mount: current.mount, dentry: parent };
            }
            match current.mount.parent() {
                Some(place) => current = place.clone(),
                None => return current,
            }
        }
    }

    /// The path from `root` to here (for `getcwd`, `/proc/*/fd`, `/proc/*/maps`).
    pub fn path(&self, root: &Self) -> PathText {
        let superblock = self.mount.superblock();
        loop {
            let before = superblock.renames();
            let path = self.path_now(root);
            if superblock.renames() == before {
                return path;
            }
        }
    }

    fn path_now(&self, root: &Self) -> PathText {
        let mut names: Vec<Arc<[u8]>> = Vec::new();
        let mut current = self.clone();
        let deleted = self.dentry.is_deleted();
        let reachable = loop {
            if current.is_same(root) {
                break true;
            }
            if Arc::ptr_eq(&current.dentry, current.mount.root()) {
                match current.mount.parent() {
                    Some(place) => current = place.clone(),
                    None => break false,
                }
                continue;
            }
            let (parent, name, _) = current.dentry.place();
            match parent {
                Some(parent) => {
                    names.push(name);
                    current.dentry = parent;
                }
                None => {
                    // A file that never had a directory: its name is all there is.
                    return PathText { text: name.to_vec(), reachable: false, deleted };
                }
            }
        };
        let mut text = Vec::new();
        for name in names.iter().rev() {
            text.push(b'/');
            text.extend_from_slice(name);
        }
        if text.is_empty() {
            text.push(b'/');
        }
        PathText { text, reachable, deleted }
    }

    /// The entries behind `cookie` (0: all) as `getdents` shows them, with `.` and `..`; `root`
    /// is the caller's root. `visit` runs under a lock: it only stores what it gets.
    ///
    /// # Errors
    /// `ENOTDIR`; `ENOENT` if the directory was removed.
    pub fn read_directory(
        &self,
        root: &Self,
        cookie: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        if self.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        if self.dentry.is_deleted() {
            return Err(Errno::ENOENT);
        }
        for (name, own) in [(&b"."[..], CURRENT_COOKIE), (b"..", PARENT_COOKIE)] {
            if cookie >= own {
                continue;
            }
            let inode = if own == CURRENT_COOKIE { self.clone() } else { self.parent(root) };
            let number = inode.inode().metadata().number;
            let entry = DirectoryEntry { name, number, kind: Kind::Directory, cookie: own };
            if visit(&entry).is_break() {
                return Ok(());
            }
        }
        self.inode().read_directory(cookie.max(PARENT_COOKIE), visit)
    }

    /// Notes an access: sets the access time where the mount's rules want that (normally only if
    /// it is older than the last change or a day).
    pub fn accessed(&self, now: Timestamp) {
        const DAY: i64 = 24 * 60 * 60;
        let flags = self.mount.flags();
        let off = flags.has(MountFlags::NO_ACCESS_TIME)
            || flags.has(MountFlags::READ_ONLY)
            || self.kind() == Kind::Directory && flags.has(MountFlags::NO_DIRECTORY_ACCESS_TIME);
        if off {
            return;
        }
        let metadata = self.inode().metadata();
        let due = flags.has(MountFlags::STRICT_ACCESS_TIME)
            || metadata.accessed <= metadata.modified
            || metadata.accessed <= metadata.changed
            || now.seconds.saturating_sub(metadata.accessed.seconds) >= DAY;
        if due && metadata.accessed != now {
            let change = crate::AttributeChange { accessed: Some(now), ..Default::default() };
            // The access itself succeeded; a time that cannot be kept is no error.
            let _ = self.inode().set_attributes(&change, metadata.changed);
        }
    }
}

impl core::fmt::Debug for Location {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Location({})", self.dentry.name().escape_ascii())
    }
}

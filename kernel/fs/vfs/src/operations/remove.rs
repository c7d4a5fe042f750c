//! Names that go: `unlink`, `rmdir`.

use alloc::sync::Arc;

use errno::Errno;

use crate::context::Context;
use crate::dentry::Dentry;
use crate::location::Location;
use crate::notify::{Event, EventKind};
use crate::types::Kind;
use crate::walk::{Last, Resolve};

impl Context<'_> {
    /// Removes a name that is no directory.
    ///
    /// # Errors
    /// Those of `unlink(2)`.
    pub fn unlink(&self, at: Option<&Location>, path: &[u8]) -> Result<(), Errno> {
        let parent = self.resolve_parent(at, path, Resolve::default())?;
        let Last::Name(name) = parent.last else { return Err(Errno::EISDIR) };
        self.remove(&parent.directory, &name, parent.slash, |child| {
            if child.kind() == Kind::Directory { Err(Errno::EISDIR) } else { Ok(()) }
        })
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// Those of `rmdir(2)`.
    pub fn remove_directory(&self, at: Option<&Location>, path: &[u8]) -> Result<(), Errno> {
        let parent = self.resolve_parent(at, path, Resolve::default())?;
        let name = match parent.last {
            Last::Name(name) => name,
            Last::Current => return Err(Errno::EINVAL),
            Last::Parent => return Err(Errno::ENOTEMPTY),
            Last::Root => return Err(Errno::EBUSY),
        };
        self.remove(&parent.directory, &name, false, |child| {
            if child.kind() == Kind::Directory { Ok(()) } else { Err(Errno::ENOTDIR) }
        })
    }

    /// `slash`: a slash follows the name, which asks for a directory where none can be removed.
    fn remove(
        &self,
        directory: &Location,
        name: &[u8],
        slash: bool,
        check_kind: impl FnOnce(&Dentry) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut locked = directory.dentry().lock();
        let child: Arc<Dentry> = locked.child(name)?;
        if slash {
            let is_directory = child.kind() == Kind::Directory;
            return Err(if is_directory { Errno::EISDIR } else { Errno::ENOTDIR });
        }
        self.check_remove(directory, &child)?;
        check_kind(&child)?;
        if child.is_covered() {
            return Err(Errno::EBUSY);
        }
        if child.kind() == Kind::Directory {
            locked.inode().remove_directory(name, self.now)?;
        } else {
            locked.inode().unlink(name, self.now)?;
        }
        locked.remove(name);
        child.mark_deleted();
        drop(locked);
        directory.mount().superblock().dismiss(&child);
        let inode = child.inode();
        let name = Some((directory.dentry(), name));
        self.namespace.notify(&Event { kind: EventKind::Removed, inode, dentry: None, name });
        if inode.metadata().links == 0 || child.kind() == Kind::Directory {
            let kind = EventKind::Gone;
            self.namespace.notify(&Event { kind, inode, dentry: None, name: None });
        }
        Ok(())
    }
}

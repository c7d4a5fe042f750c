//! New names: `mkdir`, `mknod`, `symlink`, `link`.

use alloc::sync::Arc;

use errno::Errno;

use crate::context::Context;
use crate::credentials::{Access, Capability};
use crate::inode::NewKind;
use crate::location::Location;
use crate::notify::{Event, EventKind};
use crate::types::{Kind, mode};
use crate::walk::{Last, Resolve};

impl Context<'_> {
    /// Makes an inode at `path`: a directory, symbolic link, device, fifo, socket or file.
    /// `permissions` are those before the umask.
    ///
    /// # Errors
    /// Those of `mkdir(2)`, `mknod(2)` and `symlink(2)`.
    pub fn make(
        &self,
        at: Option<&Location>,
        path: &[u8],
        kind: NewKind<'_>,
        permissions: u16,
    ) -> Result<Location, Errno> {
        if let NewKind::Symlink(text) = kind {
            if text.is_empty() {
                return Err(Errno::ENOENT);
            }
            if text.len() >= crate::PATH_MAX {
                return Err(Errno::ENAMETOOLONG);
            }
        }
        let (directory, name) = self.new_name(at, path, kind.kind() == Kind::Directory)?;
        let mut locked = directory.dentry().lock();
        match locked.child(&name) {
            Err(Errno::ENOENT) => {}
            found => return Err(found.err().unwrap_or(Errno::EEXIST)),
        }
        self.check_change(&directory)?;
        if kind.kind().is_device() && !self.credentials.can(Capability::Mknod) {
            return Err(Errno::EPERM);
        }
        let new = self.new_inode(&**directory.inode(), kind, permissions);
        let inode = locked.inode().create(&name, &new, self.now)?;
        let child = locked.insert(&name, inode);
        drop(locked);
        directory.mount().superblock().remember(child.clone());
        let event = Event {
            kind: EventKind::Created,
            inode: child.inode(),
            dentry: None,
            name: Some((directory.dentry(), &name)),
        };
        self.namespace.notify(&event);
        Ok(Location::new(directory.mount().clone(), child))
    }

    /// Gives the file at `old` a further name.
    ///
    /// # Errors
    /// Those of `link(2)`.
    pub fn link(&self, old: &Location, at: Option<&Location>, path: &[u8]) -> Result<(), Errno> {
        let (directory, name) = self.new_name(at, path, false)?;
        let mut locked = directory.dentry().lock();
        match locked.child(&name) {
            Err(Errno::ENOENT) => {}
            found => return Err(found.err().unwrap_or(Errno::EEXIST)),
        }
        if !Arc::ptr_eq(old.mount(), directory.mount()) {
            return Err(Errno::EXDEV);
        }
        directory.mount().check_writable()?;
        self.check_link_source(old)?;
        self.check_change(&directory)?;
        if old.kind() == Kind::Directory {
            return Err(Errno::EPERM);
        }
        locked.inode().link(&name, old.inode(), self.now)?;
        locked.insert(&name, old.inode().clone());
        drop(locked);
        let inode = old.inode();
        let name = Some((directory.dentry(), &name[..]));
        self.namespace.notify(&Event {
            kind: EventKind::LinksChanged,
            inode,
            dentry: None,
            name: None,
        });
        self.namespace.notify(&Event { kind: EventKind::Created, inode, dentry: None, name });
        Ok(())
    }

    /// Whether the caller may give this file a further name although it belongs to others: only
    /// what it could as well read and write (`protected_hardlinks`, on as Debian has it).
    fn check_link_source(&self, old: &Location) -> Result<(), Errno> {
        let (uid, _, permissions) = old.inode().access();
        if self.credentials.owns(uid) {
            return Ok(());
        }
        let set_gid = mode::SET_GID | mode::GROUP_EXECUTE;
        let plain = old.kind() == Kind::File
            && permissions & mode::SET_UID == 0
            && permissions & set_gid != set_gid;
        let wanted = Access::READ.and(Access::WRITE);
        if plain && self.credentials.check(&**old.inode(), wanted).is_ok() {
            Ok(())
        } else {
            Err(Errno::EPERM)
        }
    }

    /// The directory and name for something new.
    fn new_name(
        &self,
        at: Option<&Location>,
        path: &[u8],
        directory: bool,
    ) -> Result<(Location, alloc::vec::Vec<u8>), Errno> {
        let parent = self.resolve_parent(at, path, Resolve::default())?;
        let Last::Name(name) = parent.last else { return Err(Errno::EEXIST) };
        if parent.slash && !directory {
            // A slash asks for a directory, which this is not going to be.
            let superblock = parent.directory.mount().superblock();
            let found = parent.directory.dentry().child(superblock, &name);
            return Err(found.err().unwrap_or(Errno::EEXIST));
        }
        Ok((parent.directory, name))
    }
}

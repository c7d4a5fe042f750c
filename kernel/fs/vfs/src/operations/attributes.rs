//! Attributes: `chmod`, `chown`, `utimensat`, `truncate`, `access`, `readlink`.

use alloc::vec::Vec;

use errno::Errno;

use crate::context::Context;
use crate::credentials::{Access, Capability, Credentials};
use crate::exclusion::WriteAccess;
use crate::inode::AttributeChange;
use crate::location::Location;
use crate::notify::{Event, EventKind};
use crate::types::{Kind, Timestamp, mode};

/// What to do with a time (`utimensat(2)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeChange {
    /// Leave it (`UTIME_OMIT`).
    Keep,
    /// Set it to the time of the operation (`UTIME_NOW`).
    Now,
    /// Set it to this.
    To(Timestamp),
}

impl Context<'_> {
    /// Sets permission, set-id and sticky bits.
    ///
    /// # Errors
    /// `EROFS`; `EPERM` for who is not the owner; `EOPNOTSUPP` for symbolic links.
    pub fn change_mode(&self, location: &Location, permissions: u16) -> Result<(), Errno> {
        if location.kind() == Kind::Symlink {
            return Err(Errno::EOPNOTSUPP);
        }
        location.mount().check_writable()?;
        let (uid, gid, _) = location.inode().access();
        if !self.credentials.owns(uid) {
            return Err(Errno::EPERM);
        }
        let permissions = self.credentials.limit_set_gid(permissions & mode::ALL, gid);
        let change = AttributeChange { permissions: Some(permissions), ..Default::default() };
        self.apply(location, &change)
    }

    /// Sets owner and group; `None` keeps one. Set-id bits of files go.
    ///
    /// # Errors
    /// `EROFS`, `EPERM`.
    pub fn change_owner(
        &self,
        location: &Location,
        uid: Option<u32>,
        gid: Option<u32>,
    ) -> Result<(), Errno> {
        location.mount().check_writable()?;
        let (old_uid, old_gid, permissions) = location.inode().access();
        if !self.credentials.can(Capability::Chown) {
            let own = self.credentials.uid == old_uid;
            let uid_stays = uid.is_none_or(|uid| own && uid == old_uid);
            let group_ok = |gid| own && (gid == old_gid || self.credentials.in_group(gid));
            if !uid_stays || !gid.is_none_or(group_ok) {
                return Err(Errno::EPERM);
            }
        }
        let mut change = AttributeChange { uid, gid, ..Default::default() };
        if location.kind() != Kind::Directory {
            let kept = without_set_id(self.credentials, permissions, old_gid);
            if kept != permissions {
                if !self.credentials.owns(old_uid) {
                    return Err(Errno::EPERM);
                }
                change.permissions = Some(kept);
            }
        }
        self.apply(location, &change)
    }

    /// Sets access and modification time.
    ///
    /// # Errors
    /// `EROFS`; `EPERM` for who is not the owner, `EACCES` for who may not even write and wants
    /// the present time.
    pub fn change_times(
        &self,
        location: &Location,
        accessed: TimeChange,
        modified: TimeChange,
    ) -> Result<(), Errno> {
        if accessed == TimeChange::Keep && modified == TimeChange::Keep {
            return Ok(());
        }
        location.mount().check_writable()?;
        if !self.credentials.owns(location.inode().access().0) {
            if accessed != TimeChange::Now || modified != TimeChange::Now {
                return Err(Errno::EPERM);
            }
            self.credentials.check(&**location.inode(), Access::WRITE)?;
        }
        let time = |change| match change {
            TimeChange::Keep => None,
            TimeChange::Now => Some(self.now),
            TimeChange::To(time) => Some(time),
        };
        let change = AttributeChange {
            accessed: time(accessed),
            modified: time(modified),
            ..Default::default()
        };
        self.apply(location, &change)
    }

    /// Sets the size of a file that the caller found by path (`truncate(2)`).
    ///
    /// # Errors
    /// `EISDIR`, `EINVAL`, `EACCES`, `EROFS`, `ETXTBSY`, and those of the file system.
    pub fn truncate(&self, location: &Location, size: u64) -> Result<(), Errno> {
        match location.kind() {
            Kind::File => {}
            Kind::Directory => return Err(Errno::EISDIR),
            _ => return Err(Errno::EINVAL),
        }
        self.check(location, Access::WRITE)?;
        let _access = WriteAccess::take(location.inode())?;
        self.truncate_open(location, size)
    }

    /// Sets the size of a file that is open for writing (`ftruncate(2)`).
    ///
    /// # Errors
    /// Those of the file system.
    pub fn truncate_open(&self, location: &Location, size: u64) -> Result<(), Errno> {
        location.inode().truncate(size, self.now)?;
        self.strip_set_id(location);
        let inode = location.inode();
        self.namespace.notify(&Event {
            kind: EventKind::Modified,
            inode,
            dentry: Some(location.dentry()),
            name: None,
        });
        Ok(())
    }

    /// Clears set-id bits because the file's data changes, unless the writer may keep them. To
    /// be called after each write by whoever writes.
    pub fn strip_set_id(&self, location: &Location) {
        let (_, gid, permissions) = location.inode().access();
        let kept = without_set_id(self.credentials, permissions, gid);
        if kept != permissions && !self.credentials.can(Capability::Fsetid) {
            let change = AttributeChange { permissions: Some(kept), ..Default::default() };
            // The write has happened; a file system without permissions has none to clear.
            let _ = location.inode().set_attributes(&change, self.now);
        }
    }

    /// The text of a symbolic link.
    ///
    /// # Errors
    /// `EINVAL` if it is none.
    pub fn read_link(&self, location: &Location) -> Result<Vec<u8>, Errno> {
        let text = location.inode().read_link()?;
        location.accessed(self.now);
        Ok(text)
    }

    fn apply(&self, location: &Location, change: &AttributeChange) -> Result<(), Errno> {
        let inode = location.inode();
        inode.set_attributes(change, self.now)?;
        self.namespace.notify(&Event {
            kind: EventKind::Attributes,
            inode,
            dentry: Some(location.dentry()),
            name: None,
        });
        Ok(())
    }
}

/// Set-group-ID without group execution means something else, and stays for who may set it.
fn without_set_id(credentials: &Credentials, permissions: u16, gid: u32) -> u16 {
    let kept = permissions & !mode::SET_UID;
    if kept & mode::GROUP_EXECUTE != 0 {
        kept & !mode::SET_GID
    } else {
        credentials.limit_set_gid(kept, gid)
    }
}

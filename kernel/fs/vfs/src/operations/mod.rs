//! The operations of Linux on paths, with its checks in its order of errors.

mod attributes;
mod make;
mod open;
mod remove;
mod rename;
mod xattr;

pub use attributes::TimeChange;
pub use open::{OpenHow, Opened};

use errno::Errno;

use crate::context::Context;
use crate::credentials::Access;
use crate::dentry::Dentry;
use crate::inode::{Inode, NewInode, NewKind};
use crate::location::Location;
use crate::types::{Kind, mode};

impl Context<'_> {
    /// Whether names may be made in, or removed from, `directory`.
    fn check_change(&self, directory: &Location) -> Result<(), Errno> {
        directory.mount().check_writable()?;
        self.credentials.check(&**directory.inode(), Access::WRITE.and(Access::EXECUTE))
    }

    /// Whether `child` may lose its name in `directory`.
    fn check_remove(&self, directory: &Location, child: &Dentry) -> Result<(), Errno> {
        self.check_change(directory)?;
        let (directory_owner, _, permissions) = directory.inode().access();
        let (owner, _, _) = child.inode().access();
        let sticky = permissions & mode::STICKY != 0;
        if sticky && self.credentials.uid != directory_owner && !self.credentials.owns(owner) {
            return Err(Errno::EPERM);
        }
        Ok(())
    }

    /// The attributes of a new inode in `directory`.
    fn new_inode<'k>(
        &self,
        directory: &dyn Inode,
        kind: NewKind<'k>,
        permissions: u16,
    ) -> NewInode<'k> {
        let (_, directory_gid, directory_permissions) = directory.access();
        let mut permissions = match kind {
            NewKind::Symlink(_) => 0o777,
            _ => permissions & mode::ALL & !self.umask,
        };
        let mut gid = self.credentials.gid;
        if directory_permissions & mode::SET_GID != 0 {
            gid = directory_gid;
            if kind.kind() == Kind::Directory {
                permissions |= mode::SET_GID;
            } else if permissions & mode::GROUP_EXECUTE != 0 {
                permissions = self.credentials.limit_set_gid(permissions, gid);
            }
        }
        NewInode { kind, permissions, uid: self.credentials.uid, gid }
    }
}

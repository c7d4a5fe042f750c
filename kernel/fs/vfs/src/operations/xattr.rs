//! Extended attributes, with the rules of their name spaces (`xattr(7)`).

use alloc::vec::Vec;

use errno::Errno;

use crate::NAME_MAX;
use crate::context::Context;
use crate::credentials::{Access, Capability};
use crate::inode::XattrMode;
use crate::location::Location;
use crate::notify::{Event, EventKind};
use crate::types::{Kind, mode};

/// The longest value, in bytes.
const VALUE_MAX: usize = 65_536;

impl Context<'_> {
    /// The value of an extended attribute.
    ///
    /// # Errors
    /// Those of `getxattr(2)`.
    pub fn xattr(&self, location: &Location, name: &[u8]) -> Result<Vec<u8>, Errno> {
        self.check_xattr(location, name, Access::READ)?;
        location.inode().xattr(name)
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// Those of `setxattr(2)`.
    pub fn set_xattr(
        &self,
        location: &Location,
        name: &[u8],
        value: &[u8],
        mode: XattrMode,
    ) -> Result<(), Errno> {
        if value.len() > VALUE_MAX {
            return Err(Errno::E2BIG);
        }
        self.check_xattr(location, name, Access::WRITE)?;
        location.inode().set_xattr(name, value, mode, self.now)?;
        self.xattr_changed(location);
        Ok(())
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// Those of `removexattr(2)`.
    pub fn remove_xattr(&self, location: &Location, name: &[u8]) -> Result<(), Errno> {
        self.check_xattr(location, name, Access::WRITE)?;
        location.inode().remove_xattr(name, self.now)?;
        self.xattr_changed(location);
        Ok(())
    }

    /// The names of the extended attributes that the caller may see.
    pub fn xattr_names(&self, location: &Location) -> Vec<Vec<u8>> {
        let mut names = location.inode().xattr_names();
        if !self.credentials.can(Capability::SysAdmin) {
            names.retain(|name| !name.starts_with(b"trusted."));
        }
        names
    }

    fn xattr_changed(&self, location: &Location) {
        let inode = location.inode();
        self.namespace.notify(&Event {
            kind: EventKind::Attributes,
            inode,
            dentry: Some(location.dentry()),
            name: None,
        });
    }

    fn check_xattr(&self, location: &Location, name: &[u8], wanted: Access) -> Result<(), Errno> {
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(Errno::ERANGE);
        }
        let write = wanted == Access::WRITE;
        if write {
            location.mount().check_writable()?;
        }
        let refused = if write { Errno::EPERM } else { Errno::ENODATA };
        let Some(dot) = name.iter().position(|&byte| byte == b'.') else {
            return Err(Errno::EOPNOTSUPP);
        };
        let (space, rest) = (&name[..dot], &name[dot + 1..]);
        if rest.is_empty() {
            return Err(Errno::EINVAL);
        }
        match space {
            b"user" => {
                if !matches!(location.kind(), Kind::File | Kind::Directory) {
                    return Err(refused);
                }
                let (uid, _, permissions) = location.inode().access();
                let sticky = location.kind() == Kind::Directory && permissions & mode::STICKY != 0;
                if write && sticky && !self.credentials.owns(uid) {
                    return Err(Errno::EPERM);
                }
                self.credentials.check(&**location.inode(), wanted)
            }
            b"trusted" => {
                if self.credentials.can(Capability::SysAdmin) {
                    Ok(())
                } else {
                    Err(refused)
                }
            }
            b"security" if !write => Ok(()),
            b"security" => {
                let needed =
                    if rest == b"capability" { Capability::Setfcap } else { Capability::SysAdmin };
                if self.credentials.can(needed) { Ok(()) } else { Err(Errno::EPERM) }
            }
            _ => Err(Errno::EOPNOTSUPP),
        }
    }
}

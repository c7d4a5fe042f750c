//! Who asks for an operation on a path.

use alloc::sync::Arc;

use errno::Errno;

use crate::credentials::{Access, Credentials};
use crate::location::Location;
use crate::mount::Namespace;
use crate::types::{Kind, Timestamp};

/// The circumstances of a system call: where paths start, who asks, what time it is.
///
/// Its methods are the operations on paths. `at` is the directory that a relative path starts
/// from; `None` is the working directory.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// What is mounted where.
    pub namespace: &'a Arc<Namespace>,
    /// The root directory of the process.
    pub root: &'a Location,
    /// The working directory.
    pub cwd: &'a Location,
    /// The identity.
    pub credentials: &'a Credentials,
    /// Permission bits that new files do not get.
    pub umask: u16,
    /// The time of the operation.
    pub now: Timestamp,
}

impl Context<'_> {
    /// Checks that `wanted` is allowed on `location`, the mount's restrictions included.
    ///
    /// # Errors
    /// `EACCES`; `EROFS` for writing to what cannot change.
    pub fn check(&self, location: &Location, wanted: Access) -> Result<(), Errno> {
        if wanted.has(Access::WRITE)
            && matches!(location.kind(), Kind::File | Kind::Directory | Kind::Symlink)
        {
            location.mount().check_writable()?;
        }
        if wanted.has(Access::EXECUTE)
            && location.kind() == Kind::File
            && location.mount().flags().has(crate::MountFlags::NO_EXECUTE)
        {
            return Err(Errno::EACCES);
        }
        self.credentials.check(&**location.inode(), wanted)
    }
}

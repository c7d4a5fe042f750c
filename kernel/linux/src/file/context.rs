//! Where a process's paths start.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU16, Ordering};

use lock::SpinLock;
use vfs::{Context, Credentials, Location, Namespace};

use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::{rank, time};
use errno::Errno;

/// Root, working directory and umask of a process.
pub struct FileContext {
    namespace: Arc<Namespace>,
    places: SpinLock<(Location, Location)>,
    umask: AtomicU16,
}

impl FileContext {
    /// The namespace's root as root and working directory.
    pub fn new(namespace: Arc<Namespace>) -> Self {
        let root = namespace.top(namespace.root().clone());
        Self {
            namespace,
            places: SpinLock::new(rank::FILE_CONTEXT, (root.clone(), root)),
            umask: AtomicU16::new(0o022),
        }
    }

    /// A copy for a forked process.
    pub fn duplicate(&self) -> Self {
        Self {
            namespace: Arc::clone(&self.namespace),
            places: SpinLock::new(rank::FILE_CONTEXT, self.places()),
            umask: AtomicU16::new(self.umask()),
        }
    }

    /// Root and working directory.
    pub fn places(&self) -> (Location, Location) {
        self.places.lock().clone()
    }

    /// Changes the root directory.
    pub fn set_root(&self, root: Location) {
        let old = core::mem::replace(&mut self.places.lock().0, root);
        drop(old);
    }

    /// Changes the working directory.
    pub fn set_cwd(&self, cwd: Location) {
        let old = core::mem::replace(&mut self.places.lock().1, cwd);
        drop(old);
    }

    /// Permission bits that new files do not get.
    pub fn umask(&self) -> u16 {
        self.umask.load(Ordering::Relaxed)
    }

    /// Changes the umask; gives the old one.
    pub fn set_umask(&self, mask: u16) -> u16 {
        self.umask.swap(mask & 0o777, Ordering::Relaxed)
    }

    /// What is mounted where.
    pub fn namespace(&self) -> &Arc<Namespace> {
        &self.namespace
    }

    /// Calls `with` with the context of a file-system operation.
    pub fn with<T>(&self, credentials: &Credentials, with: impl FnOnce(&Context<'_>) -> T) -> T {
        let (root, cwd) = self.places();
        with(&Context {
            namespace: &self.namespace,
            root: &root,
            cwd: &cwd,
            credentials,
            umask: self.umask(),
            now: time::timestamp(),
        })
    }
}

/// `AT_FDCWD`.
const AT_FDCWD: i32 = -100;

impl Thread {
    /// Calls `with` with the thread's file-system context.
    pub fn with_context<T>(&self, with: impl FnOnce(&Context<'_>) -> T) -> T {
        let identity = self.identity();
        self.context().with(&identity.checks, with)
    }

    /// The directory that a relative path starts from; `None` is the working directory. For an
    /// absolute path the descriptor does not matter.
    pub fn directory(&self, descriptor: u64, path: &[u8]) -> Result<Option<Location>> {
        if descriptor as i32 == AT_FDCWD || path.first() == Some(&b'/') {
            return Ok(None);
        }
        let file = self.files().get_any(descriptor)?;
        match &file.location {
            Some(location) => Ok(Some(location.clone())),
            None => fail(Errno::ENOTDIR),
        }
    }
}

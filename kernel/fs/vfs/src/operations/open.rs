//! `open`.

use alloc::sync::Arc;

use errno::Errno;

use crate::context::Context;
use crate::credentials::Access;
use crate::dentry::Dentry;
use crate::exclusion::WriteAccess;
use crate::inode::{Content, NewKind};
use crate::location::Location;
use crate::mount::MountFlags;
use crate::notify::{Event, EventKind};
use crate::types::{Kind, mode};
use crate::walk::{Final, Last, Resolve, Walk};

/// How to open: the flags of `open(2)` one by one.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenHow {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Make the file if it does not exist (`O_CREAT`).
    pub create: bool,
    /// It must not exist (`O_EXCL`).
    pub exclusive: bool,
    /// Cut a regular file to size 0 (`O_TRUNC`).
    pub truncate: bool,
    /// It must be a directory (`O_DIRECTORY`).
    pub directory: bool,
    /// Do not follow a link at the end (`O_NOFOLLOW`).
    pub no_follow: bool,
    /// Only the place (`O_PATH`).
    pub path_only: bool,
    /// Make a file without a name in this directory (`O_TMPFILE`).
    pub unnamed: bool,
    /// Leave the access time alone (`O_NOATIME`).
    pub no_access_time: bool,
    /// Permission bits of a new file, before the umask.
    pub permissions: u16,
    /// Restrictions of the walk.
    pub resolve: Resolve,
}

/// An opened file.
#[derive(Clone)]
pub struct Opened {
    /// What was opened.
    pub location: Location,
    /// Whether it is new.
    pub created: bool,
    /// The content, of regular files that do not keep it in pages.
    pub content: Option<Arc<dyn Content>>,
    /// Of a regular file opened for writing: keeps it from being executed.
    pub write: Option<WriteAccess>,
}

impl Context<'_> {
    /// Opens what `path` names, or makes it.
    ///
    /// Devices, fifos and sockets are found and checked; what opening them means is the
    /// caller's to do.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub fn open(&self, at: Option<&Location>, path: &[u8], how: &OpenHow) -> Result<Opened, Errno> {
        if how.unnamed {
            return self.open_unnamed(at, path, how);
        }
        let (location, created) = if how.create && !how.path_only {
            self.find_or_create(at, path, how)?
        } else {
            let end = if how.no_follow { Final::NoFollow } else { Final::Follow };
            (self.resolve(at, path, end, how.resolve)?, false)
        };
        self.open_found(location, created, how)
    }

    /// Opens a place that was found before: for `open` on a path of length 0, `/proc/self/fd`,
    /// or file handles.
    ///
    /// # Errors
    /// Those of `open(2)`.
    pub fn open_found(
        &self,
        location: Location,
        created: bool,
        how: &OpenHow,
    ) -> Result<Opened, Errno> {
        let kind = location.kind();
        if how.directory && kind != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        if how.path_only {
            return Ok(Opened { location, created, content: None, write: None });
        }
        match kind {
            Kind::Symlink => return Err(Errno::ELOOP),
            Kind::Directory if how.write || how.truncate || how.create => {
                return Err(Errno::EISDIR);
            }
            _ if kind.is_device() && location.mount().flags().has(MountFlags::NO_DEVICES) => {
                return Err(Errno::EACCES);
            }
            _ => {}
        }
        if !created {
            let mut wanted = Access::NONE;
            if how.read {
                wanted = wanted.and(Access::READ);
            }
            if how.write || how.truncate {
                wanted = wanted.and(Access::WRITE);
            }
            self.check(&location, wanted)?;
        }
        if how.no_access_time && !self.credentials.owns(location.inode().access().0) {
            return Err(Errno::EPERM);
        }
        if kind != Kind::File {
            return Ok(Opened { location, created, content: None, write: None });
        }
        let content = location.inode().open()?;
        let writes = (how.write || how.truncate) && content.is_none();
        let write = writes.then(|| WriteAccess::take(location.inode())).transpose()?;
        if how.truncate && !created && content.is_none() {
            location.inode().truncate(0, self.now)?;
            self.strip_set_id(&location);
            let inode = location.inode();
            self.namespace.notify(&Event {
                kind: EventKind::Modified,
                inode,
                dentry: Some(location.dentry()),
                name: None,
            });
        }
        Ok(Opened { location, created, content, write })
    }

    fn find_or_create(
        &self,
        at: Option<&Location>,
        path: &[u8],
        how: &OpenHow,
    ) -> Result<(Location, bool), Errno> {
        let mut walk = Walk::new(self, at, path, how.resolve)?;
        loop {
            let slash = walk.run(None)?;
            let Last::Name(name) = walk.take_last() else {
                return Err(if how.exclusive { Errno::EEXIST } else { Errno::EISDIR });
            };
            if slash {
                return Err(Errno::EISDIR);
            }
            let directory = walk.location();
            let (child, created) = self.child_or_create(&directory, &name, how)?;
            if created {
                let event = Event {
                    kind: EventKind::Created,
                    inode: child.inode(),
                    dentry: None,
                    name: Some((directory.dentry(), &name)),
                };
                self.namespace.notify(&event);
                return Ok((Location::new(directory.mount().clone(), child), true));
            }
            if how.exclusive {
                return Err(Errno::EEXIST);
            }
            if child.kind() != Kind::Symlink || how.no_follow {
                self.check_planted(&directory, &child)?;
                walk.enter(child)?;
                return Ok((walk.location(), false));
            }
            if !walk.follow_last(&child)? {
                return Ok((walk.location(), false));
            }
        }
    }

    /// Refuses what somebody else may have put where the caller wanted to make a file: other
    /// things than files and fifos in a directory like `/tmp`.
    fn check_planted(&self, directory: &Location, child: &Dentry) -> Result<(), Errno> {
        let (directory_uid, _, permissions) = directory.inode().access();
        let (uid, _, _) = child.inode().access();
        let shared = permissions & mode::STICKY != 0 && permissions & 0o002 != 0;
        let harmless = matches!(child.kind(), Kind::File | Kind::Fifo | Kind::Directory);
        if harmless || !shared || uid == directory_uid || uid == self.credentials.uid {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }

    fn child_or_create(
        &self,
        directory: &Location,
        name: &[u8],
        how: &OpenHow,
    ) -> Result<(Arc<Dentry>, bool), Errno> {
        let superblock = directory.mount().superblock();
        match directory.dentry().child(superblock, name) {
            Err(Errno::ENOENT) => {}
            found => return Ok((found?, false)),
        }
        let mut locked = directory.dentry().lock();
        match locked.child(name) {
            Err(Errno::ENOENT) => {}
            found => return Ok((found?, false)),
        }
        self.check_change(directory)?;
        let new = self.new_inode(&**directory.inode(), NewKind::File, how.permissions);
        let inode = locked.inode().create(name, &new, self.now)?;
        let child = locked.insert(name, inode);
        drop(locked);
        superblock.remember(child.clone());
        Ok((child, true))
    }

    fn open_unnamed(
        &self,
        at: Option<&Location>,
        path: &[u8],
        how: &OpenHow,
    ) -> Result<Opened, Errno> {
        let directory = self.resolve(at, path, Final::Follow, how.resolve)?;
        if directory.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        self.check_change(&directory)?;
        let new = self.new_inode(&**directory.inode(), NewKind::File, how.permissions);
        let inode = directory.inode().create_unnamed(&new, self.now)?;
        let name = alloc::format!("#{}", inode.metadata().number);
        let parent = Some(directory.dentry().clone());
        let dentry = Dentry::unlinked(inode, parent, name.as_bytes());
        let location = Location::new(directory.mount().clone(), dentry);
        let write = how.write.then(|| WriteAccess::take(location.inode())).transpose()?;
        Ok(Opened { location, created: true, content: None, write })
    }
}

//! Following a path.

use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;

use crate::context::Context;
use crate::credentials::Access;
use crate::dentry::Dentry;
use crate::inode::LinkTarget;
use crate::location::Location;
use crate::mount::Mount;
use crate::types::Kind;
use crate::{NAME_MAX, PATH_MAX};

/// How many symbolic links a path may lead through.
const MAX_LINKS: usize = 40;

/// Restrictions of `openat2(2)`; the default is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resolve {
    /// No mount may be crossed (`RESOLVE_NO_XDEV`).
    pub no_mounts: bool,
    /// No magic link may be followed (`RESOLVE_NO_MAGICLINKS`).
    pub no_magic_links: bool,
    /// No symbolic link may be followed (`RESOLVE_NO_SYMLINKS`).
    pub no_symlinks: bool,
    /// Nothing outside the starting directory (`RESOLVE_BENEATH`).
    pub beneath: bool,
    /// The starting directory is the root (`RESOLVE_IN_ROOT`).
    pub in_root: bool,
}

/// What to do with a symbolic link, or nothing, at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Final {
    /// Follow it.
    Follow,
    /// Return the link itself (`AT_SYMLINK_NOFOLLOW`, `O_NOFOLLOW`).
    NoFollow,
}

/// The end of a path whose directory was found.
#[derive(Debug, Clone)]
pub struct Parent {
    /// The directory.
    pub directory: Location,
    /// What the path ends in.
    pub last: Last,
    /// Whether a slash follows the last name, so that it must be a directory.
    pub slash: bool,
}

/// The last part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Last {
    /// A name in the directory.
    Name(Vec<u8>),
    /// `.`
    Current,
    /// `..`, already applied.
    Parent,
    /// The path was `/`.
    Root,
}

/// What is still to be walked.
#[derive(Clone)]
enum Text<'p> {
    Borrowed(&'p [u8]),
    Owned(Arc<[u8]>),
}

impl core::ops::Deref for Text<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(text) => text,
            Self::Owned(text) => text,
        }
    }
}

struct Pending<'p> {
    text: Text<'p>,
    position: usize,
}

pub(crate) struct Walk<'c, 'p> {
    context: &'c Context<'c>,
    resolve: Resolve,
    root: Location,
    mount: Arc<Mount>,
    dentry: Arc<Dentry>,
    /// The text being walked.
    text: Text<'p>,
    position: usize,
    /// Where symbolic links interrupted other texts, outermost first.
    pending: Vec<Pending<'p>>,
    links: usize,
    went_up: bool,
    last: Last,
}

impl Context<'_> {
    /// Finds what `path` names. An empty path is an error here; see [`Context::resolve_empty`].
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `EACCES`, `ELOOP`, `ENAMETOOLONG`; with restrictions also `EXDEV`
    /// and `EAGAIN`.
    pub fn resolve(
        &self,
        at: Option<&Location>,
        path: &[u8],
        end: Final,
        resolve: Resolve,
    ) -> Result<Location, Errno> {
        let mut walk = Walk::new(self, at, path, resolve)?;
        let slash = walk.run(Some(end))?;
        if slash && walk.dentry.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR);
        }
        Ok(walk.location())
    }

    /// As [`Context::resolve`] without restrictions, but an empty path names `at` itself
    /// (`AT_EMPTY_PATH`).
    ///
    /// # Errors
    /// As [`Context::resolve`].
    pub fn resolve_empty(
        &self,
        at: Option<&Location>,
        path: &[u8],
        end: Final,
    ) -> Result<Location, Errno> {
        if path.is_empty() {
            return Ok(at.unwrap_or(self.cwd).clone());
        }
        self.resolve(at, path, end, Resolve::default())
    }

    /// Finds the directory that holds the last name of `path`, which need not exist.
    ///
    /// # Errors
    /// As [`Context::resolve`].
    pub fn resolve_parent(
        &self,
        at: Option<&Location>,
        path: &[u8],
        resolve: Resolve,
    ) -> Result<Parent, Errno> {
        let mut walk = Walk::new(self, at, path, resolve)?;
        let slash = walk.run(None)?;
        let last = walk.take_last();
        Ok(Parent { directory: walk.location(), last, slash })
    }
}

impl<'c, 'p> Walk<'c, 'p> {
    pub(crate) fn new(
        context: &'c Context<'c>,
        at: Option<&Location>,
        path: &'p [u8],
        resolve: Resolve,
    ) -> Result<Self, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        if path.len() >= PATH_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let absolute = path[0] == b'/';
        let start = at.unwrap_or(context.cwd);
        if absolute && resolve.beneath {
            return Err(Errno::EXDEV);
        }
        let root = if resolve.beneath || resolve.in_root { start } else { context.root };
        let start = if absolute { root } else { start };
        Ok(Self {
            context,
            resolve,
            root: root.clone(),
            mount: start.mount().clone(),
            dentry: start.dentry().clone(),
            text: Text::Borrowed(path),
            position: 0,
            pending: Vec::new(),
            links: 0,
            went_up: false,
            last: Last::Root,
        })
    }

    /// Walks all names; with no `end`, all but the last, which goes to `self.last`. Tells
    /// whether slashes follow the last name.
    pub(crate) fn run(&mut self, end: Option<Final>) -> Result<bool, Errno> {
        let renames = self.mount.superblock().renames();
        let changes = self.context.namespace.changes();
        let slash = self.names(end)?;
        let scoped = self.resolve.beneath || self.resolve.in_root;
        if scoped && self.went_up {
            // A rename on the way could have led `..` out of the directory.
            let same = self.mount.superblock().renames() == renames
                && self.context.namespace.changes() == changes;
            if !same {
                return Err(Errno::EAGAIN);
            }
        }
        Ok(slash)
    }

    fn names(&mut self, end: Option<Final>) -> Result<bool, Errno> {
        loop {
            // Slashes before a name.
            while self.text.get(self.position) == Some(&b'/') {
                self.position += 1;
            }
            if self.position == self.text.len() {
                match self.pending.pop() {
                    Some(outer) => (self.text, self.position) = (outer.text, outer.position),
                    // The path was made of slashes alone, or ended in a link to such.
                    None => return Ok(false),
                }
                continue;
            }
            let text = self.text.clone();
            let rest = &text[self.position..];
            let length = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            let name = &rest[..length];
            self.position += length;
            let last = self.is_last();
            let slash = last && self.has_slash();
            if self.dentry.kind() != Kind::Directory {
                return Err(Errno::ENOTDIR);
            }
            self.context.credentials.check(&**self.dentry.inode(), Access::EXECUTE)?;
            match name {
                b"." => self.last = Last::Current,
                b".." => {
                    self.up()?;
                    self.last = Last::Parent;
                }
                _ if name.len() > NAME_MAX => return Err(Errno::ENAMETOOLONG),
                _ if last && end.is_none() => {
                    self.last = Last::Name(name.to_vec());
                    return Ok(slash);
                }
                _ => {
                    let follow = !last || slash || end == Some(Final::Follow);
                    self.down(name, follow)?;
                }
            }
            // A link that was followed may have put more names here.
            if self.is_last() {
                return Ok(slash);
            }
        }
    }

    /// Whether only slashes follow.
    fn is_last(&self) -> bool {
        let slashes = |text: &[u8]| text.iter().all(|&byte| byte == b'/');
        slashes(&self.text[self.position..])
            && self.pending.iter().all(|outer| slashes(&outer.text[outer.position..]))
    }

    /// Whether anything follows, given that it is only slashes.
    fn has_slash(&self) -> bool {
        self.position < self.text.len()
            || self.pending.iter().any(|outer| outer.position < outer.text.len())
    }

    fn down(&mut self, name: &[u8], follow: bool) -> Result<(), Errno> {
        let child = self.dentry.child(self.mount.superblock(), name)?;
        if child.kind() == Kind::Symlink && follow {
            return self.follow(&child);
        }
        self.enter(child)
    }

    /// Enters what is mounted here.
    #[inline]
    fn cross(&mut self) -> Result<(), Errno> {
        while let Some(mount) = self.context.namespace.covering(&self.mount, &self.dentry) {
            if self.resolve.no_mounts {
                return Err(Errno::EXDEV);
            }
            self.dentry = mount.root().clone();
            self.mount = mount;
        }
        Ok(())
    }

    fn up(&mut self) -> Result<(), Errno> {
        self.went_up = true;
        loop {
            let at_root = Arc::ptr_eq(&self.dentry, self.root.dentry())
                && Arc::ptr_eq(&self.mount, self.root.mount());
            if at_root {
                return if self.resolve.beneath { Err(Errno::EXDEV) } else { Ok(()) };
            }
            if !Arc::ptr_eq(&self.dentry, self.mount.root()) {
                if let Some(parent) = self.dentry.parent() {
                    self.dentry = parent;
                }
                return self.cross();
            }
            let Some(place) = self.mount.parent().cloned() else { return Ok(()) };
            if self.resolve.no_mounts {
                return Err(Errno::EXDEV);
            }
            (self.mount, self.dentry) = place.into_parts();
        }
    }

    fn follow(&mut self, link: &Arc<Dentry>) -> Result<(), Errno> {
        self.links += 1;
        if self.resolve.no_symlinks || self.links > MAX_LINKS {
            return Err(Errno::ELOOP);
        }
        let scoped = self.resolve.beneath || self.resolve.in_root;
        match link.inode().follow()? {
            LinkTarget::Jump(_) if self.resolve.no_magic_links => Err(Errno::ELOOP),
            LinkTarget::Jump(_) if scoped => Err(Errno::EXDEV),
            LinkTarget::Jump(place) => {
                if self.resolve.no_mounts && !Arc::ptr_eq(place.mount(), &self.mount) {
                    return Err(Errno::EXDEV);
                }
                (self.mount, self.dentry) = place.into_parts();
                Ok(())
            }
            LinkTarget::Path(path) if path.is_empty() => Err(Errno::ENOENT),
            LinkTarget::Path(path) => {
                if path[0] == b'/' {
                    if self.resolve.beneath {
                        return Err(Errno::EXDEV);
                    }
                    if self.resolve.no_mounts && !Arc::ptr_eq(self.root.mount(), &self.mount) {
                        return Err(Errno::EXDEV);
                    }
                    (self.mount, self.dentry) = self.root.clone().into_parts();
                }
                let text = Text::Owned(path.into());
                let outer = core::mem::replace(&mut self.text, text);
                self.pending.push(Pending { text: outer, position: self.position });
                self.position = 0;
                Ok(())
            }
        }
    }

    /// The last name of the path, after `run(None)`.
    pub(crate) fn take_last(&mut self) -> Last {
        core::mem::replace(&mut self.last, Last::Root)
    }

    /// Where the walk is.
    pub(crate) fn location(&self) -> Location {
        Location::new(self.mount.clone(), self.dentry.clone())
    }

    /// Steps to a child of the current directory, and into what is mounted there.
    pub(crate) fn enter(&mut self, child: Arc<Dentry>) -> Result<(), Errno> {
        self.dentry = child;
        self.cross()
    }

    /// Follows a link in the current directory; tells whether names are left to walk.
    pub(crate) fn follow_last(&mut self, link: &Arc<Dentry>) -> Result<bool, Errno> {
        self.follow(link)?;
        Ok(!self.is_last())
    }
}

//! The names in a directory.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::ops::{Bound, ControlFlow};

use erofs::Nid;
use errno::Errno;
use hashbrown::HashMap;
use vfs::{DirectoryEntry, Kind};

use crate::lower::{self, Lower, damaged};
use crate::node::Node;

/// A directory: that of the image, or names of its own.
pub(crate) struct Directory {
    lower: Option<erofs::Inode>,
    /// `None` while the directory is as in the image.
    own: Option<Names>,
    /// It has no name any more, and takes none.
    pub(crate) removed: bool,
}

/// Names with places that stay while others come and go.
struct Names {
    by_name: HashMap<Arc<[u8]>, Named>,
    by_cookie: BTreeMap<u64, Arc<[u8]>>,
    next: u64,
}

struct Named {
    cookie: u64,
    child: Child,
}

/// What a name stands for.
#[derive(Clone)]
pub(crate) enum Child {
    Node(Arc<Node>),
    Lower(Nid, Kind),
}

impl Child {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Node(node) => node.kind,
            Self::Lower(_, kind) => *kind,
        }
    }

    fn number(&self) -> u64 {
        match self {
            Self::Node(node) => node.number,
            Self::Lower(nid, _) => nid.0,
        }
    }
}

/// Cookies up to this are for `.` and `..`.
const DOTS: u64 = 2;

impl Directory {
    pub(crate) fn empty() -> Self {
        let own = Names { by_name: HashMap::new(), by_cookie: BTreeMap::new(), next: DOTS + 1 };
        Self { lower: None, own: Some(own), removed: false }
    }

    pub(crate) fn of(inode: erofs::Inode) -> Self {
        Self { lower: Some(inode), own: None, removed: false }
    }

    pub(crate) fn get(&self, lower: Option<&Lower>, name: &[u8]) -> Result<Child, Errno> {
        if self.removed {
            return Err(Errno::ENOENT);
        }
        if let Some(own) = &self.own {
            return own.by_name.get(name).map(|named| named.child.clone()).ok_or(Errno::ENOENT);
        }
        let (Some(lower), Some(inode)) = (lower, &self.lower) else { return Err(Errno::ENOENT) };
        let entry = lower.image.lookup(inode, name).map_err(damaged)?.ok_or(Errno::ENOENT)?;
        child(lower, &entry)
    }

    /// Whether there is no name.
    pub(crate) fn is_empty(&self, lower: Option<&Lower>) -> Result<bool, Errno> {
        let mut empty = true;
        self.visit(lower, 0, &mut |_| {
            empty = false;
            ControlFlow::Break(())
        })?;
        Ok(empty)
    }

    /// Copies the names of the image, before the first change.
    fn own(&mut self, lower: Option<&Lower>) -> Result<&mut Names, Errno> {
        if self.own.is_none() {
            let mut names =
                Names { by_name: HashMap::new(), by_cookie: BTreeMap::new(), next: DOTS + 1 };
            if let (Some(lower), Some(inode)) = (lower, &self.lower) {
                for entry in lower.image.entries(inode, 0).map_err(damaged)? {
                    let entry = entry.map_err(damaged)?;
                    if entry.name != b"." && entry.name != b".." {
                        // The cookie that the image's directory gave it.
                        names.put(entry.name, entry.next, child(lower, &entry)?);
                    }
                    names.next = names.next.max(entry.next + 1);
                }
            }
            self.own = Some(names);
        }
        self.own.as_mut().ok_or(Errno::EUCLEAN)
    }

    /// Adds a name that is not there yet.
    pub(crate) fn insert(
        &mut self,
        lower: Option<&Lower>,
        name: &[u8],
        child: Child,
    ) -> Result<(), Errno> {
        let names = self.own(lower)?;
        let cookie = names.next;
        names.next += 1;
        names.put(name, cookie, child);
        Ok(())
    }

    /// Lets an existing name stand for something else.
    pub(crate) fn replace(
        &mut self,
        lower: Option<&Lower>,
        name: &[u8],
        child: Child,
    ) -> Result<Child, Errno> {
        let named = self.own(lower)?.by_name.get_mut(name).ok_or(Errno::ENOENT)?;
        Ok(core::mem::replace(&mut named.child, child))
    }

    /// Takes a name out.
    pub(crate) fn remove(&mut self, lower: Option<&Lower>, name: &[u8]) -> Result<Child, Errno> {
        let names = self.own(lower)?;
        let named = names.by_name.remove(name).ok_or(Errno::ENOENT)?;
        names.by_cookie.remove(&named.cookie);
        Ok(named.child)
    }

    /// Makes sure that the changes that follow cannot fail for the image's sake.
    pub(crate) fn prepare(&mut self, lower: Option<&Lower>) -> Result<(), Errno> {
        self.own(lower).map(|_| ())
    }

    pub(crate) fn visit(
        &self,
        lower: Option<&Lower>,
        cookie: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        if let Some(own) = &self.own {
            let rest = (Bound::Excluded(cookie.max(DOTS)), Bound::Unbounded);
            for (&cookie, name) in own.by_cookie.range(rest) {
                let Some(named) = own.by_name.get(name) else { continue };
                let (number, kind) = (named.child.number(), named.child.kind());
                if visit(&DirectoryEntry { name, number, kind, cookie }).is_break() {
                    break;
                }
            }
            return Ok(());
        }
        let (Some(lower), Some(inode)) = (lower, &self.lower) else { return Ok(()) };
        let start = if cookie <= DOTS { 0 } else { cookie };
        for entry in lower.image.entries(inode, start).map_err(damaged)? {
            let entry = entry.map_err(damaged)?;
            if entry.name == b"." || entry.name == b".." {
                continue;
            }
            let kind = child(lower, &entry)?.kind();
            let found =
                DirectoryEntry { name: entry.name, number: entry.nid.0, kind, cookie: entry.next };
            if visit(&found).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Takes all inodes of its own out, for taking a tree down without recursion.
    pub(crate) fn take_nodes(&mut self) -> impl Iterator<Item = Arc<Node>> + use<> {
        let names = self.own.take().map(|names| names.by_name).unwrap_or_default();
        names.into_values().filter_map(|named| match named.child {
            Child::Node(node) => Some(node),
            Child::Lower(..) => None,
        })
    }
}

impl Names {
    fn put(&mut self, name: &[u8], cookie: u64, child: Child) {
        let name: Arc<[u8]> = name.into();
        self.by_cookie.insert(cookie, name.clone());
        self.by_name.insert(name, Named { cookie, child });
    }
}

fn child(lower: &Lower, entry: &erofs::Entry<'_>) -> Result<Child, Errno> {
    let kind = match entry.kind {
        Some(kind) => kind,
        None => lower.image.inode(entry.nid).map_err(damaged)?.kind,
    };
    Ok(Child::Lower(entry.nid, lower::kind(kind)))
}

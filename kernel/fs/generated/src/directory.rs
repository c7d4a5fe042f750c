//! Directories with fixed entries and entries that come and go.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use errno::Errno;
use vfs::{Attachment, DirectoryEntry, Inode, Kind, Metadata, NewInode, Timestamp};

use crate::Attributes;

/// Entries that come and go, such as the processes in `/proc`.
pub trait Listing: Send + Sync {
    /// The entry called `name`.
    ///
    /// # Errors
    /// `ENOENT`.
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno>;

    /// Visits the entries whose cookies are above `cookie`, in the order of their cookies. A
    /// cookie is any number from 1 to 2⁶² that stays with its entry, such as a process ID.
    ///
    /// # Errors
    /// `ENOENT` if what the directory stands for is gone.
    fn list(
        &self,
        cookie: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Errno>;
}

/// Cookies of fixed entries are below this, of others above.
const LISTED: u64 = 1 << 32;
/// Up to here they are for `.` and `..`.
const DOTS: u64 = 2;

/// A directory.
pub struct Directory {
    attributes: Attributes,
    names: BTreeMap<Vec<u8>, usize>,
    /// In the order in which they were added.
    fixed: Vec<(Vec<u8>, Arc<dyn Inode>)>,
    listing: Option<Box<dyn Listing>>,
    attachment: Attachment,
}

impl Directory {
    /// An empty directory.
    pub fn new(attributes: Attributes) -> Self {
        Self {
            attributes,
            names: BTreeMap::new(),
            fixed: Vec::new(),
            listing: None,
            attachment: Attachment::new(),
        }
    }

    /// Adds a fixed entry, in place of one of the same name.
    #[must_use]
    pub fn with(mut self, name: &str, inode: Arc<dyn Inode>) -> Self {
        let name = name.as_bytes().to_vec();
        match self.names.get(&name) {
            Some(&index) => self.fixed[index].1 = inode,
            None => {
                self.names.insert(name.clone(), self.fixed.len());
                self.fixed.push((name, inode));
            }
        }
        self
    }

    /// Adds entries that come and go. Names are then looked up each time.
    #[must_use]
    pub fn listing(mut self, listing: impl Listing + 'static) -> Self {
        self.listing = Some(Box::new(listing));
        self
    }

    /// The directory as an inode.
    pub fn into_inode(self) -> Arc<dyn Inode> {
        Arc::new(self)
    }
}

impl Inode for Directory {
    fn kind(&self) -> Kind {
        Kind::Directory
    }

    fn metadata(&self) -> Metadata {
        let folders = self.fixed.iter().filter(|(_, inode)| inode.kind() == Kind::Directory);
        let links = 2 + u32::try_from(folders.count()).unwrap_or(0);
        self.attributes.metadata(Kind::Directory, links, 0)
    }

    fn access(&self) -> (u32, u32, u16) {
        (self.attributes.uid, self.attributes.gid, self.attributes.permissions)
    }

    fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        if let Some(&index) = self.names.get(name) {
            return Ok(self.fixed[index].1.clone());
        }
        self.listing.as_ref().ok_or(Errno::ENOENT)?.lookup(name)
    }

    /// What is not there cannot be made, as in procfs.
    fn create(
        &self,
        _name: &[u8],
        _new: &NewInode<'_>,
        _now: Timestamp,
    ) -> Result<Arc<dyn Inode>, Errno> {
        Err(Errno::ENOENT)
    }

    /// What is there cannot be removed.
    fn unlink(&self, _name: &[u8], _now: Timestamp) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    fn remove_directory(&self, _name: &[u8], _now: Timestamp) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    fn children_are_stable(&self) -> bool {
        self.listing.is_none()
    }

    fn read_directory(
        &self,
        cookie: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        let mut stopped = false;
        let mut visit = |entry: &DirectoryEntry<'_>| {
            let flow = visit(entry);
            stopped = flow.is_break();
            flow
        };
        if cookie < LISTED {
            let skip = usize::try_from(cookie.saturating_sub(DOTS)).unwrap_or(usize::MAX);
            for ((name, inode), place) in self.fixed.iter().zip(DOTS + 1..).skip(skip) {
                let number = inode.metadata().number;
                let entry = DirectoryEntry { name, number, kind: inode.kind(), cookie: place };
                if visit(&entry).is_break() {
                    return Ok(());
                }
            }
        }
        let Some(listing) = &self.listing else { return Ok(()) };
        listing.list(cookie.saturating_sub(LISTED), &mut |entry| {
            visit(&DirectoryEntry { cookie: entry.cookie + LISTED, ..*entry })
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use core::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::{File, Generated, Link};
    use vfs::{
        Context, Credentials, Final, Location, MountFlags, Namespace, OpenHow, Resolve, Superblock,
    };

    struct Even;

    impl Listing for Even {
        fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
            let text = core::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
            let number: u64 = text.parse().map_err(|_| Errno::ENOENT)?;
            if !number.is_multiple_of(2) || number > 100 {
                return Err(Errno::ENOENT);
            }
            let attributes = Attributes::new(1000 + number, 0o555);
            let file = File::new(Attributes::new(2000 + number, 0o444), move || {
                Ok(format!("{number}\n").into_bytes())
            });
            Ok(Directory::new(attributes).with("number", file.into_inode()).into_inode())
        }

        fn list(
            &self,
            cookie: u64,
            visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
        ) -> Result<(), Errno> {
            for number in (2..=100).step_by(2).filter(|&number| number > cookie) {
                let name = format!("{number}");
                let entry = DirectoryEntry {
                    name: name.as_bytes(),
                    number: 1000 + number,
                    kind: Kind::Directory,
                    cookie: number,
                };
                if visit(&entry).is_break() {
                    break;
                }
            }
            Ok(())
        }
    }

    #[test]
    fn a_tree_lists_renders_and_jumps() {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let counter = File::new(Attributes::new(2, 0o644), || {
            Ok(format!("{}", COUNT.fetch_add(1, Ordering::Relaxed)).into_bytes())
        })
        .writable(|_, bytes| {
            COUNT.store(bytes.len() as u64, Ordering::Relaxed);
            Ok(bytes.len())
        });
        let link = Link::new(Attributes::new(3, 0o777), || Ok(b"10".to_vec()));
        let root = Directory::new(Attributes::new(1, 0o555))
            .with("counter", counter.into_inode())
            .with("self", link.into_inode())
            .listing(Even);
        let superblock = Superblock::new(Generated::new("test", 1, Arc::new(root)), 9);
        let namespace = Namespace::new(superblock, MountFlags::NONE, None);
        let root = namespace.root().clone();
        let credentials = Credentials::root();
        let context = Context {
            namespace: &namespace,
            root: &root,
            cwd: &root,
            credentials: &credentials,
            umask: 0,
            now: vfs::Timestamp::default(),
        };
        // One entry per call, as a small buffer would do it.
        let mut names = Vec::new();
        let mut cookie = 0;
        loop {
            let before = names.len();
            root.read_directory(&root, cookie, &mut |entry| {
                cookie = entry.cookie;
                names.push(entry.name.to_vec());
                ControlFlow::Break(())
            })
            .unwrap();
            if names.len() == before {
                break;
            }
        }
        assert_eq!(names.len(), 2 + 2 + 50);
        assert_eq!(names[2..6], [&b"counter"[..], b"self", b"2", b"4"]);
        let find = |path: &[u8]| context.resolve(None, path, Final::Follow, Resolve::default());
        let number = find(b"/self/number").unwrap();
        assert_eq!(number.path(&root).text, b"/10/number");
        assert_eq!(find(b"/11").err(), Some(Errno::ENOENT));
        let how = OpenHow { read: true, write: true, truncate: true, ..OpenHow::default() };
        let content = context.open(None, b"/counter", &how).unwrap().content.unwrap();
        assert_eq!(content.write(0, b"12345"), Ok(5));
        let mut buffer = [0; 8];
        assert_eq!(content.read(0, &mut buffer), Ok(1));
        assert_eq!(buffer[0], b'5');
        assert_eq!(content.read(1, &mut buffer), Ok(0), "the end of what was rendered");
        assert_eq!(content.read(0, &mut buffer), Ok(1));
        assert_eq!(buffer[0], b'6', "rendered anew");
        let made = context.make(None, b"/new", vfs::NewKind::Directory, 0o755);
        assert_eq!(made.err(), Some(Errno::ENOENT));
        let detached = Location::unnamed(root.mount().clone(), number.inode().clone(), b"x:[1]");
        assert_eq!(detached.path(&root).text, b"x:[1]");
    }
}

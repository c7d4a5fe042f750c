//! A root as it will stand in an image, every file with its reason.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use erofs::write::{Attributes, Content, Tree, TreeError};

/// Where the bytes of a file come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file of the host.
    Host(PathBuf),
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// A part of an open file, from this position on.
    Part(Arc<File>, u64),
}

/// What an entry is.
#[derive(Clone, Debug)]
pub enum Node {
    /// A folder.
    Folder,
    /// A regular file of `size` bytes.
    File {
        /// Length in bytes.
        size: u64,
        /// Where the bytes are.
        source: Source,
    },
    /// A symbolic link.
    Link(Vec<u8>),
}

/// One file, folder or link.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub node: Node,
    /// Permission bits.
    pub permissions: u16,
    /// Time of the last change, in whole seconds since 1970: archives keep no more.
    pub mtime: i64,
    /// Why it is there.
    pub reason: Arc<str>,
}

/// Entries by their absolute path, in the order of the paths.
#[derive(Clone, Debug, Default)]
pub struct RootTree {
    entries: BTreeMap<Vec<u8>, Entry>,
}

impl RootTree {
    /// Puts `entry` at `path`, unless there is one: the first reason counts.
    pub fn insert(&mut self, path: &Path, entry: Entry) {
        self.entries.entry(path.as_os_str().as_bytes().to_vec()).or_insert(entry);
    }

    /// Sets the time of the last change of what is at `path`, in seconds since 1970.
    pub fn set_time(&mut self, path: &Path, mtime: i64) {
        if let Some(entry) = self.entries.get_mut(path.as_os_str().as_bytes()) {
            entry.mtime = mtime;
        }
    }

    /// Whether something is at `path`.
    pub fn contains(&self, path: &Path) -> bool {
        self.entries.contains_key(path.as_os_str().as_bytes())
    }

    /// What is at `path`.
    pub fn get(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(path.as_os_str().as_bytes())
    }

    /// All entries, in the order of their paths. Folders come before what is in them.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Entry)> {
        self.entries.iter().map(|(path, entry)| (&path[..], entry))
    }

    /// The sum of the files' lengths in bytes.
    pub fn size(&self) -> u64 {
        self.entries
            .values()
            .map(|entry| match entry.node {
                Node::File { size, .. } => size,
                _ => 0,
            })
            .sum()
    }

    /// The same tree for the image writer. Everything belongs to root: what runs in a guest
    /// owns the guest.
    ///
    /// # Errors
    /// When a name cannot stand in an image.
    pub fn to_image(&self) -> Result<Tree<Source>, TreeError> {
        let mut tree = Tree::new(Attributes::new(0o755))?;
        for (path, entry) in &self.entries {
            let attributes =
                Attributes { mtime: (entry.mtime, 0), ..Attributes::new(entry.permissions) };
            let content = match &entry.node {
                Node::Folder => Content::Directory,
                Node::File { size, source } => Content::File { size: *size, data: source.clone() },
                Node::Link(target) => Content::Symlink(target.clone()),
            };
            tree.insert(path, attributes, content)?;
        }
        Ok(tree)
    }
}

//! What goes into an image: names, attributes, and where file data will come from.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::inode::Kind;
use crate::layout::{Device, NAME_MAX, XATTR_PREFIXES};

/// Attributes that every inode has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributes {
    /// The low 12 bits of `st_mode`.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Modification time: seconds since 1970 and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes by full name (`user.…`, `security.…`, `trusted.…`, POSIX ACLs).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Attributes {
    /// Owned by root, modified in 1970, without extended attributes.
    pub fn new(permissions: u16) -> Self {
        Self { permissions, uid: 0, gid: 0, mtime: (0, 0), xattrs: BTreeMap::new() }
    }
}

/// What an inode is. `F` says where the data of a regular file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<F> {
    /// A regular file of `size` bytes.
    File {
        /// Bytes of data.
        size: u64,
        /// Passed to the reader when the image is written.
        data: F,
    },
    /// A directory.
    Directory,
    /// A symbolic link to this path, 1 to 4095 bytes.
    Symlink(Vec<u8>),
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl<F> Content<F> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::File { .. } => Kind::File,
            Self::Directory => Kind::Directory,
            Self::Symlink(_) => Kind::Symlink,
            Self::CharDevice(_) => Kind::CharDevice,
            Self::BlockDevice(_) => Kind::BlockDevice,
            Self::Fifo => Kind::Fifo,
            Self::Socket => Kind::Socket,
        }
    }
}

/// Why something cannot be put into a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeError {
    /// A name is longer than 255 bytes or holds a NUL, or the path holds `..` or is the root.
    InvalidPath,
    /// Part of the path is no directory, or a loop of symbolic links.
    NotDirectory,
    /// The target of a hard link does not exist.
    NotFound,
    /// A directory cannot have a second name.
    IsDirectory,
    /// A symbolic link is empty or longer than 4095 bytes, or holds a NUL.
    InvalidSymlink,
    /// A device number is out of range (major 12 bits, minor 20 bits).
    InvalidDevice,
    /// An extended attribute has an unknown prefix or is too long.
    InvalidXattr,
    /// A file is larger than the format can hold (16 TiB).
    TooLarge,
}

impl core::fmt::Display for TreeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::InvalidPath => "the path is not valid",
            Self::NotDirectory => "part of the path is not a directory",
            Self::NotFound => "the target of the hard link does not exist",
            Self::IsDirectory => "a directory cannot have a second name",
            Self::InvalidSymlink => "the target of the symbolic link is not valid",
            Self::InvalidDevice => "the device number is out of range",
            Self::InvalidXattr => "the extended attribute cannot be stored",
            Self::TooLarge => "the file is too large",
        })
    }
}

impl core::error::Error for TreeError {}

#[derive(Debug, Clone)]
pub(crate) struct Node<F> {
    pub(crate) attributes: Attributes,
    pub(crate) content: Content<F>,
    pub(crate) children: BTreeMap<Vec<u8>, usize>,
}

/// A tree of files to be written.
///
/// Paths are bytes with `/` between names; a leading `/`, empty names and `.` do not matter.
/// Symbolic links in the folder part of a path are followed inside the tree, as container
/// layers need it; the last name is never followed.
#[derive(Debug, Clone)]
pub struct Tree<F> {
    pub(crate) nodes: Vec<Node<F>>,
}

/// An inode of a [`Tree`].
#[derive(Debug)]
pub struct View<'a, F> {
    /// Its attributes.
    pub attributes: &'a Attributes,
    /// What it is.
    pub content: &'a Content<F>,
    /// Names and whether each is a directory, in order; empty unless this is a directory.
    pub names: Vec<(&'a [u8], bool)>,
}

pub(crate) const ROOT: usize = 0;
const LINKS_FOLLOWED: usize = 40;

impl<F> Tree<F> {
    /// A tree that holds only its root directory.
    ///
    /// # Errors
    /// [`TreeError::InvalidXattr`].
    pub fn new(root: Attributes) -> Result<Self, TreeError> {
        check_attributes(&root)?;
        let root =
            Node { attributes: root, content: Content::Directory, children: BTreeMap::new() };
        Ok(Self { nodes: alloc::vec![root] })
    }

    /// Puts an inode at `path`. Missing folders are made (root's, mode 0755, with the time of
    /// this inode). What was there before goes away, except that a directory put on a
    /// directory keeps the names inside; the root can be replaced by a directory only.
    ///
    /// # Errors
    /// [`TreeError`]; the tree may then have got new folders.
    pub fn insert(
        &mut self,
        path: &[u8],
        attributes: Attributes,
        content: Content<F>,
    ) -> Result<(), TreeError> {
        check_attributes(&attributes)?;
        check_content(&content)?;
        let is_directory = matches!(content, Content::Directory);
        let mtime = attributes.mtime;
        let Some((folder, name)) = self.parent(path, Some(mtime))? else {
            if !is_directory {
                return Err(TreeError::InvalidPath);
            }
            self.nodes[ROOT].attributes = attributes;
            return Ok(());
        };
        if let Some(&old) = self.nodes[folder].children.get(&name)
            && is_directory
            && matches!(self.nodes[old].content, Content::Directory)
        {
            self.nodes[old].attributes = attributes;
            return Ok(());
        }
        let node = self.nodes.len();
        self.nodes.push(Node { attributes, content, children: BTreeMap::new() });
        self.nodes[folder].children.insert(name, node);
        Ok(())
    }

    /// Gives the inode at `target` the further name `path`, in place of what was there.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn link(&mut self, path: &[u8], target: &[u8]) -> Result<(), TreeError> {
        let node = self.find(target)?.ok_or(TreeError::NotFound)?;
        if matches!(self.nodes[node].content, Content::Directory) {
            return Err(TreeError::IsDirectory);
        }
        let mtime = self.nodes[node].attributes.mtime;
        let (folder, name) = self.parent(path, Some(mtime))?.ok_or(TreeError::InvalidPath)?;
        self.nodes[folder].children.insert(name, node);
        Ok(())
    }

    /// Removes the name `path` and all below; tells whether it was there.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn remove(&mut self, path: &[u8]) -> Result<bool, TreeError> {
        let Some((folder, name)) = self.parent(path, None)? else { return Ok(false) };
        Ok(self.nodes[folder].children.remove(&name).is_some())
    }

    /// Removes everything inside the directory `path`, if it is one.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn clear(&mut self, path: &[u8]) -> Result<(), TreeError> {
        if let Some(node) = self.find(path)? {
            self.nodes[node].children.clear();
        }
        Ok(())
    }

    /// The inode at `path`.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn get(&self, path: &[u8]) -> Result<Option<View<'_, F>>, TreeError> {
        let Some(index) = self.find(path)? else { return Ok(None) };
        let node = &self.nodes[index];
        let is_directory = |child: usize| matches!(self.nodes[child].content, Content::Directory);
        let names = node.children.iter().map(|(name, &child)| (&name[..], is_directory(child)));
        Ok(Some(View {
            attributes: &node.attributes,
            content: &node.content,
            names: names.collect(),
        }))
    }

    fn find(&self, path: &[u8]) -> Result<Option<usize>, TreeError> {
        let mut names = split(path)?;
        let Some(last) = names.pop() else { return Ok(Some(ROOT)) };
        let Some(folder) = self.walk(names)? else { return Ok(None) };
        Ok(self.nodes[folder].children.get(&last).copied())
    }

    /// The folder and the last name of `path`; `None` for the root, or if a folder is missing
    /// and no time to make it with was given.
    fn parent(
        &mut self,
        path: &[u8],
        make: Option<(i64, u32)>,
    ) -> Result<Option<(usize, Vec<u8>)>, TreeError> {
        let mut names = split(path)?;
        let Some(last) = names.pop() else { return Ok(None) };
        loop {
            match self.walk_or_missing(names.clone())? {
                Ok(folder) => return Ok(Some((folder, last))),
                Err((folder, missing)) => {
                    let Some(mtime) = make else { return Ok(None) };
                    let attributes = Attributes { mtime, ..Attributes::new(0o755) };
                    let node = self.nodes.len();
                    let content = Content::Directory;
                    self.nodes.push(Node { attributes, content, children: BTreeMap::new() });
                    self.nodes[folder].children.insert(missing, node);
                }
            }
        }
    }

    fn walk(&self, names: Vec<Vec<u8>>) -> Result<Option<usize>, TreeError> {
        Ok(self.walk_or_missing(names)?.ok())
    }

    /// The directory at the end of `names`, or the first one that is missing and its folder.
    fn walk_or_missing(
        &self,
        mut names: Vec<Vec<u8>>,
    ) -> Result<Result<usize, (usize, Vec<u8>)>, TreeError> {
        names.reverse();
        let mut trail = alloc::vec![ROOT];
        let mut links = 0;
        while let Some(name) = names.pop() {
            let folder = trail.last().copied().unwrap_or(ROOT);
            // Only targets of symbolic links can hold `..`: `split` refuses it.
            if name == b".." {
                if trail.len() > 1 {
                    trail.pop();
                }
                continue;
            }
            let Some(&child) = self.nodes[folder].children.get(&name) else {
                return Ok(Err((folder, name)));
            };
            match &self.nodes[child].content {
                Content::Directory => trail.push(child),
                Content::Symlink(target) => {
                    links += 1;
                    if links > LINKS_FOLLOWED {
                        return Err(TreeError::NotDirectory);
                    }
                    if target.starts_with(b"/") {
                        trail.truncate(1);
                    }
                    let parts = target.split(|&byte| byte == b'/');
                    let parts = parts.filter(|part| !part.is_empty() && *part != b".");
                    names.extend(parts.rev().map(<[u8]>::to_vec));
                }
                _ => return Err(TreeError::NotDirectory),
            }
        }
        Ok(Ok(trail.last().copied().unwrap_or(ROOT)))
    }

    /// Some path of a node, for error messages.
    pub(crate) fn path_of(&self, node: usize) -> Vec<u8> {
        let mut queue = alloc::vec![(ROOT, Vec::new())];
        while let Some((folder, path)) = queue.pop() {
            for (name, &child) in &self.nodes[folder].children {
                let mut path = path.clone();
                path.push(b'/');
                path.extend_from_slice(name);
                if child == node {
                    return path;
                }
                queue.push((child, path));
            }
        }
        alloc::vec![b'/']
    }
}

fn split(path: &[u8]) -> Result<Vec<Vec<u8>>, TreeError> {
    let parts = path.split(|&byte| byte == b'/');
    let parts = parts.filter(|part| !part.is_empty() && *part != b".");
    parts
        .map(|part| {
            let bad = part == b".." || part.len() > NAME_MAX || part.contains(&0);
            if bad { Err(TreeError::InvalidPath) } else { Ok(part.to_vec()) }
        })
        .collect()
}

fn check_content<F>(content: &Content<F>) -> Result<(), TreeError> {
    match content {
        Content::Symlink(target)
            if target.is_empty() || target.len() > 4095 || target.contains(&0) =>
        {
            Err(TreeError::InvalidSymlink)
        }
        Content::CharDevice(device) | Content::BlockDevice(device)
            if device.major >= 1 << 12 || device.minor >= 1 << 20 =>
        {
            Err(TreeError::InvalidDevice)
        }
        Content::File { size, .. } if *size > (u64::from(u32::MAX) - 1) << 12 => {
            Err(TreeError::TooLarge)
        }
        _ => Ok(()),
    }
}

fn check_attributes(attributes: &Attributes) -> Result<(), TreeError> {
    let mut total = 0;
    for (name, value) in &attributes.xattrs {
        let (_, suffix) = split_xattr(name).ok_or(TreeError::InvalidXattr)?;
        if suffix.len() > NAME_MAX || suffix.contains(&0) || value.len() > usize::from(u16::MAX) {
            return Err(TreeError::InvalidXattr);
        }
        total += (4 + suffix.len() + value.len()).next_multiple_of(4);
    }
    // The inode counts the words of the area in 16 bits.
    if total / 4 >= usize::from(u16::MAX) { Err(TreeError::InvalidXattr) } else { Ok(()) }
}

/// The index of the prefix of an attribute name, and the rest.
pub(crate) fn split_xattr(name: &[u8]) -> Option<(u8, &[u8])> {
    XATTR_PREFIXES.iter().zip(0u8..).find_map(|(prefix, index)| {
        let suffix = name.strip_prefix(*prefix)?;
        // A prefix with a dot needs more behind it; the two ACL names are complete.
        let complete = prefix.ends_with(b".") != suffix.is_empty();
        (!prefix.is_empty() && complete).then_some((index, suffix))
    })
}

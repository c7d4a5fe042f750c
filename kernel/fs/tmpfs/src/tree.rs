//! Inodes as the virtual file system sees them.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::ControlFlow;
use core::sync::atomic::Ordering;

use errno::Errno;
use vfs::{
    Allocate, Attachment, AttributeChange, DirectoryEntry, Extent, Inode, Intent, Kind, Metadata,
    NewInode, Rename, SeekTarget, Timestamp, XattrMode,
};

use crate::directory::{Child, Directory};
use crate::file::File;
use crate::lower::Lower;
use crate::node::{Body, Node};

/// Names that an inode can have.
const LINKS_MAX: u32 = u32::MAX - 1;

impl Inode for Node {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn metadata(&self) -> Metadata {
        Node::metadata(self)
    }

    #[inline]
    fn access(&self) -> (u32, u32, u16) {
        let attributes = self.attributes();
        (attributes.uid, attributes.gid, attributes.permissions)
    }

    fn size(&self) -> u64 {
        self.file().map_or_else(|| Node::metadata(self).size, File::size)
    }

    fn set_attributes(&self, change: &AttributeChange, now: Timestamp) -> Result<(), Errno> {
        Node::set_attributes(self, change, now);
        Ok(())
    }

    fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let child = self.directory()?.read().get(self.lower_image(), name)?;
        Ok(self.node_of(&child)?)
    }

    fn create(
        &self,
        name: &[u8],
        new: &NewInode<'_>,
        now: Timestamp,
    ) -> Result<Arc<dyn Inode>, Errno> {
        let directory = self.directory()?;
        self.shared.take_inode()?;
        let node = Node::new(&self.shared, new, now, 1);
        let mut entries = directory.write();
        self.check_free(&entries, name)?;
        entries.insert(self.lower_image(), name, Child::Node(node.clone()))?;
        self.change(|attributes| {
            attributes.touch(now);
            let folders = u32::from(node.kind == Kind::Directory);
            attributes.links = attributes.links.saturating_add(folders);
        });
        drop(entries);
        Ok(node)
    }

    fn create_unnamed(&self, new: &NewInode<'_>, now: Timestamp) -> Result<Arc<dyn Inode>, Errno> {
        if self.directory()?.read().removed {
            return Err(Errno::ENOENT);
        }
        self.shared.take_inode()?;
        let node = Node::new(&self.shared, new, now, 0);
        node.change(|attributes| attributes.linkable = true);
        Ok(node)
    }

    fn link(&self, name: &[u8], target: &Arc<dyn Inode>, now: Timestamp) -> Result<(), Errno> {
        let directory = self.directory()?;
        let target = self.same_tree(target)?;
        if target.kind == Kind::Directory {
            return Err(Errno::EPERM);
        }
        let mut entries = directory.write();
        self.check_free(&entries, name)?;
        entries.prepare(self.lower_image())?;
        target.change(|attributes| {
            if attributes.links == 0 && !attributes.linkable {
                return Err(Errno::ENOENT);
            }
            if attributes.links >= LINKS_MAX {
                return Err(Errno::EMLINK);
            }
            attributes.links += 1;
            attributes.linkable = false;
            attributes.changed = now;
            Ok(())
        })?;
        let child = match target.nid() {
            Some(nid) => Child::Lower(nid, target.kind),
            None => Child::Node(target),
        };
        entries.insert(self.lower_image(), name, child)?;
        self.change(|attributes| attributes.touch(now));
        Ok(())
    }

    fn unlink(&self, name: &[u8], now: Timestamp) -> Result<(), Errno> {
        let directory = self.directory()?;
        // Declared before the guard: it may be the last reference, and is dropped after it.
        let node;
        let mut entries = directory.write();
        node = self.node_of(&entries.get(self.lower_image(), name)?)?;
        if node.kind == Kind::Directory {
            return Err(Errno::EISDIR);
        }
        entries.remove(self.lower_image(), name)?;
        node.lose_name(now);
        self.change(|attributes| attributes.touch(now));
        drop(entries);
        Ok(())
    }

    fn remove_directory(&self, name: &[u8], now: Timestamp) -> Result<(), Errno> {
        let directory = self.directory()?;
        let node;
        let _structure = self.shared.structure.lock();
        let mut entries = directory.write();
        node = self.node_of(&entries.get(self.lower_image(), name)?)?;
        entries.prepare(self.lower_image())?;
        self.remove_if_empty(&node, &[self])?;
        entries.remove(self.lower_image(), name)?;
        node.lose_name(now);
        self.change(|attributes| {
            attributes.touch(now);
            attributes.links = attributes.links.saturating_sub(1);
        });
        drop(entries);
        Ok(())
    }

    fn rename(
        &self,
        name: &[u8],
        target: &Arc<dyn Inode>,
        new_name: &[u8],
        how: Rename,
        now: Timestamp,
    ) -> Result<(), Errno> {
        let target = self.same_tree(target)?;
        let (from, to) = (self.directory()?, target.directory()?);
        // Declared before the guards: they may be the last references.
        let (source, victim);
        let _structure = self.shared.structure.lock();
        let mut two = if core::ptr::eq(from, to) {
            Two::Same(from.write())
        } else if core::ptr::from_ref(from) < core::ptr::from_ref(to) {
            let from = from.write();
            Two::Different(from, to.write_peer())
        } else {
            let to = to.write();
            Two::Different(from.write_peer(), to)
        };
        let lower = self.lower_image();
        source = self.node_of(&two.from().get(lower, name)?)?;
        if two.to().removed {
            return Err(Errno::ENOENT);
        }
        victim = match two.to().get(lower, new_name) {
            Ok(child) => Some(self.node_of(&child)?),
            Err(Errno::ENOENT) => None,
            Err(error) => return Err(error),
        };
        two.from().prepare(lower)?;
        two.to().prepare(lower)?;
        let Some(victim) = &victim else {
            if how == Rename::Exchange {
                return Err(Errno::ENOENT);
            }
            let child = two.from().remove(lower, name)?;
            two.to().insert(lower, new_name, child)?;
            self.moved(&target, &source, None, now);
            return Ok(());
        };
        if how == Rename::NoReplace {
            return Err(Errno::EEXIST);
        }
        if Arc::ptr_eq(&source, victim) {
            return Ok(());
        }
        if how == Rename::Exchange {
            let one = two.from().get(lower, name)?;
            let other = two.to().replace(lower, new_name, one)?;
            two.from().replace(lower, name, other)?;
            self.moved(&target, &source, Some(victim), now);
            return Ok(());
        }
        match (source.kind == Kind::Directory, victim.kind == Kind::Directory) {
            (true, true) => self.remove_if_empty(victim, &[self, &target])?,
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            (false, false) => {}
        }
        let child = two.from().remove(lower, name)?;
        let old = two.to().replace(lower, new_name, child)?;
        victim.lose_name(now);
        if victim.kind == Kind::Directory {
            target.change(|attributes| attributes.links = attributes.links.saturating_sub(1));
        }
        self.moved(&target, &source, None, now);
        drop(two);
        drop(old);
        Ok(())
    }

    fn read_directory(
        &self,
        cookie: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        let entries = self.directory()?.read();
        if entries.removed {
            return Err(Errno::ENOENT);
        }
        entries.visit(self.lower_image(), cookie, visit)
    }

    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        match &self.body {
            Body::Symlink(text) => Ok(text.to_vec()),
            _ => Err(Errno::EINVAL),
        }
    }

    fn extent(&self, first: u64, max_pages: usize, intent: Intent) -> Result<Extent, Errno> {
        let file = self.regular()?;
        if intent == Intent::Write {
            self.data_changes();
        }
        file.extent(&self.shared, first, max_pages, intent)
    }

    fn page_generation(&self) -> u64 {
        self.file().map_or(0, File::generation)
    }

    fn begin_write(&self, start: u64, end: u64) -> Result<(), Errno> {
        self.regular()?.begin_write(start, end)
    }

    fn written(&self, _start: u64, end: u64, now: Timestamp) {
        if let Some(file) = self.file() {
            file.written(end);
            self.change(|attributes| attributes.touch(now));
        }
    }

    fn truncate(&self, size: u64, now: Timestamp) -> Result<(), Errno> {
        self.regular()?.truncate(&self.shared, size)?;
        self.change(|attributes| attributes.touch(now));
        Ok(())
    }

    fn allocate(&self, how: Allocate, start: u64, end: u64, now: Timestamp) -> Result<(), Errno> {
        self.regular()?.allocate(&self.shared, how, start, end)?;
        self.change(|attributes| attributes.touch(now));
        Ok(())
    }

    fn seek(&self, start: u64, target: SeekTarget) -> Result<u64, Errno> {
        self.regular()?.seek(&self.shared, start, target)
    }

    fn trim(&self) {
        if let Some(file) = self.file() {
            file.trim(&self.shared);
        }
    }

    fn seals(&self) -> Result<u32, Errno> {
        self.file().map(|file| file.seals.load(Ordering::Acquire)).ok_or(Errno::EINVAL)
    }

    fn add_seals(&self, seals: u32) -> Result<(), Errno> {
        self.file().ok_or(Errno::EINVAL)?.add_seals(seals)
    }

    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        Node::xattr(self, name)
    }

    fn set_xattr(
        &self,
        name: &[u8],
        value: &[u8],
        mode: XattrMode,
        now: Timestamp,
    ) -> Result<(), Errno> {
        self.change_xattr(name, Some(value), mode, now)
    }

    fn remove_xattr(&self, name: &[u8], now: Timestamp) -> Result<(), Errno> {
        self.change_xattr(name, None, XattrMode::Replace, now)
    }

    fn xattr_names(&self) -> Vec<Vec<u8>> {
        Node::xattr_names(self)
    }
}

/// The locked directories of a rename.
enum Two<'a> {
    Same(lock::WriteGuard<'a, Directory>),
    Different(lock::WriteGuard<'a, Directory>, lock::WriteGuard<'a, Directory>),
}

impl Two<'_> {
    fn from(&mut self) -> &mut Directory {
        match self {
            Self::Same(one) | Self::Different(one, _) => one,
        }
    }

    fn to(&mut self) -> &mut Directory {
        match self {
            Self::Same(one) | Self::Different(_, one) => one,
        }
    }
}

impl Node {
    fn lower_image(&self) -> Option<&Lower> {
        self.shared.lower.as_ref()
    }

    fn node_of(&self, child: &Child) -> Result<Arc<Node>, Errno> {
        match child {
            Child::Node(node) => Ok(node.clone()),
            Child::Lower(nid, _) => self.shared.lower_node(*nid),
        }
    }

    fn regular(&self) -> Result<&File, Errno> {
        match (&self.body, self.kind) {
            (Body::File(file), _) => Ok(file),
            (_, Kind::Directory) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// An inode of this file system.
    fn same_tree(&self, inode: &Arc<dyn Inode>) -> Result<Arc<Node>, Errno> {
        let any: Arc<dyn Any + Send + Sync> = inode.clone();
        let node = any.downcast::<Node>().map_err(|_| Errno::EXDEV)?;
        if Arc::ptr_eq(&node.shared, &self.shared) { Ok(node) } else { Err(Errno::EXDEV) }
    }

    /// Whether `name` can be given in this directory.
    fn check_free(&self, entries: &Directory, name: &[u8]) -> Result<(), Errno> {
        if entries.removed {
            return Err(Errno::ENOENT);
        }
        match entries.get(self.lower_image(), name) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Closes a directory without names to new ones; `locked` are the directories that the
    /// caller has locked. In a damaged image a directory can hold itself.
    fn remove_if_empty(&self, node: &Node, locked: &[&Node]) -> Result<(), Errno> {
        if locked.iter().any(|other| core::ptr::eq(*other, node)) {
            return Err(Errno::EUCLEAN);
        }
        let mut entries = node.directory()?.write_peer();
        if !entries.is_empty(self.lower_image())? {
            return Err(Errno::ENOTEMPTY);
        }
        entries.removed = true;
        Ok(())
    }

    /// Sets times and link counts after a move from this directory to `target`; `other` came
    /// back in exchange.
    fn moved(&self, target: &Node, source: &Node, other: Option<&Arc<Node>>, now: Timestamp) {
        source.change(|attributes| attributes.changed = now);
        if let Some(other) = other {
            other.change(|attributes| attributes.changed = now);
        }
        let gained = i64::from(source.kind == Kind::Directory)
            - i64::from(other.is_some_and(|other| other.kind == Kind::Directory));
        let same = core::ptr::eq(self, target);
        let shift = |node: &Node, by: i64| {
            node.change(|attributes| {
                attributes.touch(now);
                let links = i64::from(attributes.links) + if same { 0 } else { by };
                attributes.links = u32::try_from(links).unwrap_or(attributes.links);
            });
        };
        shift(self, -gained);
        if !same {
            shift(target, gained);
        }
    }
}

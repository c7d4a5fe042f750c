//! Inodes.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use erofs::Nid;
use errno::Errno;
use lock::{RwSpinLock, SpinGuard, SpinLock};
use vfs::{Attachment, DeviceNumber, Kind, Metadata, NewInode, NewKind, PAGE_SIZE, Timestamp};
use vfs::{AttributeChange, XattrMode, ranks};

use crate::attributes::{Attributes, XattrMap, Xattrs, set_xattr};
use crate::directory::Directory;
use crate::file::File;
use crate::lower::{self, Lower, damaged};
use crate::shared::Shared;

pub(crate) struct Node {
    pub(crate) shared: Arc<Shared>,
    own: Weak<Node>,
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    /// Its place in the image, if it comes from there.
    lower: Option<erofs::Inode>,
    pub(crate) body: Body,
    attributes: SpinLock<Attributes>,
    pub(crate) attachment: Attachment,
}

pub(crate) enum Body {
    File(File),
    Directory(RwSpinLock<Directory>),
    Symlink(Box<[u8]>),
    Device(DeviceNumber),
    /// Fifos and sockets: what they are is attached by others.
    Other,
}

impl Node {
    /// A new inode; the caller has counted it.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        new: &NewInode<'_>,
        now: Timestamp,
        links: u32,
    ) -> Arc<Self> {
        let kind = new.kind.kind();
        let body = match new.kind {
            NewKind::File => Body::File(File::new(None)),
            NewKind::Directory => {
                Body::Directory(RwSpinLock::new(ranks::DIRECTORY, Directory::empty()))
            }
            NewKind::Symlink(text) => Body::Symlink(text.into()),
            NewKind::CharDevice(device) | NewKind::BlockDevice(device) => Body::Device(device),
            NewKind::Fifo | NewKind::Socket => Body::Other,
        };
        let attributes = Attributes {
            permissions: new.permissions,
            uid: new.uid,
            gid: new.gid,
            links: if kind == Kind::Directory { 2 } else { links },
            linkable: false,
            kept: false,
            accessed: now,
            modified: now,
            changed: now,
            born: now,
            xattrs: Xattrs::Own(None),
        };
        Self::assemble(shared, shared.number(), kind, None, body, attributes)
    }

    /// An inode of the image.
    pub(crate) fn from_lower(
        shared: &Arc<Shared>,
        lower: &Lower,
        inode: &erofs::Inode,
    ) -> Result<Arc<Self>, Errno> {
        let kind = lower::kind(inode.kind);
        let body = match kind {
            Kind::File => Body::File(File::new(Some(*inode))),
            Kind::Directory => {
                Body::Directory(RwSpinLock::new(ranks::DIRECTORY, Directory::of(*inode)))
            }
            Kind::Symlink => Body::Symlink(lower.image.readlink(inode).map_err(damaged)?.into()),
            Kind::CharDevice | Kind::BlockDevice => Body::Device(lower::device(inode)),
            Kind::Fifo | Kind::Socket => Body::Other,
        };
        let time = lower::time(inode);
        let attributes = Attributes {
            permissions: inode.permissions,
            uid: inode.uid,
            gid: inode.gid,
            links: inode.links,
            linkable: false,
            kept: false,
            accessed: time,
            modified: time,
            changed: time,
            born: time,
            xattrs: Xattrs::Lower,
        };
        Ok(Self::assemble(shared, inode.nid.0, kind, Some(*inode), body, attributes))
    }

    fn assemble(
        shared: &Arc<Shared>,
        number: u64,
        kind: Kind,
        lower: Option<erofs::Inode>,
        body: Body,
        attributes: Attributes,
    ) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            shared: shared.clone(),
            own: own.clone(),
            number,
            kind,
            lower,
            body,
            attributes: SpinLock::new(ranks::ATTRIBUTES, attributes),
            attachment: Attachment::new(),
        })
    }

    pub(crate) fn file(&self) -> Option<&File> {
        match &self.body {
            Body::File(file) => Some(file),
            _ => None,
        }
    }

    pub(crate) fn directory(&self) -> Result<&RwSpinLock<Directory>, Errno> {
        match &self.body {
            Body::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    /// A look at the attributes.
    pub(crate) fn attributes(&self) -> SpinGuard<'_, Attributes> {
        self.attributes.lock()
    }

    /// Changes attributes, and keeps an inode of the image that is no longer as it was there.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Attributes) -> T) -> T {
        let mut attributes = self.attributes.lock();
        let result = change(&mut attributes);
        let keep = attributes.links > 0;
        if let Some(inode) = &self.lower
            && keep != attributes.kept
        {
            // Decided under the lock of the links, so that the last name and a last change
            // cannot miss each other.
            attributes.kept = keep;
            if !keep {
                self.shared.let_go(inode.nid, &self.own);
            } else if let Some(own) = self.own.upgrade() {
                self.shared.keep(inode.nid, own);
            }
        }
        result
    }

    /// Keeps an inode of the image because its data changed.
    pub(crate) fn data_changes(&self) {
        if self.lower.is_some() {
            self.change(|_| ());
        }
    }

    /// Takes a name away from this inode.
    pub(crate) fn lose_name(&self, now: Timestamp) {
        self.change(|attributes| {
            let lost = if self.kind == Kind::Directory {
                attributes.links
            } else {
                attributes.links.min(1)
            };
            attributes.links -= lost;
            attributes.changed = now;
        });
    }

    pub(crate) fn metadata(&self) -> Metadata {
        let (size, blocks) = match &self.body {
            Body::File(file) => (file.size(), file.pages_held() * (PAGE_SIZE / 512)),
            Body::Directory(_) => (PAGE_SIZE, 0),
            Body::Symlink(text) => (text.len() as u64, 0),
            Body::Device(_) | Body::Other => (0, 0),
        };
        let device = match &self.body {
            Body::Device(device) => *device,
            _ => DeviceNumber::default(),
        };
        let attributes = self.attributes.lock();
        Metadata {
            number: self.number,
            kind: self.kind,
            permissions: attributes.permissions,
            links: attributes.links,
            uid: attributes.uid,
            gid: attributes.gid,
            device,
            size,
            blocks,
            block_size: PAGE_SIZE as u32,
            accessed: attributes.accessed,
            modified: attributes.modified,
            changed: attributes.changed,
            born: attributes.born,
        }
    }

    pub(crate) fn set_attributes(&self, change: &AttributeChange, now: Timestamp) {
        let only_access = AttributeChange { accessed: change.accessed, ..Default::default() };
        if *change == only_access {
            // Reading must not make every inode of the image stay in memory.
            self.attributes.lock().apply(change, now);
        } else {
            self.change(|attributes| attributes.apply(change, now));
        }
    }

    fn lower_xattrs(&self) -> Option<(&Lower, &erofs::Inode)> {
        Some((self.shared.lower.as_ref()?, self.lower.as_ref()?))
    }

    pub(crate) fn xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        if let Xattrs::Own(map) = &self.attributes.lock().xattrs {
            return map.as_ref().and_then(|map| map.get(name)).cloned().ok_or(Errno::ENODATA);
        }
        let Some((lower, inode)) = self.lower_xattrs() else { return Err(Errno::ENODATA) };
        let value = lower.image.xattr(inode, name).map_err(damaged)?;
        value.map(<[u8]>::to_vec).ok_or(Errno::ENODATA)
    }

    pub(crate) fn xattr_names(&self) -> Vec<Vec<u8>> {
        if let Xattrs::Own(map) = &self.attributes.lock().xattrs {
            return map.iter().flat_map(|map| map.keys().cloned()).collect();
        }
        self.copy_xattrs().into_keys().collect()
    }

    fn copy_xattrs(&self) -> XattrMap {
        let Some((lower, inode)) = self.lower_xattrs() else { return XattrMap::new() };
        let Ok(xattrs) = lower.image.xattrs(inode) else { return XattrMap::new() };
        let full =
            |xattr: erofs::Xattr<'_>| ([xattr.prefix, xattr.suffix].concat(), xattr.value.to_vec());
        xattrs.map_while(Result::ok).map(full).collect()
    }

    /// Sets or removes an extended attribute.
    pub(crate) fn change_xattr(
        &self,
        name: &[u8],
        value: Option<&[u8]>,
        mode: XattrMode,
        now: Timestamp,
    ) -> Result<(), Errno> {
        let copied = matches!(self.attributes.lock().xattrs, Xattrs::Lower)
            .then(|| Box::new(self.copy_xattrs()));
        self.change(|attributes| {
            if matches!(attributes.xattrs, Xattrs::Lower) {
                attributes.xattrs = Xattrs::Own(copied);
            }
            let Xattrs::Own(map) = &mut attributes.xattrs else { return Err(Errno::EUCLEAN) };
            set_xattr(map.get_or_insert_default(), name, value, mode)?;
            attributes.changed = now;
            Ok(())
        })
    }

    pub(crate) fn nid(&self) -> Option<Nid> {
        self.lower.as_ref().map(|inode| inode.nid)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Body::File(file) = &mut self.body {
            file.release(&self.shared);
        }
        match self.nid() {
            Some(nid) => self.shared.forget(nid),
            None => {
                self.shared.used_inodes.fetch_sub(1, Ordering::Relaxed);
            }
        }
        // A loop, not recursion: trees can be deep.
        let Body::Directory(directory) = &mut self.body else { return };
        let mut rest: Vec<Arc<Node>> = directory.get_mut().take_nodes().collect();
        while let Some(node) = rest.pop() {
            if let Some(mut node) = Arc::into_inner(node)
                && let Body::Directory(directory) = &mut node.body
            {
                rest.extend(directory.get_mut().take_nodes());
            }
        }
    }
}

//! Attributes and extended attributes of an inode.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use errno::Errno;
use vfs::{AttributeChange, Timestamp, XattrMode};

/// Bytes of extended attributes that an inode may have, names and values together.
const XATTRS_MAX: usize = 128 * 1024;

pub(crate) type XattrMap = BTreeMap<Vec<u8>, Vec<u8>>;

pub(crate) struct Attributes {
    pub(crate) permissions: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) links: u32,
    /// Made without a name, and so far without one: may still get one.
    pub(crate) linkable: bool,
    /// Whether the table of the image's inodes keeps this one.
    pub(crate) kept: bool,
    pub(crate) accessed: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) changed: Timestamp,
    pub(crate) born: Timestamp,
    pub(crate) xattrs: Xattrs,
}

pub(crate) enum Xattrs {
    /// Those of the image.
    Lower,
    Own(Option<Box<XattrMap>>),
}

impl Attributes {
    pub(crate) fn apply(&mut self, change: &AttributeChange, now: Timestamp) {
        self.permissions = change.permissions.unwrap_or(self.permissions);
        self.uid = change.uid.unwrap_or(self.uid);
        self.gid = change.gid.unwrap_or(self.gid);
        self.accessed = change.accessed.unwrap_or(self.accessed);
        self.modified = change.modified.unwrap_or(self.modified);
        self.changed = now;
    }

    /// The data changed.
    pub(crate) fn touch(&mut self, now: Timestamp) {
        self.modified = now;
        self.changed = now;
    }
}

/// Sets an attribute; `None` removes it.
pub(crate) fn set_xattr(
    map: &mut XattrMap,
    name: &[u8],
    value: Option<&[u8]>,
    mode: XattrMode,
) -> Result<(), Errno> {
    let old = map.get(name).map(|value| name.len() + value.len());
    match (mode, old) {
        (XattrMode::Create, Some(_)) => return Err(Errno::EEXIST),
        (XattrMode::Replace, None) => return Err(Errno::ENODATA),
        _ => {}
    }
    let Some(value) = value else {
        map.remove(name);
        return Ok(());
    };
    let used: usize = map.iter().map(|(name, value)| name.len() + value.len()).sum();
    if used - old.unwrap_or(0) + name.len() + value.len() > XATTRS_MAX {
        return Err(Errno::ENOSPC);
    }
    map.insert(name.to_vec(), value.to_vec());
    Ok(())
}

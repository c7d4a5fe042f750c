//! Extended attributes: some in the inode, some shared between inodes.

use crate::inode::Inode;
use crate::layout::{XATTR_ENTRY, XATTR_HEADER, XATTR_PREFIXES, slice, u16_at, u32_at};
use crate::{Error, Image};

const BAD: Error = Error::Corrupt("extended attribute");

/// An extended attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xattr<'a> {
    /// The first part of the name, such as `user.`.
    pub prefix: &'static [u8],
    /// The rest of the name; may be empty.
    pub suffix: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl Xattr<'_> {
    /// Whether this is the attribute called `name`.
    pub fn is(&self, name: &[u8]) -> bool {
        name.strip_prefix(self.prefix) == Some(self.suffix)
    }
}

impl<'a> Image<'a> {
    /// The extended attributes of an inode.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the list leaves the image.
    pub fn xattrs(&self, inode: &Inode) -> Result<Xattrs<'a>, Error> {
        if inode.xattr_length == 0 {
            return Ok(Xattrs { image: *self, shared: &[], own: &[] });
        }
        let area = slice(self.bytes, inode.xattr_offset, inode.xattr_length, "xattr area")?;
        let (header, rest) = area.split_at_checked(XATTR_HEADER as usize).ok_or(BAD)?;
        let (shared, own) = rest.split_at_checked(usize::from(header[4]) * 4).ok_or(BAD)?;
        Ok(Xattrs { image: *self, shared, own })
    }

    /// The value of the extended attribute `name` (with its prefix) of an inode.
    ///
    /// # Errors
    /// As [`Image::xattrs`] and its iterator.
    pub fn xattr(&self, inode: &Inode, name: &[u8]) -> Result<Option<&'a [u8]>, Error> {
        for xattr in self.xattrs(inode)? {
            let xattr = xattr?;
            if xattr.is(name) {
                return Ok(Some(xattr.value));
            }
        }
        Ok(None)
    }
}

/// The extended attributes of an inode, in the order of the image.
#[derive(Debug, Clone)]
pub struct Xattrs<'a> {
    image: Image<'a>,
    shared: &'a [u8],
    own: &'a [u8],
}

impl<'a> Xattrs<'a> {
    fn step(&mut self) -> Result<Option<Xattr<'a>>, Error> {
        if !self.shared.is_empty() {
            let (id, rest) = self.shared.split_at_checked(4).ok_or(BAD)?;
            self.shared = rest;
            let offset = self.image.xattr_offset + u64::from(u32_at(id, 0)) * 4;
            let start = usize::try_from(offset).map_err(|_| BAD)?;
            let entry = self.image.bytes.get(start..).ok_or(BAD)?;
            return parse(entry).map(|(xattr, _)| Some(xattr));
        }
        // What is left may be alignment.
        if self.own.len() < XATTR_ENTRY || self.own[..XATTR_ENTRY] == [0; XATTR_ENTRY] {
            return Ok(None);
        }
        let (xattr, length) = parse(self.own)?;
        self.own = self.own.get(length..).unwrap_or(&[]);
        Ok(Some(xattr))
    }
}

/// The entry at the start of `bytes` and its length with alignment.
fn parse(bytes: &[u8]) -> Result<(Xattr<'_>, usize), Error> {
    let (header, rest) = bytes.split_at_checked(XATTR_ENTRY).ok_or(BAD)?;
    let name_length = usize::from(header[0]);
    let value_length = usize::from(u16_at(header, 2));
    let (suffix, rest) = rest.split_at_checked(name_length).ok_or(BAD)?;
    let value = rest.get(..value_length).ok_or(BAD)?;
    let prefix = match XATTR_PREFIXES.get(usize::from(header[1])) {
        Some(&prefix) if !prefix.is_empty() => prefix,
        _ => return Err(Error::Unsupported("extended attribute prefix")),
    };
    let length = (XATTR_ENTRY + name_length + value_length).next_multiple_of(4);
    Ok((Xattr { prefix, suffix, value }, length))
}

impl<'a> Iterator for Xattrs<'a> {
    type Item = Result<Xattr<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.shared = &[];
            self.own = &[];
        }
        step.transpose()
    }
}

//! The bytes of an image, from the first to the last.

use alloc::vec;
use alloc::vec::Vec;

use super::BLOCK_SIZE;
use super::plan::{Child, Place, Plan, groups, names};
use super::tree::{Content, Node, ROOT, Tree, split_xattr};
use crate::checksum::crc32c;
use crate::inode::Kind;
use crate::layout::{
    COMPAT_CHECKSUM, COMPAT_MTIME, DIRENT_SIZE, FLAT_INLINE, FLAT_PLAIN, MAGIC, SUPER_OFFSET,
    XATTR_HEADER,
};

/// What concerns the whole image.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The time of the image: seconds since 1970 and nanoseconds. Inodes with just this
    /// modification time are stored smaller.
    pub epoch: (i64, u32),
    /// The identifier of the file system; all zeros is fine.
    pub uuid: [u8; 16],
}

/// Why an image could not be written.
#[derive(Debug)]
pub enum WriteError<E> {
    /// Reading a file or writing the image failed.
    Io(E),
    /// The file at this path has less data than its size said.
    ShortFile(Vec<u8>),
    /// The image would be larger than the format allows (16 TiB).
    TooLarge,
}

impl<E: core::fmt::Display> core::fmt::Display for WriteError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::ShortFile(path) => {
                write!(f, "{}: shorter than its size said", path.escape_ascii())
            }
            Self::TooLarge => f.write_str("the image would be larger than 16 TiB"),
        }
    }
}

impl<E: core::fmt::Debug + core::fmt::Display> core::error::Error for WriteError<E> {}

/// Writes `tree` as an image; returns the image's length in bytes, a multiple of 4096.
///
/// `read(data, position, buffer)` copies file data from `position` on into `buffer` and
/// returns how many bytes it copied, 0 only at the end; each file is read from start to end
/// before the next. `put` gets the image piece by piece.
///
/// # Errors
/// [`WriteError`]; what was put until then is no image.
pub fn write<F, E>(
    tree: &Tree<F>,
    options: &Options,
    mut read: impl FnMut(&F, u64, &mut [u8]) -> Result<usize, E>,
    put: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, WriteError<E>> {
    let plan = Plan::new(tree, options.epoch).ok_or(WriteError::TooLarge)?;
    let mut output = Output { put, buffer: Vec::new(), position: 0 };
    superblock(&mut output, &plan, options);
    for (number, &index) in (1..).zip(&plan.order) {
        let Some(place) = plan.place(index) else { continue };
        inode(&mut output, &plan, &tree.nodes[index], index, place, number);
        output.flush(false).map_err(WriteError::Io)?;
    }
    output.align();
    for &index in &plan.order {
        let Some(place) = plan.place(index) else { continue };
        let node = &tree.nodes[index];
        if matches!(node.content, Content::File { .. }) || place.size == place.inline {
            continue;
        }
        let outside = (place.size - place.inline) as usize;
        output.buffer.extend_from_slice(&small_data(&plan, node, index)[..outside]);
        output.align();
        output.flush(false).map_err(WriteError::Io)?;
    }
    output.flush(true).map_err(WriteError::Io)?;
    let mut buffer = vec![0; 64 * BLOCK_SIZE];
    for &index in &plan.order {
        let Content::File { size, data } = &tree.nodes[index].content else { continue };
        let mut position = 0;
        while position < *size {
            let room =
                usize::try_from(size - position).map_or(buffer.len(), |n| n.min(buffer.len()));
            let count = read(data, position, &mut buffer[..room]).map_err(WriteError::Io)?;
            if count == 0 || count > room {
                return Err(WriteError::ShortFile(tree.path_of(index)));
            }
            output.write(&buffer[..count]).map_err(WriteError::Io)?;
            position += count as u64;
        }
        let padding = position.next_multiple_of(BLOCK_SIZE as u64) - position;
        output.write(&[0; BLOCK_SIZE][..padding as usize]).map_err(WriteError::Io)?;
    }
    Ok(output.position)
}

/// Metadata collects in `buffer`; file data goes past it.
struct Output<P> {
    put: P,
    buffer: Vec<u8>,
    /// Of the start of the buffer.
    position: u64,
}

impl<E, P: FnMut(&[u8]) -> Result<(), E>> Output<P> {
    fn flush(&mut self, all: bool) -> Result<(), E> {
        // The first block waits until it is complete: its checksum covers inodes as well.
        if !all && self.buffer.len() < 64 * BLOCK_SIZE {
            return Ok(());
        }
        if self.position == 0 {
            let crc = crc32c(!0, &self.buffer[SUPER_OFFSET..BLOCK_SIZE]);
            self.buffer[SUPER_OFFSET + 4..SUPER_OFFSET + 8].copy_from_slice(&crc.to_le_bytes());
        }
        (self.put)(&self.buffer)?;
        self.position += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Up to the next block.
    fn align(&mut self) {
        let end = (self.position + self.buffer.len() as u64).next_multiple_of(BLOCK_SIZE as u64);
        self.pad_to(end);
    }

    fn pad_to(&mut self, offset: u64) {
        self.buffer.resize((offset - self.position) as usize, 0);
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), E> {
        if !bytes.is_empty() {
            (self.put)(bytes)?;
            self.position += bytes.len() as u64;
        }
        Ok(())
    }

    fn u16(&mut self, value: u16) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }
}

fn superblock<E, P: FnMut(&[u8]) -> Result<(), E>>(
    output: &mut Output<P>,
    plan: &Plan,
    options: &Options,
) {
    output.pad_to(SUPER_OFFSET as u64);
    output.u32(MAGIC);
    output.u32(0); // checksum, filled in with the block
    output.u32(COMPAT_CHECKSUM | COMPAT_MTIME);
    output.buffer.extend_from_slice(&[BLOCK_SIZE.trailing_zeros() as u8, 0]);
    // The root is the first inode, so its number is small.
    output.u16(plan.place(ROOT).map_or(0, |place| place.nid() as u16));
    output.u64(plan.order.len() as u64);
    output.u64(options.epoch.0.cast_unsigned());
    output.u32(options.epoch.1);
    output.u32(plan.blocks);
    output.u32(0); // inodes are numbered from the start of the image
    output.u32(0); // no shared attributes
    output.buffer.extend_from_slice(&options.uuid);
    output.buffer.extend_from_slice(&[0; 16]); // no label
    output.buffer.extend_from_slice(&[0; 48]); // no incompatible features
}

fn inode<F, E, P: FnMut(&[u8]) -> Result<(), E>>(
    output: &mut Output<P>,
    plan: &Plan,
    node: &Node<F>,
    index: usize,
    place: &Place,
    number: u32,
) {
    output.pad_to(place.offset);
    let attributes = &node.attributes;
    let layout = if place.inline > 0 { FLAT_INLINE } else { FLAT_PLAIN };
    output.u16(u16::from(place.extended) | layout << 1);
    output.u16(match place.xattrs {
        0 => 0,
        length => ((length - XATTR_HEADER) / 4 + 1) as u16,
    });
    output.u16(node.content.kind().mode() | attributes.permissions & 0o7777);
    let union = match &node.content {
        Content::CharDevice(device) | Content::BlockDevice(device) => device.encode(),
        _ => place.block,
    };
    // The plan chose the compact form only where the casts keep the value.
    if place.extended {
        output.u16(0);
        output.u64(place.size);
        output.u32(union);
        output.u32(number);
        output.u32(attributes.uid);
        output.u32(attributes.gid);
        output.u64(attributes.mtime.0.cast_unsigned());
        output.u32(attributes.mtime.1);
        output.u32(place.links);
        output.buffer.extend_from_slice(&[0; 16]);
    } else {
        output.u16(place.links as u16);
        output.u32(place.size as u32);
        output.u32(0);
        output.u32(union);
        output.u32(number);
        output.u16(attributes.uid as u16);
        output.u16(attributes.gid as u16);
        output.u32(0);
    }
    if place.xattrs > 0 {
        output.buffer.extend_from_slice(&[0; XATTR_HEADER as usize]);
        for (name, value) in &attributes.xattrs {
            let Some((prefix, suffix)) = split_xattr(name) else { continue };
            output.buffer.extend_from_slice(&[suffix.len() as u8, prefix]);
            output.u16(value.len() as u16);
            output.buffer.extend_from_slice(suffix);
            output.buffer.extend_from_slice(value);
            let end = output.position + output.buffer.len() as u64;
            output.pad_to(end.next_multiple_of(4));
        }
    }
    if place.inline > 0 {
        let data = small_data(plan, node, index);
        let outside = (place.size - place.inline) as usize;
        output.buffer.extend_from_slice(&data[outside..]);
    }
}

/// The data of a directory or symbolic link.
fn small_data<F>(plan: &Plan, node: &Node<F>, index: usize) -> Vec<u8> {
    match &node.content {
        Content::Symlink(target) => target.clone(),
        Content::Directory => directory(plan, node, index),
        _ => Vec::new(),
    }
}

fn directory<F>(plan: &Plan, node: &Node<F>, index: usize) -> Vec<u8> {
    let names = names(node);
    let mut data = Vec::new();
    for group in groups(&names) {
        data.resize(data.len().next_multiple_of(BLOCK_SIZE), 0);
        let mut name_at = group.len() * DIRENT_SIZE;
        for &(name, child) in group {
            let target = match child {
                Child::Own => index,
                Child::Parent => plan.place(index).map_or(ROOT, |place| place.parent),
                Child::Node(node) => node,
            };
            data.extend_from_slice(&plan.place(target).map_or(0, Place::nid).to_le_bytes());
            data.extend_from_slice(&(name_at as u16).to_le_bytes());
            data.extend_from_slice(&[plan.kind_of(child).entry(), 0]);
            name_at += name.len();
        }
        for (name, _) in group {
            data.extend_from_slice(name);
        }
    }
    data
}

impl Plan {
    fn kind_of(&self, child: Child) -> Kind {
        match child {
            Child::Own | Child::Parent => Kind::Directory,
            Child::Node(node) => self.place(node).map_or(Kind::File, |place| place.kind),
        }
    }
}

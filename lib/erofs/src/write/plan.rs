//! The layout of an image, computed before anything is written.
//!
//! Superblock, then inodes (with extended attributes, and small directories and symbolic
//! links behind them), then the blocks of larger directories, then file data.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::BLOCK_SIZE;
use super::tree::{Content, Node, ROOT, Tree, split_xattr};
use crate::inode::Kind;
use crate::layout::{
    COMPACT_SIZE, DIRENT_SIZE, EXTENDED_SIZE, SLOT, SUPER_OFFSET, SUPER_SIZE, XATTR_ENTRY,
    XATTR_HEADER,
};

const BLOCK: u64 = BLOCK_SIZE as u64;

/// Where an inode and its data go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// In bytes from the start of the image.
    pub(crate) offset: u64,
    pub(crate) extended: bool,
    pub(crate) links: u32,
    /// The folder it was first found in: `..` of a directory.
    pub(crate) parent: usize,
    pub(crate) size: u64,
    /// Bytes of the data that lie behind the inode.
    pub(crate) inline: u64,
    /// The first block of the rest.
    pub(crate) block: u32,
    pub(crate) xattrs: u64,
    pub(crate) kind: Kind,
}

impl Place {
    pub(crate) fn nid(&self) -> u64 {
        self.offset / SLOT
    }

    pub(crate) fn header(&self) -> u64 {
        if self.extended { EXTENDED_SIZE } else { COMPACT_SIZE }
    }

    /// Blocks outside the inode.
    fn blocks(&self) -> u64 {
        (self.size - self.inline).div_ceil(BLOCK)
    }
}

/// The whole layout.
pub(crate) struct Plan {
    /// Nodes in the order of their inodes; all that can be reached, each once.
    pub(crate) order: Vec<usize>,
    /// By node.
    places: Vec<Option<Place>>,
    /// Blocks of the image.
    pub(crate) blocks: u32,
}

impl Plan {
    /// `None` if the image would have more than 2³² blocks. Inodes whose time is `epoch` and
    /// whose numbers are small take half the room.
    pub(crate) fn new<F>(tree: &Tree<F>, epoch: (i64, u32)) -> Option<Self> {
        let mut plan = Self { order: Vec::new(), places: Vec::new(), blocks: 0 };
        plan.places.resize(tree.nodes.len(), None);
        plan.visit(tree);
        let mut cursor = (SUPER_OFFSET + SUPER_SIZE) as u64;
        for &index in &plan.order {
            let place = plan.places[index].as_mut()?;
            settle(&tree.nodes[index], place, &mut cursor, epoch);
        }
        let mut next = cursor.div_ceil(BLOCK);
        // Metadata first, so that it stays together however large the files are.
        for files in [false, true] {
            for &index in &plan.order {
                let place = plan.places[index].as_mut()?;
                if files == matches!(tree.nodes[index].content, Content::File { .. })
                    && place.blocks() > 0
                {
                    place.block = u32::try_from(next).ok()?;
                    next = next.checked_add(place.blocks())?;
                }
            }
        }
        plan.blocks = u32::try_from(next).ok().filter(|&blocks| blocks < u32::MAX)?;
        Some(plan)
    }

    /// Finds every inode, breadth first, so that the inodes of a directory are neighbours.
    fn visit<F>(&mut self, tree: &Tree<F>) {
        let mut queue = VecDeque::from([(ROOT, ROOT)]);
        while let Some((index, parent)) = queue.pop_front() {
            let node = &tree.nodes[index];
            let is_directory = matches!(node.content, Content::Directory);
            if let Some(place) = &mut self.places[index] {
                place.links += 1;
                continue;
            }
            self.places[index] = Some(Place {
                offset: 0,
                extended: true,
                links: if is_directory { 2 } else { 1 },
                parent,
                size: 0,
                inline: 0,
                block: 0,
                xattrs: xattr_length(node),
                kind: node.content.kind(),
            });
            if is_directory
                && index != ROOT
                && let Some(folder) = &mut self.places[parent]
            {
                folder.links += 1;
            }
            self.order.push(index);
            queue.extend(node.children.values().map(|&child| (child, index)));
        }
    }

    /// The place of a node that is in `order`.
    pub(crate) fn place(&self, index: usize) -> Option<&Place> {
        self.places.get(index)?.as_ref()
    }
}

/// Chooses format, size and place of one inode.
fn settle<F>(node: &Node<F>, place: &mut Place, cursor: &mut u64, epoch: (i64, u32)) {
    place.size = match &node.content {
        Content::File { size, .. } => *size,
        Content::Directory => {
            let names = names(node);
            let groups = groups(&names);
            let last = groups.last().map_or(0, |group| group_length(group));
            (groups.len().saturating_sub(1) * BLOCK_SIZE + last) as u64
        }
        Content::Symlink(target) => target.len() as u64,
        _ => 0,
    };
    let attributes = &node.attributes;
    let small = |value: u32| u16::try_from(value).is_ok();
    place.extended = attributes.mtime != epoch
        || u32::try_from(place.size).is_err()
        || ![attributes.uid, attributes.gid, place.links].into_iter().all(small);
    let head = place.header() + place.xattrs;
    let tail = match node.content.kind() {
        Kind::Directory | Kind::Symlink => place.size % BLOCK,
        // Files stay on pages, so that they can be mapped where they lie.
        _ => 0,
    };
    if head + tail <= BLOCK {
        place.inline = tail;
    }
    let room = BLOCK - *cursor % BLOCK;
    // An inode with what lies behind it stays within a block; one with attributes too large
    // for that at least starts with a whole header.
    if head + place.inline > room && (head + place.inline <= BLOCK || place.header() > room) {
        *cursor += room;
    }
    place.offset = *cursor;
    *cursor += (head + place.inline).next_multiple_of(SLOT);
}

fn xattr_length<F>(node: &Node<F>) -> u64 {
    let entry = |(name, value): (&Vec<u8>, &Vec<u8>)| {
        let suffix = split_xattr(name).map_or(0, |(_, suffix)| suffix.len());
        (XATTR_ENTRY + suffix + value.len()).next_multiple_of(4) as u64
    };
    match node.attributes.xattrs.iter().map(entry).sum() {
        0 => 0,
        entries => XATTR_HEADER + entries,
    }
}

/// A name in a directory; `Child::Own` is `.`, `Child::Parent` is `..`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    Own,
    Parent,
    Node(usize),
}

/// All names of a directory in the order of the disk format.
pub(crate) fn names<F>(node: &Node<F>) -> Vec<(&[u8], Child)> {
    let mut names: Vec<(&[u8], Child)> =
        node.children.iter().map(|(name, &child)| (&name[..], Child::Node(child))).collect();
    names.push((b".", Child::Own));
    names.push((b"..", Child::Parent));
    names.sort_unstable_by_key(|&(name, _)| name);
    names
}

fn group_length(group: &[(&[u8], Child)]) -> usize {
    group.iter().map(|(name, _)| DIRENT_SIZE + name.len()).sum()
}

/// Cuts the names of a directory into blocks.
pub(crate) fn groups<'a, 'b>(names: &'b [(&'a [u8], Child)]) -> Vec<&'b [(&'a [u8], Child)]> {
    let mut groups = Vec::new();
    let (mut start, mut used) = (0, 0);
    for (index, (name, _)) in names.iter().enumerate() {
        let length = DIRENT_SIZE + name.len();
        if used + length > BLOCK_SIZE {
            groups.push(&names[start..index]);
            (start, used) = (index, 0);
        }
        used += length;
    }
    groups.push(&names[start..]);
    groups
}

//! A tree with one of everything, and helpers.

use std::collections::BTreeMap;

use erofs::Device;
use erofs::write::{Attributes, Content, Options, Tree, write};

pub const EPOCH: (i64, u32) = (1_700_000_000, 0);

/// File data: a size and a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern(pub u8);

pub fn byte(seed: u8, position: u64) -> u8 {
    (position.wrapping_mul(31) ^ (position >> 12)) as u8 ^ seed
}

pub fn attributes(permissions: u16) -> Attributes {
    Attributes { mtime: EPOCH, ..Attributes::new(permissions) }
}

pub fn image(tree: &Tree<Pattern>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = |pattern: &Pattern, position: u64, buffer: &mut [u8]| {
        for (offset, slot) in (0..).zip(buffer.iter_mut()) {
            *slot = byte(pattern.0, position + offset);
        }
        Ok::<usize, std::convert::Infallible>(buffer.len())
    };
    let put = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    let options = Options { epoch: EPOCH, uuid: *b"0123456789abcdef" };
    let length = write(tree, &options, read, put).unwrap();
    assert_eq!(length, bytes.len() as u64);
    bytes
}

/// Everything that the format can hold, in sizes around the limits.
pub fn everything() -> Tree<Pattern> {
    let mut tree = Tree::new(attributes(0o755)).unwrap();
    for (number, size) in [0, 1, 4095, 4096, 4097, 65536, 300_001].into_iter().enumerate() {
        let content = Content::File { size, data: Pattern(number as u8) };
        tree.insert(format!("files/f{size}").as_bytes(), attributes(0o644), content).unwrap();
    }
    for number in 0..700 {
        let content = Content::File { size: number % 3, data: Pattern(0) };
        let name = format!("/large/{}-{number}", "n".repeat(number as usize % 200));
        tree.insert(name.as_bytes(), attributes(0o600), content).unwrap();
    }
    for length in [1, 100, 4000, 4032, 4064, 4095] {
        let target = vec![b't'; length];
        let name = format!("links/s{length}");
        tree.insert(name.as_bytes(), attributes(0o777), Content::Symlink(target)).unwrap();
    }
    tree.link(b"links/hard", b"files/f4097").unwrap();
    tree.link(b"/hard2", b"/files/f4097").unwrap();
    let device = Device { major: 259, minor: 0x4_5678 };
    tree.insert(b"dev/block", attributes(0o660), Content::BlockDevice(device)).unwrap();
    let device = Device { major: 1, minor: 3 };
    tree.insert(b"dev/null", attributes(0o666), Content::CharDevice(device)).unwrap();
    tree.insert(b"dev/fifo", attributes(0o600), Content::Fifo).unwrap();
    tree.insert(b"dev/socket", attributes(0o600), Content::Socket).unwrap();
    let owned = Attributes {
        uid: 1_000_000,
        gid: 70_000,
        mtime: (-5, 999_999_999),
        xattrs: BTreeMap::from([
            (b"user.colour".to_vec(), b"blue".to_vec()),
            (b"user.empty".to_vec(), vec![]),
            (b"security.capability".to_vec(), vec![1, 0, 0, 2, 0, 4, 0, 0]),
            (b"trusted.long".to_vec(), vec![7; 900]),
        ]),
        permissions: 0o4755,
    };
    let content = Content::File { size: 10, data: Pattern(9) };
    tree.insert(b"owned", owned.clone(), content).unwrap();
    tree.insert(b"owned-folder", owned.clone(), Content::Directory).unwrap();
    let mut huge = Attributes { permissions: 0o777, ..owned };
    huge.xattrs.insert(b"user.huge".to_vec(), vec![3; 20_000]);
    tree.insert(b"huge-xattr", huge, Content::Symlink(b"x".to_vec())).unwrap();
    tree.insert(b"!before", attributes(0o644), Content::File { size: 1, data: Pattern(1) })
        .unwrap();
    tree
}

//! The reader survives anything: damaged images, and bytes that never were an image.

mod common;

use std::sync::OnceLock;

use common::{everything, image};
use erofs::{Image, Inode, Kind};
use proptest::prelude::*;

/// Uses every operation on all that can be reached, in bounded time.
fn explore(bytes: &[u8]) {
    let Ok(parsed) = Image::new(bytes) else { return };
    let mut budget = 3000;
    let mut folders = vec![parsed.root()];
    while let Some(folder) = folders.pop() {
        let Ok(inode) = parsed.inode(folder) else { continue };
        touch(&parsed, &inode);
        let Ok(entries) = parsed.entries(&inode, 0) else { continue };
        for entry in entries {
            budget -= 1;
            if budget < 0 {
                return;
            }
            let Ok(entry) = entry else { break };
            let _ = parsed.lookup(&inode, entry.name);
            let Ok(child) = parsed.inode(entry.nid) else { continue };
            touch(&parsed, &child);
            if child.kind == Kind::Directory && entry.name != b"." && entry.name != b".." {
                folders.push(entry.nid);
            }
        }
    }
}

fn touch(parsed: &Image<'_>, inode: &Inode) {
    let _ = parsed.readlink(inode);
    if let Ok(xattrs) = parsed.xattrs(inode) {
        for xattr in xattrs.take(1000) {
            let _ = xattr;
        }
    }
    for position in [0, 1, inode.size / 2, inode.size.saturating_sub(1), inode.size, u64::MAX] {
        let _ = parsed.extent(inode, position);
        let _ = parsed.read(inode, position, &mut [0; 5000]);
        let _ = parsed.entries(inode, position).map(|mut entries| entries.next());
    }
}

/// Superblock checksums are cleared, or nearly no change would get past them.
fn without_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[1024 + 8] &= !1;
    bytes
}

#[test]
fn damaged_images_do_not_panic() {
    let good = without_checksum(image(&everything()));
    explore(&good);
    // Only metadata matters: where it ends is where the first file begins.
    let metadata = good.len().min(120_000);
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..=random() % 8 {
            let at = if random() % 4 == 0 { 1024 + random() % 3000 } else { random() };
            let at = at as usize % metadata;
            match random() % 4 {
                0 => bytes[at] = random() as u8,
                1 => bytes[at] ^= 1 << (random() % 8),
                2 => bytes[at] = 0xff,
                _ => {
                    let end = (at + 4).min(bytes.len());
                    bytes[at..end].fill(0xff);
                }
            }
        }
        if random() % 8 == 0 {
            bytes.truncate(random() as usize % good.len());
        }
        explore(&bytes);
    }
}

proptest! {
    #[test]
    fn random_inodes_do_not_panic(header in proptest::collection::vec(any::<u8>(), 4096)) {
        static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
        let good = IMAGE.get_or_init(|| without_checksum(image(&everything())));
        let mut bytes = good.clone();
        bytes[1152..4096].copy_from_slice(&header[..2944]);
        bytes[12_288..16_384].copy_from_slice(&header);
        explore(&bytes);
    }
}

#[test]
fn a_wrong_checksum_is_noticed() {
    let mut bytes = image(&everything());
    bytes[2000] ^= 1;
    assert_eq!(Image::new(&bytes).err(), Some(erofs::Error::Checksum));
    assert_eq!(Image::new(&bytes[..1100]).err(), Some(erofs::Error::NotErofs));
}

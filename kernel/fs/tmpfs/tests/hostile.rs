//! Damaged images as the lower tree: errors, but no panic and no endless work, whatever is read,
//! written, moved or removed.

mod common;

use std::ops::ControlFlow;

use common::{NOW, image};
use erofs::write::{Attributes, Content, Tree};
use tmpfs::{HeapMemory, Limits, Lower, Tmpfs};
use vfs::{FileSystem, Inode, Kind, PageMemory, Rename};

fn sample() -> &'static [u8] {
    let mut tree = Tree::new(Attributes::new(0o755)).unwrap();
    for path in ["a/b/c", "a/one", "a/two", "top"] {
        let data = path.as_bytes().repeat(3000);
        let content = Content::File { size: data.len() as u64, data };
        tree.insert(path.as_bytes(), Attributes::new(0o644), content).unwrap();
    }
    tree.insert(b"empty", Attributes::new(0o755), Content::Directory).unwrap();
    tree.insert(b"a/link", Attributes::new(0o777), Content::Symlink(b"b/c".to_vec())).unwrap();
    let mut many = Attributes::new(0o600);
    many.xattrs.insert(b"user.x".to_vec(), vec![1; 100]);
    tree.insert(b"fifo", many, Content::Fifo).unwrap();
    image(&tree)
}

fn explore(memory: &HeapMemory, directory: &dyn Inode, depth: usize, budget: &mut usize) {
    let mut names = Vec::new();
    let _ = directory.read_directory(0, &mut |entry| {
        names.push(entry.name.to_vec());
        if names.len() < 20 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    for name in names {
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        let Ok(inode) = directory.lookup(&name) else { continue };
        let metadata = inode.metadata();
        let _ = inode.read_link();
        for xattr in inode.xattr_names() {
            let _ = inode.xattr(&xattr);
        }
        if metadata.kind == Kind::File {
            let _ = common::read(memory, &*inode, metadata.size / 2, 9000);
            let _ = common::write(memory, &*inode, 5000, b"written");
            let _ = inode.seek(0, vfs::SeekTarget::Hole);
            let _ = inode.truncate(metadata.size / 3, NOW);
        }
        if metadata.kind == Kind::Directory && depth > 0 {
            explore(memory, &*inode, depth - 1, budget);
            let _ = directory.remove_directory(&name, NOW);
            let _ = inode.rename(b"one", &inode, b"two", Rename::Replace, NOW);
            let again = directory.lookup(&name).unwrap_or(inode);
            let _ = directory.rename(b"a", &again, b"b", Rename::Replace, NOW);
            let _ = directory.rename(&name, &again, b"b", Rename::Exchange, NOW);
        }
        if let Ok(inode) = directory.lookup(&name) {
            let _ = directory.link(b"further", &inode, NOW);
        }
        let _ = directory.unlink(&name, NOW);
    }
}

#[test]
fn damage_gives_errors() {
    common::check_locks();
    let good = sample();
    let memory = HeapMemory::leak(600);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut mounted = 0;
    for _ in 0..600 {
        let mut bytes = good.to_vec();
        bytes[1024 + 8] &= !1;
        for _ in 0..=random(6) {
            let at = 1152 + random(1200);
            bytes[at] = match random(3) {
                0 => random(256) as u8,
                1 => bytes[at] ^ 1 << random(8),
                // Numbers of inodes that exist make loops.
                _ => bytes[1152 + random(1200)],
            };
        }
        let pages = bytes.len() / 4096;
        let phys = memory.allocate(pages, false).unwrap();
        memory.write(phys, &bytes);
        let bytes: &'static [u8] = Vec::leak(bytes);
        if let Ok(image) = erofs::Image::new(bytes)
            && let Ok(tmpfs) = Tmpfs::over(memory, Limits::NONE, Lower { image, phys })
        {
            mounted += 1;
            explore(memory, &*tmpfs.root(), 6, &mut 200);
        }
        memory.release(phys, pages);
        assert_eq!(memory.used(), 0);
    }
    assert!(mounted > 300, "only {mounted} were tried");
}

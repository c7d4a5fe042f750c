//! Names, data, permissions, mounts: what each operation does, one by one.

mod common;

use common::World;
use errno::Errno;
use vfs::{NewKind, OpenHow, Rename};

#[test]
fn files_keep_what_is_written() {
    let world = World::new(5000);
    let file = world.create("/file");
    let data: Vec<u8> = (0..100_000u32).map(|n| (n * 7) as u8).collect();
    world.write(&**file.inode(), 3000, &data).unwrap();
    assert_eq!(file.inode().size(), 103_000);
    assert_eq!(world.read(&**file.inode(), 3000, 100_000).unwrap(), data);
    assert_eq!(world.read(&**file.inode(), 0, 3000).unwrap(), vec![0; 3000]);
    world.context().unlink(None, b"/file").unwrap();
    assert_eq!(world.find("/file").err(), Some(Errno::ENOENT));
    assert_eq!(world.read(&**file.inode(), 3000, 10).unwrap(), data[..10], "still open");
    assert_eq!(file.path(&world.root).into_link_text(), b"/file (deleted)");
    drop(file);
    assert_eq!(world.memory.used(), 0);
}

#[test]
fn paths_follow_renames() {
    let world = World::new(10);
    world.mkdir("/a").unwrap();
    world.mkdir("/a/b").unwrap();
    world.mkdir("/c").unwrap();
    let file = world.create("/a/b/file");
    world.context().rename(None, b"/a/b", None, b"/c/d", Rename::Replace).unwrap();
    assert_eq!(file.path(&world.root).text, b"/c/d/file");
    assert!(world.find("/c/d/file").unwrap().is_same(&file));
    assert_eq!(world.find("/a/b").err(), Some(Errno::ENOENT));
    let moved = world.context().rename(None, b"/c", None, b"/c/d/e", Rename::Replace);
    assert_eq!(moved, Err(Errno::EINVAL));
    let exchanged = world.context().rename(None, b"/a", None, b"/c/d", Rename::Exchange);
    assert_eq!(exchanged, Ok(()));
    assert_eq!(file.path(&world.root).text, b"/a/file");
}

#[test]
fn links_lead_where_they_say() {
    let world = World::new(10);
    world.mkdir("/dir").unwrap();
    let file = world.create("/dir/file");
    world.symlink("dir", "/link").unwrap();
    world.symlink("/dir/file", "/dir/absolute").unwrap();
    world.symlink("loop", "/loop").unwrap();
    world.symlink("missing", "/dangling").unwrap();
    assert!(world.find("/link/absolute").unwrap().is_same(&file));
    assert_eq!(world.find("/loop").err(), Some(Errno::ELOOP));
    assert_eq!(world.find("/dangling").err(), Some(Errno::ENOENT));
    let created = world.create("/dangling");
    assert_eq!(created.path(&world.root).text, b"/missing");
    assert_eq!(world.find("/dir/file/").err(), Some(Errno::ENOTDIR));
    assert_eq!(world.find("/dir/file/x").err(), Some(Errno::ENOTDIR));
    assert_eq!(world.find(&format!("/{}", "x".repeat(256))).err(), Some(Errno::ENAMETOOLONG));
    let exclusive = OpenHow { create: true, exclusive: true, ..OpenHow::default() };
    assert_eq!(world.open("/link", exclusive).err(), Some(Errno::EEXIST));
    assert!(world.find("/link/..").unwrap().is_same(&world.root));
    let fifo = world.context().make(None, b"/dir/fifo", NewKind::Fifo, 0o600).unwrap();
    assert_eq!(fifo.metadata().0.mode(), 0o010_600);
}

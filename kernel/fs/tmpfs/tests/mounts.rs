//! Mounts, restricted walks, events, directories that change while they are read.

mod common;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use common::{NOW, World, directory, image};
use erofs::write::{Attributes, Content, Tree};
use errno::Errno;
use tmpfs::{HeapMemory, Limits, Tmpfs};
use vfs::{
    Dentry, Event, EventKind, Final, Listener, MountFlags, Namespace, NewKind, Rename, Resolve,
    Superblock,
};

fn another(world: &World) -> Arc<Superblock> {
    Superblock::new(Tmpfs::new(world.memory, Limits::NONE, &directory(), NOW), 8)
}

#[test]
fn mounts_cover_and_uncover() {
    let world = World::new(20);
    world.mkdir("/mnt").unwrap();
    world.create("/mnt/below");
    let place = world.find("/mnt").unwrap();
    let superblock = another(&world);
    let mount = world.namespace.mount(&place, superblock.clone(), None, MountFlags::NONE).unwrap();
    assert_eq!(world.find("/mnt/below").err(), Some(Errno::ENOENT));
    let file = world.create("/mnt/file");
    assert_eq!(file.metadata().1, 8, "st_dev");
    assert_eq!(file.path(&world.root).text, b"/mnt/file");
    assert!(world.find("/mnt/..").unwrap().is_same(&world.root));
    assert!(world.find("/mnt").unwrap().parent(&world.root).is_same(&world.root));
    let moved = world.context().rename(None, b"/mnt/file", None, b"/file", Rename::Replace);
    assert_eq!(moved, Err(Errno::EXDEV));
    let linked = world.context().link(&file, None, b"/file");
    assert_eq!(linked, Err(Errno::EXDEV));
    assert_eq!(world.context().remove_directory(None, b"/mnt"), Err(Errno::EBUSY));
    let moved = world.context().rename(None, b"/mnt", None, b"/x", Rename::Replace);
    assert_eq!(moved, Err(Errno::EBUSY));
    // A second mount on top, and a part of the first elsewhere.
    let second = another(&world);
    world.namespace.mount(&place, second, None, MountFlags::NONE).unwrap();
    assert!(world.names("/mnt").len() == 2);
    world.namespace.unmount(world.find("/mnt").unwrap(), false).unwrap();
    assert!(world.names("/mnt").contains("file"));
    world.mkdir("/bind").unwrap();
    world.mkdir("/mnt/part").unwrap();
    world.create("/mnt/part/inside");
    let part = world.find("/mnt/part").unwrap();
    let bind = world.find("/bind").unwrap();
    let root = Some(part.dentry().clone());
    world.namespace.mount(&bind, superblock, root, MountFlags::READ_ONLY).unwrap();
    assert_eq!(world.names("/bind").len(), 3);
    assert_eq!(world.mkdir("/bind/x").err(), Some(Errno::EROFS));
    let inside = world.find("/bind/inside").unwrap();
    assert_eq!(inside.path(&world.root).text, b"/bind/inside");
    assert!(world.find("/bind/..").unwrap().is_same(&world.root));
    assert_eq!(world.namespace.mounts().len(), 3);
    assert_eq!(
        world.namespace.unmount(world.find("/bind").unwrap(), false),
        Err(Errno::EBUSY),
        "a file is open"
    );
    drop(inside);
    world.namespace.unmount(world.find("/bind").unwrap(), false).unwrap();
    drop((part, mount));
    assert_eq!(world.namespace.unmount(world.find("/mnt").unwrap(), false), Err(Errno::EBUSY));
    world.namespace.unmount(world.find("/mnt").unwrap(), true).unwrap();
    assert!(world.find("/mnt/below").is_ok());
    assert_eq!(world.read(&**file.inode(), 0, 10).unwrap(), b"");
    assert!(!file.path(&world.root).reachable);
    assert_eq!(world.namespace.unmount(world.root.clone(), false), Err(Errno::EBUSY));
    let file = world.find("/mnt/below").unwrap();
    let on_file = world.namespace.mount(&file, another(&world), None, MountFlags::NONE);
    assert_eq!(on_file.err(), Some(Errno::ENOTDIR));
}

#[test]
fn restricted_walks_stay_inside() {
    let world = World::new(20);
    world.mkdir("/jail").unwrap();
    world.mkdir("/jail/dir").unwrap();
    world.create("/jail/etc");
    world.create("/etc");
    world.symlink("/etc", "/jail/absolute").unwrap();
    world.symlink("../../etc", "/jail/dir/up").unwrap();
    world.symlink("etc", "/jail/near").unwrap();
    let jail = world.find("/jail").unwrap();
    let walk = |path: &str, resolve| {
        let context = world.context();
        let found = context.resolve(Some(&jail), path.as_bytes(), Final::Follow, resolve);
        found.map(|place| String::from_utf8(place.path(&world.root).text).unwrap())
    };
    let beneath = Resolve { beneath: true, ..Resolve::default() };
    assert_eq!(walk("dir/../etc", beneath).unwrap(), "/jail/etc");
    assert_eq!(walk("near", beneath).unwrap(), "/jail/etc");
    assert_eq!(walk("..", beneath), Err(Errno::EXDEV));
    assert_eq!(walk("absolute", beneath), Err(Errno::EXDEV));
    assert_eq!(walk("/etc", beneath), Err(Errno::EXDEV));
    assert_eq!(walk("dir/up", beneath), Err(Errno::EXDEV));
    let in_root = Resolve { in_root: true, ..Resolve::default() };
    assert_eq!(walk("absolute", in_root).unwrap(), "/jail/etc");
    assert_eq!(walk("dir/up", in_root).unwrap(), "/jail/etc");
    assert_eq!(walk("/../../etc", in_root).unwrap(), "/jail/etc");
    let no_links = Resolve { no_symlinks: true, ..Resolve::default() };
    assert_eq!(walk("near", no_links), Err(Errno::ELOOP));
    assert_eq!(walk("etc", no_links).unwrap(), "/jail/etc");
    world.mkdir("/jail/mnt").unwrap();
    let place = world.find("/jail/mnt").unwrap();
    world.namespace.mount(&place, another(&world), None, MountFlags::NONE).unwrap();
    let no_mounts = Resolve { no_mounts: true, ..Resolve::default() };
    assert_eq!(walk("mnt", no_mounts), Err(Errno::EXDEV));
    assert_eq!(walk("mnt", Resolve::default()).unwrap(), "/jail/mnt");
    // A process whose root is the jail.
    let mut world = world;
    world.root = jail.clone();
    world.cwd = jail.clone();
    assert!(world.find("/../..").unwrap().is_same(&jail));
    assert_eq!(world.find("absolute").unwrap().path(&jail).text, b"/etc");
}

#[test]
fn directories_list_each_name_once_while_they_change() {
    let mut tree = Tree::new(Attributes::new(0o755)).unwrap();
    for number in 0..300 {
        let name = format!("dir/stay{number}");
        let content = Content::File { size: 0, data: vec![] };
        tree.insert(name.as_bytes(), Attributes::new(0o644), content).unwrap();
        let name = format!("dir/go{number}");
        tree.insert(name.as_bytes(), Attributes::new(0o755), Content::Directory).unwrap();
    }
    let world = World::over(HeapMemory::leak(100), image(&tree));
    let place = world.find("/dir").unwrap();
    let (mut seen, mut cookie, mut round) = (BTreeSet::new(), 0, 0);
    loop {
        let before = cookie;
        let mut room = 7;
        place
            .read_directory(&world.root, cookie, &mut |entry| {
                if room == 0 {
                    return ControlFlow::Break(());
                }
                room -= 1;
                cookie = entry.cookie;
                assert!(seen.insert(entry.name.to_vec()), "{}", entry.name.escape_ascii());
                ControlFlow::Continue(())
            })
            .unwrap();
        if cookie == before {
            break;
        }
        if round < 200 {
            let gone = format!("/dir/go{}", 299 - round);
            world.context().remove_directory(None, gone.as_bytes()).unwrap();
            world.mkdir(&format!("/dir/new{round}")).unwrap();
            let (old, new) = (format!("/dir/new{round}"), format!("/dir/moved{round}"));
            let context = world.context();
            context.rename(None, old.as_bytes(), None, new.as_bytes(), Rename::Replace).unwrap();
        }
        round += 1;
    }
    for number in 0..300 {
        assert!(seen.contains(format!("stay{number}").as_bytes()), "{number}");
    }
    assert_eq!(world.names("/dir").len(), 2 + 300 + 100 + 200);
    assert_eq!(place.metadata().0.links, 2 + 100 + 200);
}

#[test]
fn inodes_of_the_image_keep_their_numbers_and_changes() {
    let mut tree = Tree::new(Attributes::new(0o755)).unwrap();
    let mut attributes = Attributes::new(0o644);
    attributes.xattrs.insert(b"user.old".to_vec(), b"1".to_vec());
    for name in ["a/one", "a/two", "b/three"] {
        let content = Content::File { size: 3, data: b"abc".to_vec() };
        tree.insert(name.as_bytes(), attributes.clone(), content).unwrap();
    }
    tree.link(b"b/one", b"a/one").unwrap();
    let world = World::over(HeapMemory::leak(100), image(&tree));
    let number = |path: &str| world.find(path).unwrap().metadata().0.number;
    let before = (number("/a"), number("/a/one"), number("/a/two"));
    assert_eq!(number("/a/one"), number("/b/one"));
    let one = world.find("/a/one").unwrap();
    world.context().change_mode(&one, 0o600).unwrap();
    world.context().set_xattr(&one, b"user.new", b"2", vfs::XattrMode::Any).unwrap();
    world.write(&**one.inode(), 1, b"X").unwrap();
    drop(one);
    world.context().rename(None, b"/a", None, b"/b/a", Rename::Replace).unwrap();
    // Push everything out of the cache of names.
    for round in 0..1100 {
        let name = format!("/f{round}");
        world.create(&name);
    }
    assert_eq!((number("/b/a"), number("/b/a/one"), number("/b/a/two")), before);
    let one = world.find("/b/one").unwrap();
    let metadata = one.metadata().0;
    assert_eq!((metadata.permissions, metadata.links), (0o600, 2));
    assert_eq!(world.read(&**one.inode(), 0, 9).unwrap(), b"aXc");
    let mut names = world.context().xattr_names(&one);
    names.sort();
    assert_eq!(names, [b"user.new".to_vec(), b"user.old".to_vec()]);
    let two = world.find("/b/a/two").unwrap();
    assert_eq!(world.context().xattr(&two, b"user.old").unwrap(), b"1");
    let used = world.memory.used();
    world.context().unlink(None, b"/b/one").unwrap();
    world.context().unlink(None, b"/b/a/one").unwrap();
    assert_eq!(one.metadata().0.links, 0);
    assert_eq!(world.memory.used(), used);
    drop(one);
    assert_eq!(world.memory.used(), used - 1, "the changed page went with the last user");
}

#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Listener for Log {
    fn event(&self, event: &Event<'_>) {
        let name = event.name.map_or(String::new(), |(directory, name)| {
            format!("{}/{}", directory.name().escape_ascii(), name.escape_ascii())
        });
        self.0.lock().unwrap().push(format!("{:?} {name}", event.kind));
    }
}

#[test]
fn listeners_hear_of_changes() {
    let mut world = World::new(20);
    let log = Arc::new(Log::default());
    let superblock = another(&world);
    world.namespace = Namespace::new(superblock, MountFlags::NONE, Some(log.clone()));
    world.root = world.namespace.root().clone();
    world.cwd = world.root.clone();
    world.mkdir("/dir").unwrap();
    let file = world.create("/file");
    world.context().link(&file, None, b"/dir/link").unwrap();
    world.context().rename(None, b"/file", None, b"/dir/file", Rename::Replace).unwrap();
    world.context().unlink(None, b"/dir/link").unwrap();
    world.context().change_mode(&file, 0o600).unwrap();
    world.context().truncate(&file, 5).unwrap();
    world.context().unlink(None, b"/dir/file").unwrap();
    let expected = [
        "Created /dir",
        "Created /file",
        "LinksChanged ",
        "Created dir/link",
        "MovedFrom { cookie: 1 } /file",
        "MovedTo { cookie: 1 } dir/file",
        "Removed dir/link",
        "Attributes ",
        "Modified ",
        "Removed dir/file",
        "Gone ",
    ];
    assert_eq!(*log.0.lock().unwrap(), expected);
    assert_eq!(EventKind::Gone, EventKind::Gone);
}

#[test]
fn very_deep_trees_come_and_go() {
    let mut world = World::new(20);
    let top = world.root.clone();
    for _ in 0..20_000 {
        world.context().make(None, b"d", NewKind::Directory, 0o755).unwrap();
        world.cwd = world.find("d").unwrap();
    }
    let deep = world.cwd.path(&top);
    assert_eq!(deep.text.len(), 40_000);
    // On a thread with as little stack as a kernel has.
    let small = std::thread::Builder::new().stack_size(64 * 1024);
    let cwd = std::mem::replace(&mut world.cwd, top.clone());
    let dentry: Arc<Dentry> = cwd.dentry().clone();
    drop((cwd, top));
    let World { tmpfs, namespace, root, cwd, .. } = world;
    small.spawn(move || drop((tmpfs, namespace, root, cwd, dentry))).unwrap().join().unwrap();
}

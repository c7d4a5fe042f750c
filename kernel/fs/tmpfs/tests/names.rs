//! Threads that make, move and remove the same names: no deadlock, and afterwards the cache of
//! names and the file system agree.

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use common::World;
use errno::Errno;
use vfs::{Final, Location, Rename, Resolve};

fn check(world: &World, place: &Location, path: &str) -> usize {
    let mut names = Vec::new();
    place
        .inode()
        .read_directory(0, &mut |entry| {
            names.push((String::from_utf8(entry.name.to_vec()).unwrap(), entry.number));
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut count = names.len();
    for (name, number) in names {
        let path = format!("{path}/{name}");
        let found = world.find_link(&path).unwrap();
        assert_eq!(found.metadata().0.number, number, "{path}");
        let inode = place.inode().lookup(name.as_bytes()).unwrap();
        assert!(Arc::ptr_eq(found.inode(), &inode), "{path}");
        assert_eq!(found.path(&world.root).into_link_text(), path.as_bytes());
        if found.kind() == vfs::Kind::Directory {
            count += check(world, &found, &path);
        }
    }
    count
}

#[test]
fn cache_and_file_system_agree_after_a_storm() {
    for round in 0..5 {
        let world = Arc::new(World::new(50));
        for path in ["/a", "/b", "/a/c", "/b/d"] {
            world.mkdir(path).unwrap();
        }
        let threads: Vec<_> = (0..3u64)
            .map(|thread| {
                let world = world.clone();
                std::thread::spawn(move || {
                    common::check_locks();
                    storm(&world, round * 10 + thread + 1);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        check(&world, &world.root, "");
    }
}

fn storm(world: &World, seed: u64) {
    let mut state = seed;
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as usize % below
    };
    let folders = ["", "/a", "/b", "/a/c", "/b/d", "/a/x", "/b/x", "/a/c/y"];
    let leaves = ["x", "y", "c", "d"];
    let mut held = Vec::new();
    for _ in 0..4000 {
        let one = format!("{}/{}", folders[next(8)], leaves[next(4)]);
        let two = format!("{}/{}", folders[next(8)], leaves[next(4)]);
        let context = world.context();
        let result = match next(9) {
            0 | 1 => world.mkdir(&one).map(drop),
            2 => context.make(None, one.as_bytes(), vfs::NewKind::File, 0o644).map(drop),
            3 => context.unlink(None, one.as_bytes()),
            4 => context.remove_directory(None, one.as_bytes()),
            5 | 6 => {
                let how = [Rename::Replace, Rename::NoReplace, Rename::Exchange][next(3)];
                context.rename(None, one.as_bytes(), None, two.as_bytes(), how)
            }
            7 => context.resolve(None, one.as_bytes(), Final::Follow, Resolve::default()).map(
                |found| {
                    let _ = found.path(&world.root);
                    held.push(found);
                },
            ),
            _ => {
                if held.len() > 10 {
                    held.clear();
                }
                Ok(())
            }
        };
        match result {
            Ok(()) => {}
            Err(
                Errno::ENOENT
                | Errno::EEXIST
                | Errno::ENOTDIR
                | Errno::EISDIR
                | Errno::ENOTEMPTY
                | Errno::EINVAL,
            ) => {}
            Err(error) => panic!("{error} for {one} {two}"),
        }
    }
}

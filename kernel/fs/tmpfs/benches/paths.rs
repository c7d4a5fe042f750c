//! What paths and pages cost, in nanoseconds: `cargo bench -p tmpfs`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Instant;

use common::World;
use vfs::{Final, Intent, OpenHow, Resolve};

fn measure(name: &str, mut work: impl FnMut()) {
    const ROUNDS: u32 = 200_000;
    for _ in 0..1000 {
        work();
    }
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            work();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS));
    }
    println!("{name}: {best:.0} ns");
}

fn main() {
    let world = World::new(1000);
    for path in ["/usr", "/usr/lib", "/usr/lib/python3"] {
        world.mkdir(path).unwrap();
    }
    let file = world.create("/usr/lib/python3/os.py");
    world.write(&**file.inode(), 0, &[1; 100_000]).unwrap();
    let context = world.context();
    let path = b"/usr/lib/python3/os.py";
    measure("resolve 4 names, warm", || {
        let found = context.resolve(None, path, Final::Follow, Resolve::default());
        drop(black_box(found));
    });
    measure("open 4 names, read-only", || {
        let how = OpenHow { read: true, ..OpenHow::default() };
        drop(black_box(context.open(None, path, &how)));
    });
    measure("resolve a missing last name", || {
        let missing = b"/usr/lib/python3/missing";
        let found = context.resolve(None, missing, Final::Follow, Resolve::default());
        drop(black_box(found));
    });
    measure("stat of an inode", || {
        black_box(file.metadata());
    });
    measure("extent for reading, 1 page", || {
        drop(black_box(file.inode().extent(3, 1, Intent::Read)));
    });
    measure("create and unlink", || {
        let how = OpenHow { create: true, write: true, ..OpenHow::default() };
        drop(black_box(context.open(None, b"/usr/lib/new", &how)));
        context.unlink(None, b"/usr/lib/new").unwrap();
    });
    measure("path of a file", || {
        black_box(file.path(&world.root));
    });
}

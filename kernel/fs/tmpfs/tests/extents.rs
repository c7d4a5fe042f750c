//! Pages: in place, copied when written, by two threads at once, within limits.

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use common::{NOW, World, image, read, write};
use erofs::write::{Attributes, Content, Tree};
use errno::Errno;
use tmpfs::{HeapMemory, Limits};
use vfs::{Allocate, Intent, OpenHow, PAGE_SIZE, SeekTarget, seals};

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 13 + index / 4096) as u8).collect()
}

/// An image with one file, `/file`.
fn one_file(length: usize) -> &'static [u8] {
    let mut tree = Tree::new(Attributes::new(0o755)).unwrap();
    let data = pattern(length);
    let content = Content::File { size: length as u64, data };
    tree.insert(b"file", Attributes::new(0o644), content).unwrap();
    image(&tree)
}

#[test]
fn the_image_is_used_in_place_until_written() {
    let memory = HeapMemory::leak(1000);
    let world = World::over(memory, one_file(300_001));
    let before = memory.used();
    let file = world.find("/file").unwrap();
    let inode = file.inode();
    let extent = inode.extent(0, usize::MAX, Intent::Read).unwrap();
    assert_eq!(extent.pages(), 74, "the whole file at once");
    assert!(!extent.is_counted());
    let place = extent.phys();
    assert_eq!(world.read(&**inode, 0, 400_000).unwrap(), pattern(300_001));
    assert_eq!(memory.used(), before, "nothing was copied");
    let written = inode.extent(10, 1, Intent::Write).unwrap();
    assert!(written.replaced() && written.is_counted() && written.pages() == 1);
    assert_eq!(memory.used(), before + 1, "one page was copied");
    assert_eq!(inode.extent(0, 99, Intent::Read).unwrap().pages(), 10);
    let behind = inode.extent(11, 99, Intent::Read).unwrap();
    assert_eq!((behind.phys(), behind.pages()), (place + 11 * PAGE_SIZE, 63));
    assert_eq!(world.read(&**inode, 0, 400_000).unwrap(), pattern(300_001));
    assert_eq!(inode.metadata().blocks, 74 * 8);
    // Cut and grown again, the file does not show what it had.
    inode.truncate(5000, NOW).unwrap();
    inode.truncate(20_000, NOW).unwrap();
    let mut expected = pattern(5000);
    expected.resize(20_000, 0);
    assert_eq!(world.read(&**inode, 0, 20_000).unwrap(), expected);
}

#[test]
fn shared_views_of_holes_see_what_is_written() {
    let memory = HeapMemory::leak(1000);
    let world = World::with(memory);
    let file = world.create("/file");
    let inode = file.inode();
    inode.truncate(8 * PAGE_SIZE, NOW).unwrap();
    let before = inode.extent(2, 1, Intent::Read).unwrap();
    assert!(!before.is_counted(), "a look fills nothing");
    let shown = inode.extent(0, 8, Intent::Share).unwrap();
    assert!(shown.is_counted() && shown.pages() == 8);
    let written = inode.extent(2, 1, Intent::Write).unwrap();
    assert!(!written.replaced());
    assert_eq!(written.phys(), shown.phys() + 2 * PAGE_SIZE);
    // What the image has is shown where it is.
    let world = World::over(memory, one_file(300_001));
    let file = world.find("/file").unwrap();
    assert!(!file.inode().extent(0, usize::MAX, Intent::Share).unwrap().is_counted());
}

#[test]
fn growing_files_have_few_runs() {
    let memory = HeapMemory::leak(5000);
    let world = World::with(memory);
    let file = world.create("/file");
    let inode = file.inode();
    for page in 0..2000u64 {
        write(memory, &**inode, page * PAGE_SIZE, &[page as u8; 4096]).unwrap();
    }
    let (mut runs, mut page) = (0, 0);
    while page < 2000 {
        page += inode.extent(page, 4096, Intent::Read).unwrap().pages() as u64;
        runs += 1;
    }
    assert!(runs <= 12, "{runs} runs");
    assert!(memory.used() <= 3100, "{} pages used", memory.used());
    inode.trim();
    assert_eq!(memory.used(), 2000);
    let data = read(memory, &**inode, 1999 * PAGE_SIZE, 10_000).unwrap();
    assert_eq!(data, vec![1999u64 as u8; 4096]);
}

#[test]
fn limits_give_enospc_and_memory_gives_enomem() {
    let memory = HeapMemory::leak(50);
    let limits = Limits { pages: 10, inodes: 4 };
    let world = World::limited_in(memory, limits);
    let file = world.create("/file");
    let inode = file.inode();
    for page in 0..10 {
        write(memory, &**inode, page * PAGE_SIZE, b"x").unwrap();
    }
    assert_eq!(write(memory, &**inode, 10 * PAGE_SIZE, b"x"), Err(Errno::ENOSPC));
    assert_eq!(inode.size(), 9 * PAGE_SIZE + 1);
    let reserve = Allocate::Reserve { keep_size: true };
    assert_eq!(inode.allocate(reserve, 0, 11 * PAGE_SIZE, NOW), Err(Errno::ENOSPC));
    inode.allocate(Allocate::PunchHole, 0, 2 * PAGE_SIZE, NOW).unwrap();
    write(memory, &**inode, 10 * PAGE_SIZE, b"x").unwrap();
    world.create("/two");
    world.create("/three");
    assert_eq!(world.mkdir("/four").err(), Some(Errno::ENOSPC));
    world.context().unlink(None, b"/two").unwrap();
    world.mkdir("/four").unwrap();
    let statistics = vfs::FileSystem::statistics(&*world.tmpfs);
    assert_eq!((statistics.blocks, statistics.free, statistics.free_inodes), (10, 1, 0));
    let small = World::with(HeapMemory::leak(3));
    let file = small.create("/file");
    let bytes = vec![1; 5 * 4096];
    assert_eq!(small.write(&**file.inode(), 0, &bytes), Err(Errno::ENOMEM));
}

#[test]
fn holes_are_found_and_made() {
    let memory = HeapMemory::leak(500);
    let world = World::over(memory, one_file(100_000));
    let file = world.find("/file").unwrap();
    let inode = file.inode();
    assert_eq!(inode.seek(5, SeekTarget::Data), Ok(5));
    assert_eq!(inode.seek(5, SeekTarget::Hole), Ok(100_000));
    inode.allocate(Allocate::PunchHole, 5000, 50_000, NOW).unwrap();
    assert_eq!(inode.seek(0, SeekTarget::Hole), Ok(8192));
    assert_eq!(inode.seek(8192, SeekTarget::Data), Ok(49_152));
    let mut expected = pattern(100_000);
    expected[5000..50_000].fill(0);
    assert_eq!(world.read(&**inode, 0, 200_000).unwrap(), expected);
    let zero = Allocate::ZeroRange { keep_size: false };
    inode.allocate(zero, 90_000, 120_000, NOW).unwrap();
    expected[90_000..].fill(0);
    expected.resize(120_000, 0);
    assert_eq!(world.read(&**inode, 0, 200_000).unwrap(), expected);
    assert_eq!(inode.extent(30, 1, Intent::Read).err(), Some(Errno::ENXIO));
}

#[test]
fn memory_files_can_be_sealed() {
    let memory = HeapMemory::leak(50);
    let world = World::with(memory);
    let new = common::directory();
    let plain = world.tmpfs.memory_file(&new, false, NOW).unwrap();
    assert_eq!(plain.seals(), Ok(seals::SEAL));
    assert_eq!(plain.add_seals(seals::GROW), Err(Errno::EPERM));
    let file = world.tmpfs.memory_file(&new, true, NOW).unwrap();
    write(memory, &*file, 0, b"hello").unwrap();
    file.add_seals(seals::GROW).unwrap();
    assert_eq!(write(memory, &*file, 3, b"xyz"), Err(Errno::EPERM));
    assert_eq!(write(memory, &*file, 0, b"j"), Ok(()));
    assert_eq!(file.truncate(9, NOW), Err(Errno::EPERM));
    assert_eq!(file.truncate(4, NOW), Ok(()));
    file.add_seals(seals::SHRINK | seals::WRITE | seals::SEAL).unwrap();
    assert_eq!(file.truncate(1, NOW), Err(Errno::EPERM));
    assert_eq!(file.extent(0, 1, Intent::Write).err(), Some(Errno::EPERM));
    assert_eq!(file.allocate(Allocate::PunchHole, 0, 4, NOW), Err(Errno::EPERM));
    assert_eq!(file.add_seals(seals::GROW), Err(Errno::EPERM));
    assert_eq!(file.add_seals(64), Err(Errno::EINVAL));
    assert_eq!(read(memory, &*file, 0, 10).unwrap(), b"jell");
    assert_eq!(file.metadata().links, 0);
    drop((plain, file));
    assert_eq!(memory.used(), 0);
}

#[test]
fn unnamed_files_can_get_a_name() {
    let world = World::new(10);
    let how = OpenHow { unnamed: true, write: true, permissions: 0o600, ..OpenHow::default() };
    let file = world.open("/", how).unwrap().location;
    world.write(&**file.inode(), 0, b"text").unwrap();
    assert!(file.path(&world.root).into_link_text().ends_with(b" (deleted)"));
    world.context().link(&file, None, b"/named").unwrap();
    let named = world.find("/named").unwrap();
    assert_eq!(world.read(&**named.inode(), 0, 10).unwrap(), b"text");
    world.context().unlink(None, b"/named").unwrap();
    // It had its chance: what loses its last name does not get another.
    assert_eq!(world.context().link(&file, None, b"/again"), Err(Errno::ENOENT));
}

#[test]
fn images_of_mkfs_are_readable_whatever_their_layout() {
    let Ok(help) = std::process::Command::new("mkfs.erofs").arg("--help").output() else {
        eprintln!("skipped: mkfs.erofs is not installed");
        return;
    };
    drop(help);
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let mut holes = pattern(90_000);
    holes[8192..70_000].fill(0);
    let files = [("odd", pattern(5000)), ("tiny", pattern(10)), ("holes", holes)];
    for (name, data) in &files {
        std::fs::write(source.join(name), data).unwrap();
    }
    for option in ["-T0", "--chunksize=4096", "-Enoinline_data"] {
        let out = folder.path().join("image");
        let mut command = std::process::Command::new("mkfs.erofs");
        assert!(command.arg(option).arg(&out).arg(&source).output().unwrap().status.success());
        let bytes = std::fs::read(&out).unwrap();
        let memory = HeapMemory::leak(500);
        let world = World::over(memory, Vec::leak(bytes));
        for (name, data) in &files {
            let file = world.find(&format!("/{name}")).unwrap();
            assert_eq!(&world.read(&**file.inode(), 0, 100_000).unwrap(), data, "{option}");
            world.write(&**file.inode(), 3, b"changed").unwrap();
            let mut data = data.clone();
            data[3..10].copy_from_slice(b"changed");
            assert_eq!(world.read(&**file.inode(), 0, 100_000).unwrap(), data, "{option}");
        }
    }
}

fn together(threads: Vec<Box<dyn FnOnce() + Send>>) {
    let threads: Vec<_> = threads.into_iter().map(std::thread::spawn).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn two_writers_of_the_same_pages_lose_nothing() {
    let bytes = one_file(64 * 4096);
    for round in 0..30 {
        let memory = HeapMemory::leak(400);
        let world = World::over(memory, bytes);
        let before = memory.used();
        let file = world.find("/file").unwrap();
        let inode = file.inode().clone();
        let start = Arc::new(AtomicBool::new(false));
        // One writes the front of each page, the other the back; also behind the end.
        let writer = |half: u64| -> Box<dyn FnOnce() + Send> {
            let (inode, start) = (inode.clone(), start.clone());
            Box::new(move || {
                common::check_locks();
                while !start.swap(true, Ordering::AcqRel) {}
                for page in 0..96u64 {
                    let at = page * PAGE_SIZE + half * 2048;
                    write(memory, &*inode, at, &[half as u8 + 1; 100]).unwrap();
                }
            })
        };
        together(vec![writer(0), writer(1)]);
        let mut expected = pattern(64 * 4096);
        expected.resize(95 * 4096 + 2148, 0);
        for (index, byte) in expected.iter_mut().enumerate() {
            match index % 4096 {
                0..100 => *byte = 1,
                2048..2148 => *byte = 2,
                _ => {}
            }
        }
        assert!(world.read(&*inode, 0, 1 << 20).unwrap() == expected, "round {round}");
        inode.trim();
        assert_eq!(memory.used(), before + 96);
    }
}

/// What the layer above does to keep mappings right: see `Inode::page_generation`.
#[test]
fn mappings_made_while_pages_are_replaced_are_right_in_the_end() {
    const PAGES: u64 = 32;
    let bytes = one_file(PAGES as usize * 4096);
    for _ in 0..100 {
        let memory = HeapMemory::leak(200);
        let world = World::over(memory, bytes);
        let file = world.find("/file").unwrap();
        let inode = file.inode().clone();
        let mapped = Arc::new(Mutex::new(BTreeMap::new()));
        let (reader, map) = (inode.clone(), mapped.clone());
        let read_faults = move || {
            for page in 0..PAGES {
                loop {
                    let generation = reader.page_generation();
                    let extent = reader.extent(page, 1, Intent::Read).unwrap();
                    map.lock().unwrap().insert(page, extent.phys());
                    if reader.page_generation() == generation {
                        break;
                    }
                    map.lock().unwrap().remove(&page);
                }
            }
        };
        let (writer, map) = (inode.clone(), mapped.clone());
        let write_faults = move || {
            for page in (0..PAGES).rev() {
                let extent = writer.extent(page, 1, Intent::Write).unwrap();
                if extent.replaced() {
                    map.lock().unwrap().remove(&page);
                }
            }
        };
        together(vec![Box::new(read_faults), Box::new(write_faults)]);
        for (&page, &phys) in &*mapped.lock().unwrap() {
            let now = inode.extent(page, 1, Intent::Read).unwrap();
            assert_eq!(now.phys(), phys, "page {page}");
        }
    }
}

#[test]
fn truncation_under_readers_and_writers_keeps_the_books() {
    let memory = HeapMemory::leak(600);
    let world = World::with(memory);
    let file = world.create("/file");
    let inode = file.inode().clone();
    let work = |seed: u64| -> Box<dyn FnOnce() + Send> {
        let inode = inode.clone();
        Box::new(move || {
            common::check_locks();
            let mut state = seed;
            for _ in 0..3000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (at, length) = (state >> 33 & 0x3_ffff, state >> 20 & 0x1fff);
                match state >> 60 {
                    0..6 => {
                        let _ = write(memory, &*inode, at, &vec![1; length as usize]);
                    }
                    6..10 => drop(read(memory, &*inode, at, length as usize)),
                    10..12 => inode.truncate(at, NOW).unwrap(),
                    12 => {
                        inode.allocate(Allocate::PunchHole, at, at + length + 1, NOW).unwrap();
                    }
                    13 => inode.trim(),
                    14 => {
                        let _ = inode.seek(at, SeekTarget::Data);
                    }
                    _ => {
                        let how = Allocate::Reserve { keep_size: true };
                        let _ = inode.allocate(how, at, at + length + 1, NOW);
                    }
                }
            }
        })
    };
    together(vec![work(1), work(2)]);
    inode.trim();
    assert_eq!(inode.metadata().blocks / 8, memory.used());
    inode.truncate(0, NOW).unwrap();
    assert_eq!(memory.used(), 0);
    let statistics = vfs::FileSystem::statistics(&*world.tmpfs);
    assert_eq!(statistics.free, statistics.blocks);
}

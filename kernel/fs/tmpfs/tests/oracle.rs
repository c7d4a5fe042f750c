//! Random operations here and on the host's own tmpfs: every result must be the same, and in
//! the end every file.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use common::World;
use erofs::write::{Attributes, Content, Tree};
use proptest::prelude::*;
use rustix::fs::{
    AtFlags, FallocateFlags, Gid, Mode, OFlags, RenameFlags, SeekFrom, Timespec, Timestamps,
    UTIME_NOW, Uid, accessat, chmodat, chownat, fallocate, fchmod, ftruncate, linkat, mkdirat,
    mknodat, open, openat, readlinkat, renameat_with, seek, statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::{pread, pwrite};
use rustix::thread::{set_thread_gid, set_thread_groups, set_thread_uid};
use tmpfs::HeapMemory;
use vfs::{Access, Credentials, TimeChange, Timestamp};
use vfs::{
    Allocate, Final, Kind, Location, NewKind, OpenHow, PageMemory, Rename, Resolve, SeekTarget,
};

/// Deep enough that `..` in the paths below never leaves it.
const BASE: &str = "d/d/d/d/d/d/d/d/d/d/d/d/d/d";

#[derive(Debug, Clone)]
enum Operation {
    Mkdir(String),
    Rmdir(String),
    Fifo(String),
    Open { path: String, how: How, size: Option<u64> },
    Write { path: String, start: u64, length: usize, seed: u8 },
    Read { path: String, start: u64, length: usize },
    Unlink(String),
    Symlink { text: String, path: String },
    Link { old: String, new: String },
    Rename { old: String, new: String, how: u8 },
    ReadLink(String),
    Stat { path: String, follow: bool },
    List(String),
    Chmod { path: String, mode: u16 },
    Mode { path: String, mode: u16 },
    Chown { path: String, uid: Option<u32>, gid: Option<u32>, follow: bool },
    Access { path: String, bits: u8 },
    Times { path: String, now: bool },
    Allocate { path: String, how: u8, start: u64, length: u64 },
    Seek { path: String, start: u64, data: bool },
}

#[derive(Debug, Clone, Copy)]
struct How {
    create: bool,
    exclusive: bool,
    truncate: bool,
    directory: bool,
    no_follow: bool,
    write: bool,
}

fn path() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        6 => "[abc]".prop_map(String::from),
        1 => Just("..".to_owned()),
        1 => Just(".".to_owned()),
    ];
    let slash = prop_oneof![5 => Just(""), 1 => Just("/")];
    (prop::collection::vec(name, 1..4), slash).prop_map(|(names, slash)| names.join("/") + slash)
}

fn how() -> impl Strategy<Value = How> {
    any::<[bool; 6]>().prop_map(|[create, exclusive, truncate, directory, no_follow, write]| How {
        create,
        exclusive: exclusive && create,
        truncate: truncate && write,
        // Both together became an error in Linux 6.4.
        directory: directory && !create,
        no_follow,
        write,
    })
}

fn id(choices: [u32; 3]) -> impl Strategy<Value = Option<u32>> {
    prop::option::of(prop::sample::select(choices.to_vec()))
}

fn operation() -> impl Strategy<Value = Operation> {
    let start = || prop_oneof![0..20_000u64, Just(4096), Just(8192), 0..200_000u64];
    prop_oneof![
        3 => path().prop_map(Operation::Mkdir),
        1 => path().prop_map(Operation::Rmdir),
        1 => path().prop_map(Operation::Fifo),
        4 => (path(), how(), prop::option::of(start()))
            .prop_map(|(path, how, size)| Operation::Open { path, how, size }),
        4 => (path(), start(), 1..30_000usize, any::<u8>())
            .prop_map(|(path, start, length, seed)| Operation::Write { path, start, length, seed }),
        2 => (path(), start(), 1..50_000usize)
            .prop_map(|(path, start, length)| Operation::Read { path, start, length }),
        2 => path().prop_map(Operation::Unlink),
        2 => (path(), path()).prop_map(|(text, path)| Operation::Symlink { text, path }),
        2 => (path(), path()).prop_map(|(old, new)| Operation::Link { old, new }),
        3 => (path(), path(), 0..3u8)
            .prop_map(|(old, new, how)| Operation::Rename { old, new, how }),
        1 => path().prop_map(Operation::ReadLink),
        2 => (path(), any::<bool>()).prop_map(|(path, follow)| Operation::Stat { path, follow }),
        1 => path().prop_map(Operation::List),
        1 => (path(), 0..0o10000u16).prop_map(|(path, mode)| Operation::Chmod { path, mode }),
        1 => (path(), 0..0o10000u16).prop_map(|(path, mode)| Operation::Mode { path, mode }),
        1 => (path(), id([0, 1000, 1001]), id([7, 50, 1000]), any::<bool>())
            .prop_map(|(path, uid, gid, follow)| Operation::Chown { path, uid, gid, follow }),
        1 => (path(), 0..8u8).prop_map(|(path, bits)| Operation::Access { path, bits }),
        1 => (path(), any::<bool>()).prop_map(|(path, now)| Operation::Times { path, now }),
        2 => (path(), 0..3u8, start(), 1..60_000u64)
            .prop_map(|(path, how, start, length)| {
                Operation::Allocate { path, how, start, length }
            }),
        2 => (path(), start(), any::<bool>())
            .prop_map(|(path, start, data)| Operation::Seek { path, start, data }),
    ]
}

/// Text that is equal when both sides did the same.
type Outcome = Result<String, i32>;

fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length).map(|index| (index as u8).wrapping_mul(seed) ^ (index >> 8) as u8).collect()
}

fn digest(data: &[u8]) -> String {
    let sum = data.iter().fold(7u64, |sum, &b| sum.wrapping_mul(0x100_0000_01b3) ^ u64::from(b));
    format!("{} {sum:x}", data.len())
}

fn theirs(base: BorrowedFd<'_>, operation: &Operation) -> Outcome {
    theirs_inner(base, operation).map_err(|error| error.raw_os_error())
}

fn file_to_write(base: BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    openat(base, path, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty())
}

fn theirs_inner(base: BorrowedFd<'_>, operation: &Operation) -> rustix::io::Result<String> {
    let done = |()| String::new();
    match operation {
        Operation::Mkdir(path) => mkdirat(base, path, Mode::from_raw_mode(0o755)).map(done),
        Operation::Rmdir(path) => unlinkat(base, path, AtFlags::REMOVEDIR).map(done),
        Operation::Fifo(path) => {
            let kind = rustix::fs::FileType::Fifo;
            mknodat(base, path, kind, Mode::from_raw_mode(0o600), 0).map(done)
        }
        Operation::Open { path, how, size } => {
            let mut flags = if how.write { OFlags::RDWR } else { OFlags::RDONLY };
            flags |= OFlags::NONBLOCK;
            flags.set(OFlags::CREATE, how.create);
            flags.set(OFlags::EXCL, how.exclusive);
            flags.set(OFlags::TRUNC, how.truncate);
            flags.set(OFlags::DIRECTORY, how.directory);
            flags.set(OFlags::NOFOLLOW, how.no_follow);
            let file = openat(base, path, flags, Mode::from_raw_mode(0o640))?;
            if let (Some(size), true) = (size, how.write) {
                ftruncate(file, *size)?;
            }
            Ok(String::new())
        }
        Operation::Write { path, start, length, seed } => {
            let file = file_to_write(base, path)?;
            pwrite(file, &bytes(*seed, *length), *start).map(|count| count.to_string())
        }
        Operation::Read { path, start, length } => {
            let file = openat(base, path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
            let mut buffer = vec![0; *length];
            let count = pread(file, &mut buffer, *start)?;
            Ok(digest(&buffer[..count]))
        }
        Operation::Unlink(path) => unlinkat(base, path, AtFlags::empty()).map(done),
        Operation::Symlink { text, path } => symlinkat(text, base, path).map(done),
        Operation::Link { old, new } => linkat(base, old, base, new, AtFlags::empty()).map(done),
        Operation::Rename { old, new, how } => {
            let flags = [RenameFlags::empty(), RenameFlags::NOREPLACE, RenameFlags::EXCHANGE];
            renameat_with(base, old, base, new, flags[usize::from(*how)]).map(done)
        }
        Operation::ReadLink(path) => {
            readlinkat(base, path, Vec::new()).map(|text| text.into_string().unwrap())
        }
        Operation::Stat { path, follow } => {
            let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
            let stat = statat(base, path, flags)?;
            let directory = stat.st_mode & 0o170_000 == 0o040_000;
            let size = if directory { 0 } else { stat.st_size };
            let (links, uid, gid) = (stat.st_nlink, stat.st_uid, stat.st_gid);
            Ok(format!("{:o} {links} {uid} {gid} {size}", stat.st_mode))
        }
        Operation::List(path) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let folder = openat(base, path, flags, Mode::empty())?;
            let mut names: Vec<String> = rustix::fs::Dir::new(folder)?
                .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
                .collect();
            names.sort();
            Ok(names.join(" "))
        }
        Operation::Chmod { path, mode } => {
            let file = openat(base, path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
            fchmod(file, Mode::from_raw_mode((*mode).into())).map(done)
        }
        Operation::Mode { path, mode } => {
            chmodat(base, path, Mode::from_raw_mode((*mode).into()), AtFlags::empty()).map(done)
        }
        Operation::Chown { path, uid, gid, follow } => {
            let flags = if *follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
            let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
            chownat(base, path, uid, gid, flags).map(done)
        }
        Operation::Access { path, bits } => {
            let bits = rustix::fs::Access::from_bits_retain((*bits).into());
            accessat(base, path, bits, AtFlags::empty()).map(done)
        }
        Operation::Times { path, now } => {
            let nanoseconds = if *now { UTIME_NOW } else { 5 };
            let time = Timespec { tv_sec: 9, tv_nsec: nanoseconds };
            let times = Timestamps { last_access: time, last_modification: time };
            utimensat(base, path, &times, AtFlags::empty()).map(done)
        }
        Operation::Allocate { path, how, start, length } => {
            let file = file_to_write(base, path)?;
            let flags = [
                FallocateFlags::empty(),
                FallocateFlags::KEEP_SIZE,
                FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
            ];
            fallocate(file, flags[usize::from(*how)], *start, *length).map(done)
        }
        Operation::Seek { path, start, data } => {
            let file = openat(base, path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?;
            let from = if *data { SeekFrom::Data(*start) } else { SeekFrom::Hole(*start) };
            seek(file, from).map(|place| place.to_string())
        }
    }
}

fn ours(world: &World, operation: &Operation) -> Outcome {
    ours_inner(world, operation).map_err(|error| i32::from(error.number()))
}

fn opened(world: &World, path: &str, how: OpenHow) -> Result<Location, errno::Errno> {
    let place = world.open(path, how)?.location;
    Ok(place)
}

fn ours_inner(world: &World, operation: &Operation) -> Result<String, errno::Errno> {
    let context = world.context();
    let done = |()| String::new();
    let read = OpenHow { read: true, ..OpenHow::default() };
    let write = OpenHow { read: true, write: true, ..OpenHow::default() };
    let resolve = |path: &str, end| context.resolve(None, path.as_bytes(), end, Resolve::default());
    match operation {
        Operation::Mkdir(path) => world.mkdir(path).map(|_| String::new()),
        Operation::Rmdir(path) => context.remove_directory(None, path.as_bytes()).map(done),
        Operation::Fifo(path) => {
            context.make(None, path.as_bytes(), NewKind::Fifo, 0o600).map(|_| String::new())
        }
        Operation::Open { path, how, size } => {
            let how = OpenHow {
                read: true,
                write: how.write,
                create: how.create,
                exclusive: how.exclusive,
                truncate: how.truncate,
                directory: how.directory,
                no_follow: how.no_follow,
                permissions: 0o640,
                ..OpenHow::default()
            };
            let place = opened(world, path, how)?;
            if let (Some(size), true) = (size, how.write) {
                context.truncate_open(&place, *size)?;
            }
            Ok(String::new())
        }
        Operation::Write { path, start, length, seed } => {
            let place = opened(world, path, write)?;
            // What the layer above does for pipes that nobody reads.
            if place.kind() == Kind::Fifo {
                return Err(errno::Errno::ESPIPE);
            }
            world.write(&**place.inode(), *start, &bytes(*seed, *length))?;
            context.strip_set_id(&place);
            Ok(length.to_string())
        }
        Operation::Read { path, start, length } => {
            let place = opened(world, path, read)?;
            match place.kind() {
                Kind::Fifo => return Err(errno::Errno::ESPIPE),
                Kind::Directory => return Err(errno::Errno::EISDIR),
                _ => {}
            }
            Ok(digest(&world.read(&**place.inode(), *start, *length)?))
        }
        Operation::Unlink(path) => context.unlink(None, path.as_bytes()).map(done),
        Operation::Symlink { text, path } => world.symlink(text, path).map(|_| String::new()),
        Operation::Link { old, new } => {
            let old = resolve(old, Final::NoFollow)?;
            context.link(&old, None, new.as_bytes()).map(done)
        }
        Operation::Rename { old, new, how } => {
            let how = [Rename::Replace, Rename::NoReplace, Rename::Exchange][usize::from(*how)];
            context.rename(None, old.as_bytes(), None, new.as_bytes(), how).map(done)
        }
        Operation::ReadLink(path) => {
            let place = resolve(path, Final::NoFollow)?;
            context.read_link(&place).map(|text| String::from_utf8(text).unwrap())
        }
        Operation::Stat { path, follow } => {
            let end = if *follow { Final::Follow } else { Final::NoFollow };
            let (stat, _) = resolve(path, end)?.metadata();
            let size = if stat.kind == Kind::Directory { 0 } else { stat.size };
            let (links, uid, gid) = (stat.links, stat.uid, stat.gid);
            Ok(format!("{:o} {links} {uid} {gid} {size}", stat.mode()))
        }
        Operation::List(path) => {
            let place = opened(world, path, OpenHow { directory: true, ..read })?;
            let mut names = Vec::new();
            place.read_directory(&world.root, 0, &mut |entry| {
                names.push(String::from_utf8(entry.name.to_vec()).unwrap());
                ControlFlow::Continue(())
            })?;
            names.sort();
            Ok(names.join(" "))
        }
        Operation::Chmod { path, mode } => {
            let place = opened(world, path, read)?;
            context.change_mode(&place, *mode).map(done)
        }
        Operation::Mode { path, mode } => {
            context.change_mode(&resolve(path, Final::Follow)?, *mode).map(done)
        }
        Operation::Chown { path, uid, gid, follow } => {
            let end = if *follow { Final::Follow } else { Final::NoFollow };
            context.change_owner(&resolve(path, end)?, *uid, *gid).map(done)
        }
        Operation::Access { path, bits } => {
            context.check(&resolve(path, Final::Follow)?, Access::from_bits(*bits)).map(done)
        }
        Operation::Times { path, now } => {
            let time = Timestamp { seconds: 9, nanoseconds: 5 };
            let change = if *now { TimeChange::Now } else { TimeChange::To(time) };
            context.change_times(&resolve(path, Final::Follow)?, change, change).map(done)
        }
        Operation::Allocate { path, how, start, length } => {
            let place = opened(world, path, write)?;
            if place.kind() == Kind::Fifo {
                return Err(errno::Errno::ESPIPE);
            }
            let how = [
                Allocate::Reserve { keep_size: false },
                Allocate::Reserve { keep_size: true },
                Allocate::PunchHole,
            ][usize::from(*how)];
            place.inode().allocate(how, *start, *start + *length, common::NOW)?;
            context.strip_set_id(&place);
            Ok(String::new())
        }
        Operation::Seek { path, start, data } => {
            let place = opened(world, path, read)?;
            match place.kind() {
                Kind::File => {}
                Kind::Fifo => return Err(errno::Errno::ESPIPE),
                // What directories answer differs between kernels.
                _ => return Err(errno::Errno::EINVAL),
            }
            let target = if *data { SeekTarget::Data } else { SeekTarget::Hole };
            place.inode().seek(*start, target).map(|place| place.to_string())
        }
    }
}

fn tree(base: BorrowedFd<'_>, path: &str, into: &mut BTreeMap<String, Outcome>) {
    let names = theirs(base, &Operation::List(path.to_owned())).unwrap();
    for name in names.split(' ').filter(|name| *name != "." && *name != "..") {
        let path = format!("{path}/{name}");
        let stat = Operation::Stat { path: path.clone(), follow: false };
        let found = theirs(base, &stat).unwrap();
        if found.starts_with('4') {
            tree(base, &path, into);
        }
        into.insert(path, Ok(found));
    }
}

/// What is there before the first operation, when it starts over an image.
fn before() -> Vec<Operation> {
    let write = |path: &str, length, seed| {
        let how = How {
            create: true,
            exclusive: false,
            truncate: false,
            directory: false,
            no_follow: false,
            write: true,
        };
        let path = path.to_owned();
        let create = Operation::Open { path: path.clone(), how, size: None };
        [create, Operation::Write { path, start: 0, length, seed }]
    };
    let mut operations = vec![Operation::Mkdir("a".into()), Operation::Mkdir("a/b".into())];
    operations.extend(write("a/a", 10_000, 3));
    operations.extend(write("a/b/c", 5, 5));
    operations.extend(write("c", 50_000, 7));
    operations.push(Operation::Link { old: "c".into(), new: "a/c".into() });
    operations.push(Operation::Symlink { text: "a/b".into(), path: "b".into() });
    operations
}

/// The image of the same.
fn lower() -> &'static [u8] {
    let attributes = Attributes::new;
    let mut tree = Tree::new(attributes(0o755)).unwrap();
    let at = |path: &str| format!("{BASE}/{path}").into_bytes();
    for operation in before() {
        match operation {
            Operation::Mkdir(path) => {
                tree.insert(&at(&path), attributes(0o755), Content::Directory).unwrap();
            }
            Operation::Write { path, length, seed, .. } => {
                let data = bytes(seed, length);
                let content = Content::File { size: length as u64, data };
                tree.insert(&at(&path), attributes(0o640), content).unwrap();
            }
            Operation::Link { old, new } => tree.link(&at(&new), &at(&old)).unwrap(),
            Operation::Symlink { text, path } => {
                let content = Content::Symlink(text.into_bytes());
                tree.insert(&at(&path), attributes(0o777), content).unwrap();
            }
            _ => {}
        }
    }
    common::image(&tree)
}

/// A thread that is an ordinary user, and does what it is told.
struct User {
    tell: Sender<Operation>,
    hear: Receiver<Outcome>,
}

const USER: u32 = 1000;
const GROUPS: [u32; 2] = [1000, 7];

impl User {
    fn new(base: &OwnedFd) -> Self {
        let base = base.try_clone().unwrap();
        let (tell, told) = channel();
        let (answer, hear) = channel();
        std::thread::spawn(move || {
            // These change the thread alone, not the process.
            set_thread_groups(&GROUPS.map(Gid::from_raw)).unwrap();
            set_thread_gid(Gid::from_raw(GROUPS[0])).unwrap();
            set_thread_uid(Uid::from_raw(USER)).unwrap();
            for operation in told {
                if answer.send(theirs(base.as_fd(), &operation)).is_err() {
                    break;
                }
            }
        });
        Self { tell, hear }
    }

    fn theirs(&self, operation: &Operation) -> Outcome {
        self.tell.send(operation.clone()).unwrap();
        self.hear.recv().unwrap()
    }
}

/// What a user does goes along with what root does.
type Steps = Vec<(bool, Operation)>;

fn run(memory: &'static HeapMemory, operations: &Steps, over_image: bool) {
    static IMAGE: OnceLock<&[u8]> = OnceLock::new();
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let top = folder.path().join(BASE);
    fs::create_dir_all(&top).unwrap();
    let base = open(&top, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut world = if over_image {
        for operation in before() {
            theirs(base.as_fd(), &operation).unwrap();
        }
        World::over(memory, IMAGE.get_or_init(lower))
    } else {
        let world = World::with(memory);
        let mut place = String::new();
        for name in BASE.split('/') {
            place = format!("{place}/{name}");
            world.mkdir(&place).unwrap();
        }
        world
    };
    world.cwd = world.find(&format!("/{BASE}")).unwrap();
    let used_before = if over_image { memory.used() } else { 0 };
    let mut reserved = false;
    let user = User::new(&base);
    // Where this is off, links go through that are refused here, and the trees part.
    let protects_links = fs::read("/proc/sys/fs/protected_hardlinks").is_ok_and(|on| on == b"1\n");
    let open = Operation::Mode { path: ".".into(), mode: 0o777 };
    assert_eq!(theirs(base.as_fd(), &open), ours(&world, &open));
    for (step, (as_user, operation)) in operations.iter().enumerate() {
        if *as_user && matches!(operation, Operation::Link { .. }) && !protects_links {
            break;
        }
        let expected = if *as_user {
            let (uid, gid) = (USER, GROUPS[0]);
            world.credentials = Credentials { uid, gid, groups: GROUPS.into(), capabilities: 0 };
            user.theirs(operation)
        } else {
            world.credentials = Credentials::root();
            theirs(base.as_fd(), operation)
        };
        let got = ours(&world, operation);
        // Linux 5.x and 6.x differ in what seeking a directory means; and Linux counts storage
        // that was set aside as a hole until it is written, we as data.
        let seek = matches!(operation, Operation::Seek { .. });
        reserved |= matches!(operation, Operation::Allocate { how: 0 | 1, .. }) && got.is_ok();
        if !(seek && (reserved || got == Err(22))) {
            assert_eq!(got, expected, "step {step}, user: {as_user}, {operation:?}");
        }
    }
    world.credentials = Credentials::root();
    let mut all = BTreeMap::new();
    tree(base.as_fd(), ".", &mut all);
    for (path, stat) in all {
        let look = Operation::Stat { path: path.clone(), follow: false };
        assert_eq!(ours(&world, &look), stat, "{path}");
        if stat.is_ok_and(|stat| stat.starts_with("100")) {
            let read = Operation::Read { path, start: 0, length: 400_000 };
            assert_eq!(ours(&world, &read), theirs(base.as_fd(), &read));
        }
    }
    // Nothing is left when everything is gone.
    let World { memory, tmpfs, namespace, root, cwd, .. } = world;
    drop((tmpfs, namespace, root, cwd));
    assert_eq!(memory.used(), used_before);
    if over_image {
        let pages = used_before as usize;
        memory.release(vfs::PAGE_SIZE, pages);
    }
}

/// Random sequences to try; `PROPTEST_CASES` asks for more.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases.unwrap_or(150)) }
}

/// Whether the host can be the judge: root, and a tmpfs.
fn have_judge() -> bool {
    let have = rustix::process::geteuid().is_root() && fs::metadata("/dev/shm").is_ok();
    if !have {
        eprintln!("skipped: needs root and /dev/shm");
    }
    have
}

/// Operations of root, and in between those of a user.
fn steps(user: bool) -> impl Strategy<Value = Steps> {
    prop::collection::vec((any::<bool>().prop_map(move |own| own && user), operation()), 1..80)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn agrees_with_linux(operations in steps(false)) {
        static MEMORY: OnceLock<&HeapMemory> = OnceLock::new();
        if have_judge() {
            run(MEMORY.get_or_init(|| HeapMemory::leak(3000)), &operations, false);
        }
    }

    #[test]
    fn agrees_with_linux_about_permissions(operations in steps(true)) {
        static MEMORY: OnceLock<&HeapMemory> = OnceLock::new();
        if have_judge() {
            run(MEMORY.get_or_init(|| HeapMemory::leak(3000)), &operations, false);
        }
    }

    #[test]
    fn agrees_with_linux_over_an_image(operations in steps(true)) {
        static MEMORY: OnceLock<&HeapMemory> = OnceLock::new();
        if have_judge() {
            run(MEMORY.get_or_init(|| HeapMemory::leak(3000)), &operations, true);
        }
    }
}

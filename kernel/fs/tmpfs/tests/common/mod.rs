//! A namespace with a file system in memory at its root, and ways to use it.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use errno::Errno;
use lock::{Held, Hooks};
use tmpfs::{HeapMemory, Limits, Lower, Tmpfs};
use vfs::{
    Context, Credentials, Final, Inode, Location, MountFlags, Namespace, NewInode, NewKind,
    OpenHow, Opened, PAGE_SIZE, PageMemory, Resolve, Superblock, Timestamp,
};

pub const NOW: Timestamp = Timestamp { seconds: 1000, nanoseconds: 5 };

/// Checks the order of locks in all tests.
pub fn check_locks() {
    std::thread_local! {
        static HELD: &'static Held = Box::leak(Box::default());
    }
    lock::register(Hooks {
        relax: std::thread::yield_now,
        held: || HELD.try_with(|held| *held).ok(),
    });
}

pub fn directory() -> NewInode<'static> {
    NewInode { kind: NewKind::Directory, permissions: 0o755, uid: 0, gid: 0 }
}

pub struct World {
    pub memory: &'static HeapMemory,
    pub tmpfs: Arc<Tmpfs>,
    pub namespace: Arc<Namespace>,
    pub root: Location,
    pub cwd: Location,
    pub credentials: Credentials,
    pub umask: u16,
}

impl World {
    pub fn new(pages: usize) -> Self {
        Self::with(HeapMemory::leak(pages))
    }

    pub fn with(memory: &'static HeapMemory) -> Self {
        Self::around(memory, Tmpfs::new(memory, Limits::NONE, &directory(), NOW))
    }

    pub fn limited_in(memory: &'static HeapMemory, limits: Limits) -> Self {
        Self::around(memory, Tmpfs::new(memory, limits, &directory(), NOW))
    }

    /// Over an image, which is put into the memory.
    pub fn over(memory: &'static HeapMemory, image: &'static [u8]) -> Self {
        let pages = image.len() / PAGE_SIZE as usize;
        let phys = memory.allocate(pages, false).unwrap();
        memory.write(phys, image);
        let lower = Lower { image: erofs::Image::new(image).unwrap(), phys };
        Self::around(memory, Tmpfs::over(memory, Limits::NONE, lower).unwrap())
    }

    fn around(memory: &'static HeapMemory, tmpfs: Arc<Tmpfs>) -> Self {
        check_locks();
        let superblock = Superblock::new(tmpfs.clone(), 7);
        let namespace = Namespace::new(superblock, MountFlags::NONE, None);
        let root = namespace.root().clone();
        let cwd = root.clone();
        let credentials = Credentials::root();
        Self { memory, tmpfs, namespace, root, cwd, credentials, umask: 0 }
    }

    pub fn context(&self) -> Context<'_> {
        Context {
            namespace: &self.namespace,
            root: &self.root,
            cwd: &self.cwd,
            credentials: &self.credentials,
            umask: self.umask,
            now: NOW,
        }
    }

    pub fn find(&self, path: &str) -> Result<Location, Errno> {
        self.context().resolve(None, path.as_bytes(), Final::Follow, Resolve::default())
    }

    pub fn find_link(&self, path: &str) -> Result<Location, Errno> {
        self.context().resolve(None, path.as_bytes(), Final::NoFollow, Resolve::default())
    }

    pub fn open(&self, path: &str, how: OpenHow) -> Result<Opened, Errno> {
        self.context().open(None, path.as_bytes(), &how)
    }

    pub fn create(&self, path: &str) -> Location {
        let how = OpenHow { create: true, write: true, permissions: 0o644, ..OpenHow::default() };
        self.open(path, how).unwrap().location
    }

    pub fn mkdir(&self, path: &str) -> Result<Location, Errno> {
        self.context().make(None, path.as_bytes(), NewKind::Directory, 0o755)
    }

    pub fn symlink(&self, text: &str, path: &str) -> Result<Location, Errno> {
        self.context().make(None, path.as_bytes(), NewKind::Symlink(text.as_bytes()), 0)
    }

    pub fn names(&self, path: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let place = self.find(path).unwrap();
        place
            .read_directory(&self.root, 0, &mut |entry| {
                let name = String::from_utf8(entry.name.to_vec()).unwrap();
                assert!(names.insert(name), "twice");
                ControlFlow::Continue(())
            })
            .unwrap();
        names
    }

    pub fn write(&self, inode: &dyn Inode, start: u64, bytes: &[u8]) -> Result<(), Errno> {
        write(self.memory, inode, start, bytes)
    }

    pub fn read(&self, inode: &dyn Inode, start: u64, length: usize) -> Result<Vec<u8>, Errno> {
        read(self.memory, inode, start, length)
    }
}

/// What `pwrite` does; an error unless all of it fits.
pub fn write(
    memory: &HeapMemory,
    inode: &dyn Inode,
    start: u64,
    bytes: &[u8],
) -> Result<(), Errno> {
    let done = vfs::write_at(inode, memory, start, bytes, NOW)?;
    if done == bytes.len() {
        return Ok(());
    }
    let rest = vfs::write_at(inode, memory, start + done as u64, &bytes[done..], NOW);
    Err(rest.unwrap_err())
}

/// What `pread` does.
pub fn read(
    memory: &HeapMemory,
    inode: &dyn Inode,
    start: u64,
    length: usize,
) -> Result<Vec<u8>, Errno> {
    let mut data = vec![0; length];
    let done = vfs::read_at(inode, memory, start, &mut data)?;
    data.truncate(done);
    Ok(data)
}

/// The image of a tree whose files hold what `data` says.
pub fn image(tree: &erofs::write::Tree<Vec<u8>>) -> &'static [u8] {
    let mut bytes = Vec::new();
    let read = |data: &Vec<u8>, position: u64, buffer: &mut [u8]| {
        let start = position as usize;
        buffer.copy_from_slice(&data[start..start + buffer.len()]);
        Ok::<usize, ()>(buffer.len())
    };
    let put = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    erofs::write::write(tree, &erofs::write::Options::default(), read, put).unwrap();
    Vec::leak(bytes)
}

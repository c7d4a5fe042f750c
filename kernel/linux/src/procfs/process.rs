//! `/proc/<pid>` and `/proc/<pid>/task/<tid>`.

use alloc::format;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::ops::ControlFlow;

use errno::Errno;
use generated::{Attributes, Directory, File, Link, Listing};
use vfs::{DirectoryEntry, Inode, Kind, Location, Timestamp};

use super::descriptors::{Descriptors, Form};
use super::{Text, limits, maps, memory, mounts, shown_path, status};
use crate::abi::SECOND;
use crate::memory::Memory;
use crate::process::{Process, by_pid, tree};
use crate::thread::{Thread, with_current};

/// `CAP_SYS_PTRACE`.
const SYS_PTRACE: u32 = 19;

/// Whom a directory tells about: a process, or one of its threads.
#[derive(Clone)]
pub struct Subject {
    process: Weak<Process>,
    tid: u32,
    is_thread: bool,
}

impl Subject {
    /// The process, as long as it was not waited for.
    pub fn process(&self) -> Result<Arc<Process>, Errno> {
        let process = self.process.upgrade().ok_or(Errno::ESRCH)?;
        let known = by_pid(process.pid).is_some_and(|known| Arc::ptr_eq(&known, &process));
        if known { Ok(process) } else { Err(Errno::ESRCH) }
    }

    /// The number that is shown.
    pub fn tid(&self) -> u32 {
        self.tid
    }

    /// Whether it is one thread.
    pub fn is_thread(&self) -> bool {
        self.is_thread
    }

    /// The thread; of a process, its first that is left. A zombie has none.
    pub fn thread(&self) -> Option<Arc<Thread>> {
        let process = self.process().ok()?;
        let own = process.thread(self.tid);
        own.or_else(|| process.threads().into_iter().next().filter(|_| !self.is_thread))
    }

    /// The thread, where nothing can be told without one.
    pub fn living(&self) -> Result<Arc<Thread>, Errno> {
        self.thread().ok_or(Errno::ESRCH)
    }

    /// The memory; `None` for a zombie.
    pub fn memory(&self) -> Option<Arc<Memory>> {
        self.thread().map(|thread| thread.memory())
    }

    /// Whether whoever looks may see what only the same user may.
    ///
    /// # Errors
    /// `EACCES`.
    pub fn check_access(&self) -> Result<(), Errno> {
        let owner = self.process()?.identity().uid;
        let allowed = with_current(|thread| {
            let own = thread.identity();
            own.effective_uid == owner || own.can(SYS_PTRACE)
        });
        if allowed == Some(true) { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// Attributes of a file in the directory.
    pub fn attributes(&self, index: u64, permissions: u16) -> Attributes {
        let identity = self.process().ok().map(|process| process.identity());
        let (uid, gid) =
            identity.map_or((0, 0), |identity| (identity.effective_uid, identity.effective_gid));
        let number =
            u64::from(self.tid) << 32 | u64::from(self.is_thread) << 31 | (index & 0x7fff_ffff);
        let time = self.process().map(|process| started(&process)).unwrap_or_default();
        Attributes { uid, gid, time, ..Attributes::new(number, permissions) }
    }

    fn directory(&self) -> Arc<dyn Inode> {
        let entries = Entries(self.clone());
        Directory::new(self.attributes(0, 0o555)).listing(entries).into_inode()
    }
}

/// When a process started, which is the time of all its files.
fn started(process: &Process) -> Timestamp {
    let boot = hal::realtime().saturating_sub(hal::monotonic());
    let time = boot + process.started;
    Timestamp { seconds: (time / SECOND) as i64, nanoseconds: (time % SECOND) as u32 }
}

/// What an entry of the directory is.
#[derive(Clone, Copy)]
enum Entry {
    Text(fn(&Subject) -> Text),
    Writable(fn(&Subject) -> Text, fn(&Subject, &[u8]) -> Result<(), Errno>),
    Place(fn(&Subject) -> Result<Location, Errno>),
    Descriptors(Form),
    Threads,
}

const ENTRIES: [(&str, u16, Entry); 26] = [
    ("auxv", 0o400, Entry::Text(memory::auxiliary_vector)),
    ("cgroup", 0o444, Entry::Text(|_| Ok(b"0::/\n".to_vec()))),
    ("cmdline", 0o444, Entry::Text(memory::arguments)),
    ("comm", 0o644, Entry::Writable(status::name, status::set_name)),
    ("cwd", 0o777, Entry::Place(|subject| Ok(subject.living()?.context().places().1))),
    ("environ", 0o400, Entry::Text(memory::environment)),
    ("exe", 0o777, Entry::Place(executable)),
    ("fd", 0o500, Entry::Descriptors(Form::Link)),
    ("fdinfo", 0o555, Entry::Descriptors(Form::Information)),
    ("limits", 0o444, Entry::Text(limits::limits)),
    ("loginuid", 0o444, Entry::Text(|_| Ok(b"4294967295".to_vec()))),
    ("maps", 0o444, Entry::Text(maps::maps)),
    ("mountinfo", 0o444, Entry::Text(mounts::mount_information)),
    ("mounts", 0o444, Entry::Text(mounts::mounts)),
    ("oom_score", 0o444, Entry::Text(|_| Ok(b"0\n".to_vec()))),
    ("oom_score_adj", 0o444, Entry::Text(|_| Ok(b"0\n".to_vec()))),
    ("personality", 0o400, Entry::Text(status::personality)),
    ("root", 0o777, Entry::Place(|subject| Ok(subject.living()?.context().places().0))),
    ("sessionid", 0o444, Entry::Text(|_| Ok(b"4294967295".to_vec()))),
    ("smaps", 0o444, Entry::Text(maps::detailed_maps)),
    ("smaps_rollup", 0o444, Entry::Text(maps::summary)),
    ("stat", 0o444, Entry::Text(status::numbers)),
    ("statm", 0o444, Entry::Text(memory::sizes)),
    ("status", 0o444, Entry::Text(status::status)),
    ("wchan", 0o444, Entry::Text(|_| Ok(b"0".to_vec()))),
    ("task", 0o555, Entry::Threads),
];

fn executable(subject: &Subject) -> Result<Location, Errno> {
    let executable = subject.process()?.executable().ok_or(Errno::ENOENT)?;
    Ok(executable.location.clone())
}

impl Entry {
    fn kind(self) -> Kind {
        match self {
            Self::Text(_) | Self::Writable(..) => Kind::File,
            Self::Place(_) => Kind::Symlink,
            Self::Descriptors(_) | Self::Threads => Kind::Directory,
        }
    }

    fn inode(self, subject: &Subject, attributes: Attributes) -> Arc<dyn Inode> {
        let subject = subject.clone();
        match self {
            Self::Text(render) => {
                let private = attributes.permissions & 0o044 == 0;
                File::new(attributes, move || {
                    if private {
                        subject.check_access()?;
                    }
                    render(&subject)
                })
                .into_inode()
            }
            Self::Writable(render, store) => {
                let target = subject.clone();
                File::new(attributes, move || render(&subject))
                    .writable(move |_, bytes| store(&target, bytes).map(|()| bytes.len()))
                    .into_inode()
            }
            Self::Place(find) => {
                let target = subject.clone();
                Link::new(attributes, move || {
                    subject.check_access()?;
                    shown_path(&find(&subject)?)
                })
                .jumping(move || {
                    target.check_access()?;
                    find(&target)
                })
                .into_inode()
            }
            Self::Descriptors(form) => {
                let listing = Descriptors { subject, form };
                Directory::new(attributes).listing(listing).into_inode()
            }
            Self::Threads => Directory::new(attributes).listing(Threads(subject)).into_inode(),
        }
    }
}

/// The entries of one process or thread.
struct Entries(Subject);

impl Entries {
    fn all(&self) -> &'static [(&'static str, u16, Entry)] {
        // A thread has no threads of its own.
        if self.0.is_thread { &ENTRIES[..ENTRIES.len() - 1] } else { &ENTRIES }
    }
}

impl Listing for Entries {
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        self.0.process().map_err(|_| Errno::ENOENT)?;
        let found = self.all().iter().position(|(own, ..)| own.as_bytes() == name);
        let index = found.ok_or(Errno::ENOENT)?;
        let (_, permissions, entry) = self.all()[index];
        let attributes = self.0.attributes(index as u64 + 1, permissions);
        Ok(entry.inode(&self.0, attributes))
    }

    fn list(
        &self,
        cookie: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        self.0.process().map_err(|_| Errno::ENOENT)?;
        for ((name, permissions, entry), own) in self.all().iter().zip(1u64..) {
            let number = self.0.attributes(own, *permissions).number;
            let name = name.as_bytes();
            let entry = DirectoryEntry { name, number, kind: entry.kind(), cookie: own };
            if own > cookie && visit(&entry).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A number as a name: digits without leading zeros.
pub fn parse_number(name: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(name).ok()?;
    let number: u32 = text.parse().ok()?;
    (text == format!("{number}")).then_some(number)
}

/// Shows numbered entries.
pub fn list_numbers(
    numbers: &[u32],
    cookie: u64,
    kind: Kind,
    number_of: impl Fn(u32) -> u64,
    visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
) {
    for &own in numbers {
        // Cookies start with 1, descriptors with 0.
        let place = u64::from(own) + 1;
        let name = format!("{own}");
        let name = name.as_bytes();
        let entry = DirectoryEntry { name, number: number_of(own), kind, cookie: place };
        if place > cookie && visit(&entry).is_break() {
            return;
        }
    }
}

/// All processes.
pub struct Processes;

impl Listing for Processes {
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let pid = parse_number(name).ok_or(Errno::ENOENT)?;
        let process = by_pid(pid).ok_or(Errno::ENOENT)?;
        let subject = Subject { process: Arc::downgrade(&process), tid: pid, is_thread: false };
        Ok(subject.directory())
    }

    fn list(
        &self,
        cookie: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        let pids: Vec<u32> = tree().iter().map(|process| process.pid).collect();
        list_numbers(&pids, cookie, Kind::Directory, |pid| u64::from(pid) << 32, visit);
        Ok(())
    }
}

/// The threads of a process.
struct Threads(Subject);

impl Listing for Threads {
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let tid = parse_number(name).ok_or(Errno::ENOENT)?;
        let process = self.0.process().map_err(|_| Errno::ENOENT)?;
        if process.thread(tid).is_none() && (tid != process.pid || !process.is_zombie()) {
            return Err(Errno::ENOENT);
        }
        Ok(Subject { tid, is_thread: true, ..self.0.clone() }.directory())
    }

    fn list(
        &self,
        cookie: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        let process = self.0.process().map_err(|_| Errno::ENOENT)?;
        let tids: Vec<u32> = process.threads().iter().map(|thread| thread.tid()).collect();
        let number = |tid| u64::from(tid) << 32 | 1 << 31;
        list_numbers(&tids, cookie, Kind::Directory, number, visit);
        Ok(())
    }
}

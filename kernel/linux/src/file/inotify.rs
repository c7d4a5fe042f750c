//! `inotify(7)`: programs that hear of what happens to files.
//!
//! Watches hang at the inodes that they watch; what happens is told by the virtual file system
//! for names and attributes, and by this layer for opening, reading, writing and closing.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use errno::Errno;
use lock::SpinLock;
use vfs::{Access, Dentry, EventKind, Final, Inode, Kind, Location, Resolve};

use super::{File, OpenFile, attached, events, flags};
use crate::error::{Result, fail};
use crate::notifier::Notifier;
use crate::rank;
use crate::thread::Thread;
use crate::user::{self, Sink};

/// What happened, and flags of a watch.
#[allow(missing_docs, reason = "Linux's names")]
pub mod mask {
    pub const ACCESS: u32 = 1;
    pub const MODIFY: u32 = 2;
    pub const ATTRIB: u32 = 4;
    pub const CLOSE_WRITE: u32 = 8;
    pub const CLOSE_NOWRITE: u32 = 0x10;
    pub const OPEN: u32 = 0x20;
    pub const MOVED_FROM: u32 = 0x40;
    pub const MOVED_TO: u32 = 0x80;
    pub const CREATE: u32 = 0x100;
    pub const DELETE: u32 = 0x200;
    pub const DELETE_SELF: u32 = 0x400;
    pub const MOVE_SELF: u32 = 0x800;
    pub const ALL: u32 = 0xfff;
    pub const OVERFLOW: u32 = 0x4000;
    pub const IGNORED: u32 = 0x8000;
    pub const ONLY_DIRECTORY: u32 = 0x100_0000;
    pub const DONT_FOLLOW: u32 = 0x200_0000;
    pub const EXCLUDE_UNLINKED: u32 = 0x400_0000;
    pub const MASK_CREATE: u32 = 0x1000_0000;
    pub const MASK_ADD: u32 = 0x2000_0000;
    pub const IS_DIRECTORY: u32 = 0x4000_0000;
    pub const ONE_SHOT: u32 = 0x8000_0000;
    /// All that `inotify_add_watch(2)` looks at.
    pub const KNOWN: u32 = ALL
        | 0xe000
        | ONLY_DIRECTORY
        | DONT_FOLLOW
        | EXCLUDE_UNLINKED
        | MASK_CREATE
        | MASK_ADD
        | IS_DIRECTORY
        | ONE_SHOT;
}

/// Events that wait at most, as Linux's default.
const MAX_EVENTS: usize = 16_384;
/// Bytes of an event without its name.
const HEADER: usize = 16;

/// Watches of all instances: where there are none, nothing is looked for.
static WATCHES: AtomicUsize = AtomicUsize::new(0);

#[derive(Clone, PartialEq, Eq)]
struct Event {
    watch: i32,
    mask: u32,
    cookie: u32,
    name: Vec<u8>,
}

impl Event {
    /// Bytes of its name with the padding.
    fn name_length(&self) -> usize {
        if self.name.is_empty() { 0 } else { (self.name.len() + 1).next_multiple_of(HEADER) }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.name_length());
        bytes.extend(self.watch.to_le_bytes());
        bytes.extend(self.mask.to_le_bytes());
        bytes.extend(self.cookie.to_le_bytes());
        bytes.extend((self.name_length() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.name);
        bytes.resize(HEADER + self.name_length(), 0);
        bytes
    }
}

/// A watch of one inode for one instance.
pub struct Watch {
    number: i32,
    mask: AtomicU32,
    instance: Weak<Instance>,
}

/// The watches of an inode.
pub struct Watches(SpinLock<Vec<Arc<Watch>>>);

impl Default for Watches {
    fn default() -> Self {
        Self(SpinLock::new(rank::FILE, Vec::new()))
    }
}

#[derive(Default)]
struct State {
    queue: VecDeque<Event>,
    /// The inodes that are watched, by the watches' numbers.
    watched: BTreeMap<i32, Arc<dyn Inode>>,
    last: i32,
}

/// What an inotify descriptor stands for.
struct Instance {
    state: SpinLock<State>,
    /// Held by whoever adds or removes watches.
    changing: sched::Mutex<()>,
    notifier: Notifier,
}

impl Instance {
    fn tell(&self, event: Event) {
        let mut state = self.state.lock();
        // Equal events in a row are one.
        if state.queue.back() == Some(&event) {
            return;
        }
        if state.queue.len() >= MAX_EVENTS {
            let full = Event { watch: -1, mask: mask::OVERFLOW, cookie: 0, name: Vec::new() };
            if state.queue.back() != Some(&full) {
                state.queue.push_back(full);
            }
            return;
        }
        state.queue.push_back(event);
        drop(state);
        self.notifier.notify_of(events::IN | events::RDNORM);
    }

    /// Ends a watch; `false`: there is none of this number.
    fn forget(&self, number: i32) -> bool {
        let Some(inode) = self.state.lock().watched.remove(&number) else { return false };
        let own = |watch: &Arc<Watch>| {
            watch.number == number && core::ptr::eq(watch.instance.as_ptr(), self)
        };
        let attached = attached(&*inode);
        let mut watches = attached.watches.0.lock();
        let before = watches.len();
        watches.retain(|watch| !own(watch));
        WATCHES.fetch_sub(before - watches.len(), Ordering::Relaxed);
        drop(watches);
        self.tell(Event { watch: number, mask: mask::IGNORED, cookie: 0, name: Vec::new() });
        true
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let watched = core::mem::take(&mut self.state.lock().watched);
        for (number, inode) in watched {
            let attached = attached(&*inode);
            let mut watches = attached.watches.0.lock();
            let before = watches.len();
            watches.retain(|watch| {
                watch.number != number || !core::ptr::eq(watch.instance.as_ptr(), self)
            });
            WATCHES.fetch_sub(before - watches.len(), Ordering::Relaxed);
        }
    }
}

struct InotifyFile(Arc<Instance>);

impl File for InotifyFile {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, _position: u64) -> Result<usize> {
        let mut done = 0;
        loop {
            let mut state = self.0.state.lock();
            let Some(event) = state.queue.front() else {
                return if done > 0 { Ok(done) } else { fail(Errno::EAGAIN) };
            };
            if to.room() < (HEADER + event.name_length()) as u64 {
                return if done > 0 { Ok(done) } else { fail(Errno::EINVAL) };
            }
            let Some(event) = state.queue.pop_front() else { return Ok(done) };
            drop(state);
            done += to.put(&event.encode())?;
        }
    }

    fn ready(&self) -> u32 {
        if self.0.state.lock().queue.is_empty() { 0 } else { events::IN | events::RDNORM }
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(&self.0.notifier)
    }

    fn ioctl(&self, _thread: &Thread, request: u32, argument: u64) -> Result {
        const FIONREAD: u32 = 0x541b;
        if request != FIONREAD {
            return fail(Errno::ENOTTY);
        }
        let state = self.0.state.lock();
        let bytes: usize = state.queue.iter().map(|event| HEADER + event.name_length()).sum();
        drop(state);
        user::write(argument, &(bytes as u32))?;
        Ok(0)
    }

    fn label(&self) -> alloc::string::String {
        "anon_inode:inotify".into()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Tells the watches of an inode.
fn tell(inode: &dyn Inode, what: u32, is_directory: bool, cookie: u32, name: &[u8]) {
    let Some(attached) = inode.attachment().get::<super::Attached>() else { return };
    let watches: Vec<_> = attached.watches.0.lock().clone();
    for watch in watches {
        let wanted = watch.mask.load(Ordering::Relaxed);
        let Some(instance) = watch.instance.upgrade().filter(|_| wanted & what != 0) else {
            continue;
        };
        let mask = what | if is_directory { mask::IS_DIRECTORY } else { 0 };
        instance.tell(Event { watch: watch.number, mask, cookie, name: name.to_vec() });
        if wanted & mask::ONE_SHOT != 0 {
            instance.forget(watch.number);
        }
    }
}

/// Tells the watches of a file and those of the directory that has its name.
fn tell_both(inode: &dyn Inode, dentry: Option<&Arc<Dentry>>, what: u32) {
    let is_directory = inode.kind() == Kind::Directory;
    if let Some((Some(parent), name, _)) = dentry.map(|dentry| dentry.place()) {
        tell(&**parent.inode(), what, is_directory, 0, &name);
    }
    tell(inode, what, is_directory, 0, &[]);
}

/// Something happened to an open file.
pub fn happened(location: &Location, what: u32) {
    if WATCHES.load(Ordering::Relaxed) > 0 {
        tell_both(&**location.inode(), Some(location.dentry()), what);
    }
}

/// Hears of what the virtual file system does.
pub struct Listener;

impl vfs::Listener for Listener {
    fn event(&self, event: &vfs::Event<'_>) {
        if WATCHES.load(Ordering::Relaxed) == 0 {
            return;
        }
        let inode = &**event.inode;
        let is_directory = inode.kind() == Kind::Directory;
        let in_directory = |what: u32, cookie: u32| {
            if let Some((directory, name)) = event.name {
                tell(&**directory.inode(), what, is_directory, cookie, name);
            }
        };
        match event.kind {
            EventKind::Created => in_directory(mask::CREATE, 0),
            EventKind::Removed => {
                if !is_directory {
                    tell(inode, mask::ATTRIB, false, 0, &[]);
                }
                in_directory(mask::DELETE, 0);
            }
            EventKind::MovedFrom { cookie } => in_directory(mask::MOVED_FROM, cookie),
            EventKind::MovedTo { cookie } => {
                in_directory(mask::MOVED_TO, cookie);
                tell(inode, mask::MOVE_SELF, is_directory, 0, &[]);
            }
            EventKind::Attributes => tell_both(inode, event.dentry, mask::ATTRIB),
            EventKind::Modified => tell_both(inode, event.dentry, mask::MODIFY),
            EventKind::LinksChanged => tell(inode, mask::ATTRIB, is_directory, 0, &[]),
            EventKind::Gone => {
                tell(inode, mask::DELETE_SELF, false, 0, &[]);
                let Some(attached) = inode.attachment().get::<super::Attached>() else { return };
                let watches: Vec<_> = attached.watches.0.lock().clone();
                for watch in watches {
                    watch.instance.upgrade().map(|instance| instance.forget(watch.number));
                }
            }
        }
    }
}

/// `inotify_init1(2)`.
pub fn inotify_init1(thread: &Thread, [options, ..]: [u64; 6]) -> Result {
    let options = options as u32;
    if options & !(flags::CLOEXEC | flags::NONBLOCK) != 0 {
        return fail(Errno::EINVAL);
    }
    let instance = Arc::new(Instance {
        state: SpinLock::new(rank::STREAM, State::default()),
        changing: sched::Mutex::new(()),
        notifier: Notifier::new(),
    });
    let open = OpenFile::new(Arc::new(InotifyFile(instance)), None, options & flags::NONBLOCK);
    thread.add_file(open, options & flags::CLOEXEC != 0)
}

/// `inotify_init(2)`.
pub fn inotify_init(thread: &Thread, _: [u64; 6]) -> Result {
    inotify_init1(thread, [0; 6])
}

fn instance_of(thread: &Thread, descriptor: u64) -> Result<Arc<Instance>> {
    let open = thread.files().get(descriptor)?;
    let file = open.file.as_any().downcast_ref::<InotifyFile>().ok_or(Errno::EINVAL)?;
    Ok(Arc::clone(&file.0))
}

/// `inotify_add_watch(2)`.
pub fn inotify_add_watch(thread: &Thread, [descriptor, path, wanted, ..]: [u64; 6]) -> Result {
    let wanted = wanted as u32;
    if wanted & mask::KNOWN == 0
        || (wanted & mask::MASK_ADD != 0 && wanted & mask::MASK_CREATE != 0)
    {
        return fail(Errno::EINVAL);
    }
    let instance = instance_of(thread, descriptor)?;
    let path = user::read_path(path)?;
    let end = if wanted & mask::DONT_FOLLOW != 0 { Final::NoFollow } else { Final::Follow };
    let location = thread.with_context(|context| -> Result<Location> {
        let location = context.resolve(None, &path, end, Resolve::default())?;
        if wanted & mask::ONLY_DIRECTORY != 0 && location.kind() != Kind::Directory {
            return fail(Errno::ENOTDIR);
        }
        context.check(&location, Access::READ)?;
        Ok(location)
    })?;
    let kept = wanted & (mask::ALL | mask::ONE_SHOT | mask::EXCLUDE_UNLINKED);
    let inode = Arc::clone(location.inode());
    let _changing = instance.changing.lock();
    let attached = attached(&*inode);
    let mut watches = attached.watches.0.lock();
    let own = |watch: &&Arc<Watch>| core::ptr::eq(watch.instance.as_ptr(), &*instance);
    if let Some(watch) = watches.iter().find(own) {
        if wanted & mask::MASK_CREATE != 0 {
            return fail(Errno::EEXIST);
        }
        let before =
            if wanted & mask::MASK_ADD != 0 { watch.mask.load(Ordering::Relaxed) } else { 0 };
        watch.mask.store(before | kept, Ordering::Relaxed);
        return Ok(watch.number as u64);
    }
    let mut state = instance.state.lock();
    state.last += 1;
    let number = state.last;
    state.watched.insert(number, Arc::clone(&inode));
    drop(state);
    watches.push(Arc::new(Watch {
        number,
        mask: AtomicU32::new(kept),
        instance: Arc::downgrade(&instance),
    }));
    WATCHES.fetch_add(1, Ordering::Relaxed);
    Ok(number as u64)
}

/// `inotify_rm_watch(2)`.
pub fn inotify_rm_watch(thread: &Thread, [descriptor, number, ..]: [u64; 6]) -> Result {
    let instance = instance_of(thread, descriptor)?;
    let _changing = instance.changing.lock();
    if instance.forget(number as i32) { Ok(0) } else { fail(Errno::EINVAL) }
}

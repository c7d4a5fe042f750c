//! What a file system implements for every file.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::ops::ControlFlow;

use errno::Errno;
use lock::SpinLock;

use crate::exclusion::Users;
use crate::location::Location;
use crate::memory::{Extent, Intent};
use crate::ranks;
use crate::types::{DeviceNumber, Kind, Metadata, Timestamp};

/// A file of any type.
///
/// Methods do not wait and do not check permissions; they do check what only the file system
/// knows. Unless a type of inode supports an operation, its default gives the error of Linux.
/// Names passed in are valid: 1 to 255 bytes, no `/`, not `.` or `..`.
///
/// An inode stays usable while somebody holds it, names or not.
pub trait Inode: Any + Send + Sync {
    /// The type; never changes.
    fn kind(&self) -> Kind;

    /// All that `stat` shows.
    fn metadata(&self) -> Metadata;

    /// Owner, group and permission bits, for checks: `(uid, gid, permissions)`.
    fn access(&self) -> (u32, u32, u16) {
        let metadata = self.metadata();
        (metadata.uid, metadata.gid, metadata.permissions)
    }

    /// Bytes of data.
    fn size(&self) -> u64 {
        self.metadata().size
    }

    /// Changes attributes; the change time becomes `now`.
    ///
    /// # Errors
    /// `EPERM` if attributes cannot be changed.
    fn set_attributes(&self, change: &AttributeChange, now: Timestamp) -> Result<(), Errno> {
        let _ = (change, now);
        Err(Errno::EPERM)
    }

    /// A place for what other layers know about this inode: the object behind a pipe or socket,
    /// locks, watches, mappings.
    fn attachment(&self) -> &Attachment;

    // Directories.

    /// The inode called `name`.
    ///
    /// # Errors
    /// `ENOENT`; `ENOTDIR` if this is no directory.
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn Inode>, Errno> {
        let _ = name;
        Err(Errno::ENOTDIR)
    }

    /// Whether a name found once stays valid until this interface changes it; `false` for
    /// directories whose content comes and goes by itself.
    fn children_are_stable(&self) -> bool {
        true
    }

    /// Makes an inode and names it.
    ///
    /// # Errors
    /// `EEXIST`; `ENOENT` if the directory was removed; `ENOSPC`; `EROFS`.
    fn create(
        &self,
        name: &[u8],
        new: &NewInode<'_>,
        now: Timestamp,
    ) -> Result<Arc<dyn Inode>, Errno> {
        let _ = (name, new, now);
        Err(if self.kind() == Kind::Directory { Errno::EROFS } else { Errno::ENOTDIR })
    }

    /// Makes a regular file without a name (`O_TMPFILE`); [`Inode::link`] may name it later.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if the file system cannot; `ENOSPC`.
    fn create_unnamed(&self, new: &NewInode<'_>, now: Timestamp) -> Result<Arc<dyn Inode>, Errno> {
        let _ = (new, now);
        Err(Errno::EOPNOTSUPP)
    }

    /// Gives `target`, of the same file system and no directory, a further name.
    ///
    /// # Errors
    /// `EEXIST`, `EMLINK`, `ENOENT`, `ENOSPC`, `EROFS`.
    fn link(&self, name: &[u8], target: &Arc<dyn Inode>, now: Timestamp) -> Result<(), Errno> {
        let _ = (name, target, now);
        Err(if self.kind() == Kind::Directory { Errno::EROFS } else { Errno::ENOTDIR })
    }

    /// Removes a name that is no directory.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`, `EROFS`.
    fn unlink(&self, name: &[u8], now: Timestamp) -> Result<(), Errno> {
        let _ = (name, now);
        Err(if self.kind() == Kind::Directory { Errno::EROFS } else { Errno::ENOTDIR })
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENOTEMPTY`, `EROFS`.
    fn remove_directory(&self, name: &[u8], now: Timestamp) -> Result<(), Errno> {
        let _ = (name, now);
        Err(if self.kind() == Kind::Directory { Errno::EROFS } else { Errno::ENOTDIR })
    }

    /// Moves `name` to `new_name` in `target`, a directory of the same file system. The caller
    /// has checked that no directory moves into itself.
    ///
    /// # Errors
    /// `ENOENT`, `EEXIST` (with [`Rename::NoReplace`]), `EISDIR`, `ENOTDIR`, `ENOTEMPTY`,
    /// `EROFS`.
    fn rename(
        &self,
        name: &[u8],
        target: &Arc<dyn Inode>,
        new_name: &[u8],
        how: Rename,
        now: Timestamp,
    ) -> Result<(), Errno> {
        let _ = (name, target, new_name, how, now);
        Err(if self.kind() == Kind::Directory { Errno::EROFS } else { Errno::ENOTDIR })
    }

    /// Visits the entries behind `cookie` (0: all), without `.` and `..`, until `visit` breaks.
    /// An entry that is there all the time is visited once, whatever else changes between calls.
    /// Cookies are above 2. `visit` runs under a lock: it only stores what it gets.
    ///
    /// # Errors
    /// `ENOTDIR`.
    fn read_directory(
        &self,
        cookie: u64,
        visit: &mut dyn FnMut(&DirectoryEntry<'_>) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        let _ = (cookie, visit);
        Err(Errno::ENOTDIR)
    }

    // Symbolic links.

    /// The text of a symbolic link.
    ///
    /// # Errors
    /// `EINVAL` if this is none.
    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        Err(Errno::EINVAL)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// `EINVAL` if this is none.
    fn follow(&self) -> Result<LinkTarget, Errno> {
        self.read_link().map(LinkTarget::Path)
    }

    // Regular files.

    /// Called when the file is opened. Files without pages (content made up on the spot)
    /// return the object to read from and write to.
    ///
    /// # Errors
    /// Whatever keeps the file from being opened.
    fn open(&self) -> Result<Option<Arc<dyn Content>>, Errno> {
        Ok(None)
    }

    /// Pages of the file from page `first` on: at least one, at most `max_pages`.
    ///
    /// [`Intent::Read`] shows no page behind the end of the file. [`Intent::Write`] may go
    /// beyond it, as a write that extends the file needs; [`Inode::written`] then moves the
    /// end.
    ///
    /// # Errors
    /// `ENXIO` for reading at or behind the end; `ENOSPC` (the file system's limit), `ENOMEM`,
    /// `EFBIG`; `EPERM` (sealed); `EISDIR` and `EINVAL` if this is no regular file.
    fn extent(&self, first: u64, max_pages: usize, intent: Intent) -> Result<Extent, Errno> {
        let _ = (first, max_pages, intent);
        Err(if self.kind() == Kind::Directory { Errno::EISDIR } else { Errno::EINVAL })
    }

    /// Counts how often pages of this file were replaced or removed. Whoever maps pages reads
    /// it first, asks for the extent, maps it, and if the count has changed by then unmaps and
    /// starts again; whoever got an extent with [`Extent::replaced`], truncates or punches a
    /// hole unmaps the range afterwards. So nobody keeps pages that are no longer the file's.
    fn page_generation(&self) -> u64 {
        0
    }

    /// Checks whether bytes `start` to `end` may be written, before pages are asked for.
    ///
    /// # Errors
    /// `EPERM` (sealed), `EFBIG`, `EINVAL`.
    fn begin_write(&self, start: u64, end: u64) -> Result<(), Errno> {
        let _ = (start, end);
        Err(Errno::EINVAL)
    }

    /// Tells that bytes `start` to `end` were written through extents: moves the end of the
    /// file if it was before `end`, and sets the times. A gap between the old end and `start`
    /// reads as zeros, except for what a shared mapping stored behind the end.
    fn written(&self, start: u64, end: u64, now: Timestamp) {
        let _ = (start, end, now);
    }

    /// Sets the size.
    ///
    /// # Errors
    /// `EISDIR`, `EINVAL`, `EFBIG`, `EPERM` (sealed), `ENOSPC`.
    fn truncate(&self, size: u64, now: Timestamp) -> Result<(), Errno> {
        let _ = (size, now);
        Err(if self.kind() == Kind::Directory { Errno::EISDIR } else { Errno::EINVAL })
    }

    /// `fallocate` for bytes `start` to `end`, which is above `start`. A long range takes its
    /// time: callers that must not keep a CPU for long split it.
    ///
    /// # Errors
    /// `EOPNOTSUPP`, `EFBIG`, `ENOSPC`, `EPERM` (sealed).
    fn allocate(&self, how: Allocate, start: u64, end: u64, now: Timestamp) -> Result<(), Errno> {
        let _ = (how, start, end, now);
        Err(Errno::EOPNOTSUPP)
    }

    /// The next byte from `start` on that is data, or in a hole; the end of the file is a hole.
    ///
    /// # Errors
    /// `ENXIO` at or behind the end, or if no data follows.
    fn seek(&self, start: u64, target: SeekTarget) -> Result<u64, Errno> {
        let size = self.size();
        match target {
            _ if start >= size => Err(Errno::ENXIO),
            SeekTarget::Data => Ok(start),
            SeekTarget::Hole => Ok(size),
        }
    }

    /// Gives back memory that was set aside for growth; for when the last writer is gone.
    fn trim(&self) {}

    /// The seals of a memory file (`F_GET_SEALS`); see [`seals`].
    ///
    /// # Errors
    /// `EINVAL` if this file has none.
    fn seals(&self) -> Result<u32, Errno> {
        Err(Errno::EINVAL)
    }

    /// Adds seals (`F_ADD_SEALS`). That no writable shared mapping exists, which
    /// [`seals::WRITE`] requires, is for the caller to check.
    ///
    /// # Errors
    /// `EINVAL` if this file has none; `EPERM` if it is sealed against this.
    fn add_seals(&self, seals: u32) -> Result<(), Errno> {
        let _ = seals;
        Err(Errno::EINVAL)
    }

    // Extended attributes.

    /// The value of an extended attribute.
    ///
    /// # Errors
    /// `ENODATA`; `EOPNOTSUPP` if there can be none.
    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        let _ = name;
        Err(Errno::EOPNOTSUPP)
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// `EEXIST`, `ENODATA` (as `mode` asks), `ENOSPC`, `EOPNOTSUPP`.
    fn set_xattr(
        &self,
        name: &[u8],
        value: &[u8],
        mode: XattrMode,
        now: Timestamp,
    ) -> Result<(), Errno> {
        let _ = (name, value, mode, now);
        Err(Errno::EOPNOTSUPP)
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// `ENODATA`, `EOPNOTSUPP`.
    fn remove_xattr(&self, name: &[u8], now: Timestamp) -> Result<(), Errno> {
        let _ = (name, now);
        Err(Errno::EOPNOTSUPP)
    }

    /// The names of all extended attributes.
    fn xattr_names(&self) -> Vec<Vec<u8>> {
        Vec::new()
    }
}

/// What a new inode shall be.
#[derive(Debug, Clone)]
pub struct NewInode<'a> {
    /// Its type, with what belongs to it.
    pub kind: NewKind<'a>,
    /// Permission, set-id and sticky bits.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
}

/// The type of a new inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewKind<'a> {
    /// An empty regular file.
    File,
    /// An empty directory.
    Directory,
    /// A symbolic link with this text.
    Symlink(&'a [u8]),
    /// A character device.
    CharDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl NewKind<'_> {
    /// The type alone.
    pub fn kind(&self) -> Kind {
        match self {
            Self::File => Kind::File,
            Self::Directory => Kind::Directory,
            Self::Symlink(_) => Kind::Symlink,
            Self::CharDevice(_) => Kind::CharDevice,
            Self::BlockDevice(_) => Kind::BlockDevice,
            Self::Fifo => Kind::Fifo,
            Self::Socket => Kind::Socket,
        }
    }
}

/// Attributes to change; what is `None` stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttributeChange {
    /// Permission, set-id and sticky bits.
    pub permissions: Option<u16>,
    /// Owner.
    pub uid: Option<u32>,
    /// Owning group.
    pub gid: Option<u32>,
    /// Last access.
    pub accessed: Option<Timestamp>,
    /// Last change of the data.
    pub modified: Option<Timestamp>,
}

/// What happens to an inode that has the new name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rename {
    /// It loses the name.
    Replace,
    /// It stays, and the rename fails (`RENAME_NOREPLACE`).
    NoReplace,
    /// It gets the old name (`RENAME_EXCHANGE`).
    Exchange,
}

/// A directory entry as `getdents` needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryEntry<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The inode's number.
    pub number: u64,
    /// Its type.
    pub kind: Kind,
    /// Where to go on behind this entry.
    pub cookie: u64,
}

/// Where a symbolic link leads.
#[derive(Debug, Clone)]
pub enum LinkTarget {
    /// To what this path names.
    Path(Vec<u8>),
    /// Straight there ("magic links" such as `/proc/self/fd/3`), whatever the text says.
    Jump(Location),
}

/// What `fallocate` shall do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocate {
    /// Set storage aside; grow the file to the range unless `keep_size`.
    Reserve {
        /// Leave the size alone.
        keep_size: bool,
    },
    /// Free the storage; the range reads as zeros.
    PunchHole,
    /// Make the range read as zeros; grow the file to the range unless `keep_size`.
    ZeroRange {
        /// Leave the size alone.
        keep_size: bool,
    },
}

/// What `lseek` looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTarget {
    /// `SEEK_DATA`.
    Data,
    /// `SEEK_HOLE`.
    Hole,
}

/// Whether an extended attribute may or must exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XattrMode {
    /// Either way.
    Any,
    /// It must not exist (`XATTR_CREATE`).
    Create,
    /// It must exist (`XATTR_REPLACE`).
    Replace,
}

/// Seals of memory files, as `fcntl(2)` numbers them.
pub mod seals {
    /// No more seals.
    pub const SEAL: u32 = 1;
    /// The file cannot shrink.
    pub const SHRINK: u32 = 2;
    /// The file cannot grow.
    pub const GROW: u32 = 4;
    /// The content cannot change.
    pub const WRITE: u32 = 8;
    /// The content cannot change through writes, nor through shared mappings made from now on;
    /// keeping those from being made is up to who maps.
    pub const FUTURE_WRITE: u32 = 16;
}

/// Content that is not kept in pages.
pub trait Content: Send + Sync {
    /// Copies bytes from `offset` on into `buffer`; 0 at the end.
    ///
    /// # Errors
    /// Whatever the content's maker says.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Takes bytes in at `offset`.
    ///
    /// # Errors
    /// `EINVAL` if nothing can be written here.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let _ = (offset, bytes);
        Err(Errno::EINVAL)
    }
}

/// A slot on an inode for an object of another layer, and who uses its data how.
pub struct Attachment {
    object: SpinLock<Option<Arc<dyn Any + Send + Sync>>>,
    users: Users,
}

impl Default for Attachment {
    fn default() -> Self {
        Self::new()
    }
}

impl Attachment {
    /// An empty slot.
    pub const fn new() -> Self {
        Self { object: SpinLock::new(ranks::ATTACHMENT, None), users: Users::new() }
    }

    /// Who writes and who executes the inode's file.
    pub(crate) fn users(&self) -> &Users {
        &self.users
    }

    /// The object, if it is of type `T`.
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let object = self.object.lock().clone()?;
        object.downcast().ok()
    }

    /// The object; made by `make` if there is none of type `T`. Of two vCPUs that come at the
    /// same time, both get the same one.
    pub fn get_or_insert<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(object) = self.get() {
            return object;
        }
        let new = Arc::new(make());
        let mut slot = self.object.lock();
        if let Some(Ok(object)) = slot.clone().map(|object| object.downcast()) {
            drop(slot);
            return object;
        }
        // The old object may have a lot to do when it goes: not under the lock.
        let old = slot.replace(new.clone());
        drop(slot);
        drop(old);
        new
    }

    /// Takes the object out.
    pub fn take(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        self.object.lock().take()
    }
}

//! System V IPC (`sysvipc(7)`): shared memory, semaphores, message queues.
//!
//! Each kind has a table of objects that keys name. An identifier is a place in the table and a
//! sequence number above it, so that one that was removed is not taken for its successor.

mod msg;
mod sem;
mod shm;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

use errno::Errno;

pub use msg::{msgctl, msgget, msgrcv, msgsnd};
pub use sem::{Undo, end_undo, semctl, semget, semop, semtimedop};
pub use shm::{shmat, shmctl, shmdt, shmget};

use crate::error::{Result, fail};
use crate::layout;
use crate::process::Identity;
use crate::thread::Thread;

/// `IPC_PRIVATE`.
const PRIVATE: u32 = 0;
const CREATE: u32 = 0o1000;
const EXCLUSIVE: u32 = 0o2000;
const NO_WAIT: u32 = 0o4000;

/// Commands of all three `*ctl` calls.
mod command {
    pub const REMOVE: u32 = 0;
    pub const SET: u32 = 1;
    pub const STAT: u32 = 2;
    pub const INFO: u32 = 3;
    /// Old programs ask for the new structures with this bit.
    pub const VERSION_64: u32 = 0x100;
}

const CAP_IPC_OWNER: u32 = 15;
const CAP_SYS_ADMIN: u32 = 21;

layout! {
    /// `struct ipc64_perm`.
    pub struct RawPermissions {
        pub key: u32,
        pub uid: u32,
        pub gid: u32,
        pub creator_uid: u32,
        pub creator_gid: u32,
        pub mode: u32,
        pub sequence: u32,
        pub padding: u32,
        pub unused: [u64; 2],
    }
}

/// Owner and permission bits of an object.
#[derive(Clone, Copy, Debug)]
pub struct Permissions {
    key: u32,
    uid: u32,
    gid: u32,
    creator: (u32, u32),
    mode: u32,
    sequence: u32,
}

impl Permissions {
    fn new(identity: &Identity, key: u32, mode: u32) -> Self {
        let (uid, gid) = (identity.effective_uid, identity.effective_gid);
        Self { key, uid, gid, creator: (uid, gid), mode: mode & 0o777, sequence: 0 }
    }

    /// Whether the bits of the caller's class hold all of `wanted` (as in the lowest class).
    fn check(&self, identity: &Identity, wanted: u32) -> Result<()> {
        let wanted = (wanted >> 6 | wanted >> 3 | wanted) & 7;
        let uid = identity.effective_uid;
        let in_group = |gid| identity.effective_gid == gid || identity.checks.groups.contains(&gid);
        let class = if uid == self.uid || uid == self.creator.0 {
            self.mode >> 6
        } else if in_group(self.gid) || in_group(self.creator.1) {
            self.mode >> 3
        } else {
            self.mode
        };
        if wanted & !class & 7 == 0 || identity.can(CAP_IPC_OWNER) {
            Ok(())
        } else {
            fail(Errno::EACCES)
        }
    }

    /// Whether the caller may remove or change the object.
    fn check_owner(&self, identity: &Identity) -> Result<()> {
        let uid = identity.effective_uid;
        if uid == self.uid || uid == self.creator.0 || identity.can(CAP_SYS_ADMIN) {
            Ok(())
        } else {
            fail(Errno::EPERM)
        }
    }

    /// Takes what `IPC_SET` can change.
    fn set(&mut self, raw: &RawPermissions) {
        self.uid = raw.uid;
        self.gid = raw.gid;
        self.mode = self.mode & !0o777 | raw.mode & 0o777;
    }

    fn raw(&self) -> RawPermissions {
        RawPermissions {
            key: self.key,
            uid: self.uid,
            gid: self.gid,
            creator_uid: self.creator.0,
            creator_gid: self.creator.1,
            mode: self.mode,
            sequence: self.sequence,
            ..RawPermissions::default()
        }
    }
}

/// What can be in a table.
pub trait Object: Send + Sync {
    /// Owner and permission bits, as they are now.
    fn permissions(&self) -> Permissions;
}

/// The objects of one kind.
pub struct Table<T> {
    objects: BTreeMap<u32, Arc<T>>,
    keys: BTreeMap<u32, u32>,
    sequence: u32,
}

/// The most objects of a kind, as Linux's default.
const MAX_OBJECTS: usize = 32_000;
const PLACE_BITS: u32 = 15;
const MAX_SEQUENCE: u32 = u32::MAX >> (PLACE_BITS + 1);

impl<T: Object> Table<T> {
    /// No objects.
    pub const fn new() -> Self {
        Self { objects: BTreeMap::new(), keys: BTreeMap::new(), sequence: 0 }
    }

    /// The object with an identifier.
    ///
    /// # Errors
    /// `EINVAL`.
    fn find(&self, identifier: u64) -> Result<Arc<T>> {
        if (identifier as i32) < 0 {
            return fail(Errno::EINVAL);
        }
        Ok(self.objects.get(&(identifier as u32)).cloned().ok_or(Errno::EINVAL)?)
    }

    /// What `*get` finds or makes: the identifier. `check` looks at an object that is there.
    fn get(
        &mut self,
        thread: &Thread,
        key: u32,
        flags: u32,
        check: impl FnOnce(&T) -> Result<()>,
        make: impl FnOnce(Permissions) -> Result<T>,
    ) -> Result {
        let identity = thread.identity();
        let known = self.keys.get(&key).copied().filter(|_| key != PRIVATE);
        if let Some(identifier) = known {
            let object = self.find(u64::from(identifier))?;
            if flags & CREATE != 0 && flags & EXCLUSIVE != 0 {
                return fail(Errno::EEXIST);
            }
            check(&object)?;
            object.permissions().check(&identity, flags & 0o777)?;
            return Ok(u64::from(identifier));
        }
        if key != PRIVATE && flags & CREATE == 0 {
            return fail(Errno::ENOENT);
        }
        if self.objects.len() >= MAX_OBJECTS {
            return fail(Errno::ENOSPC);
        }
        let mut permissions = Permissions::new(&identity, key, flags);
        self.sequence = (self.sequence + 1) % MAX_SEQUENCE;
        permissions.sequence = self.sequence;
        let used =
            |place: u32| self.objects.keys().any(|own| own & ((1 << PLACE_BITS) - 1) == place);
        let place = (0..MAX_OBJECTS as u32).find(|place| !used(*place)).ok_or(Errno::ENOSPC)?;
        let identifier = self.sequence << PLACE_BITS | place;
        self.objects.insert(identifier, Arc::new(make(permissions)?));
        if key != PRIVATE {
            self.keys.insert(key, identifier);
        }
        Ok(u64::from(identifier))
    }

    /// Takes an object out.
    fn remove(&mut self, identifier: u64) -> Option<Arc<T>> {
        let object = self.objects.remove(&(identifier as u32))?;
        self.keys.retain(|_, named| u64::from(*named) != identifier);
        Some(object)
    }

    /// The highest place in use.
    fn highest(&self) -> u32 {
        let place = |identifier: &u32| identifier & ((1 << PLACE_BITS) - 1);
        self.objects.keys().map(place).max().unwrap_or(0)
    }
}

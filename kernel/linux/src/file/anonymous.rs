//! Places for open files that have none: what `/proc/self/fd/1` leads to when it is a pipe.

use alloc::sync::Arc;
use core::any::Any;

use errno::Errno;
use generated::{Attributes, Directory, Generated};
use spin::Once;
use vfs::{Attachment, Inode, Kind, Location, Metadata, Mount, MountFlags, Superblock};

use super::{File, OpenFile, metadata_of};
use crate::error::Result;
use crate::thread::with_current;

/// The inode of an open file without a place.
struct Unnamed {
    open: Arc<OpenFile>,
    attachment: Attachment,
}

impl Inode for Unnamed {
    fn kind(&self) -> Kind {
        metadata_of(&self.open).0.kind
    }

    fn metadata(&self) -> Metadata {
        let metadata = metadata_of(&self.open).0;
        // Nobody else gets here.
        let owner = with_current(|thread| thread.identity());
        match owner {
            Some(owner) => {
                Metadata { uid: owner.effective_uid, gid: owner.effective_gid, ..metadata }
            }
            None => metadata,
        }
    }

    fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    fn set_attributes(
        &self,
        _change: &vfs::AttributeChange,
        _now: vfs::Timestamp,
    ) -> core::result::Result<(), Errno> {
        Err(Errno::EPERM)
    }
}

/// A place for an open file that has none.
pub fn place_of_unnamed(open: &Arc<OpenFile>) -> Location {
    static MOUNT: Once<Arc<Mount>> = Once::new();
    let mount = MOUNT.call_once(|| {
        const ANON_INODE_FS_MAGIC: u64 = 0x0904_1934;
        const DEVICE: u64 = 14;
        let root = Arc::new(Directory::new(Attributes::new(1, 0o555)));
        let file_system = Generated::new("anon_inodefs", ANON_INODE_FS_MAGIC, root);
        Mount::detached(Superblock::new(file_system, DEVICE), MountFlags::NONE)
    });
    let inode = Unnamed { open: Arc::clone(open), attachment: Attachment::new() };
    let label = open.file.label();
    Location::unnamed(Arc::clone(mount), Arc::new(inode), label.as_bytes())
}

/// Opens the file behind such a place once more; `None` if the place is none.
pub fn reopen(inode: &dyn Inode, options: u32) -> Option<Result<Arc<dyn File>>> {
    let inode: &dyn Any = inode;
    let unnamed = inode.downcast_ref::<Unnamed>()?;
    Some(Arc::clone(&unnamed.open.file).reopen(options))
}

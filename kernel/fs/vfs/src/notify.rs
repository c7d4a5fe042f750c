//! Events for `inotify` and its kin.

use alloc::sync::Arc;

use crate::dentry::Dentry;
use crate::inode::Inode;

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A name was made in a directory.
    Created,
    /// A name was removed from a directory; a file lost a link by that.
    Removed,
    /// A name left a directory; the cookie joins it with [`EventKind::MovedTo`].
    MovedFrom {
        /// The same in both events of a move.
        cookie: u32,
    },
    /// A name came into a directory.
    MovedTo {
        /// The same in both events of a move.
        cookie: u32,
    },
    /// Attributes changed.
    Attributes,
    /// The inode got a name, or lost one to another file that was moved there.
    LinksChanged,
    /// Data changed through the path (truncation). Reads, writes, opening and closing are
    /// reported by whoever does them.
    Modified,
    /// The inode lost its last name.
    Gone,
}

/// An event.
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// The inode that it happened to.
    pub inode: &'a Arc<dyn Inode>,
    /// The name that the file was found by, where that matters.
    pub dentry: Option<&'a Arc<Dentry>>,
    /// The directory and the name in it, where names are concerned.
    pub name: Option<(&'a Arc<Dentry>, &'a [u8])>,
}

/// Who wants to know. Called without locks held, after the fact.
pub trait Listener: Send + Sync {
    /// Takes note of an event; must not wait.
    fn event(&self, event: &Event<'_>);
}

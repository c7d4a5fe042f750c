//! Who writes a file and who executes it: never both at the same time (`ETXTBSY`).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, Ordering};

use errno::Errno;

use crate::inode::Inode;

/// How many write (positive) or execute (negative) a file.
#[derive(Default)]
pub(crate) struct Users(AtomicI32);

impl Users {
    pub(crate) const fn new() -> Self {
        Self(AtomicI32::new(0))
    }

    /// Adds a user of the sign's kind; `false` while there are users of the other kind.
    fn add(&self, sign: i32) -> bool {
        let change = |users: i32| (users * sign >= 0).then_some(users + sign);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
    }

    fn remove(&self, sign: i32) {
        self.0.fetch_sub(sign, Ordering::AcqRel);
    }
}

macro_rules! access {
    ($(#[$doc:meta])* $name:ident, $sign:literal) => {
        $(#[$doc])*
        pub struct $name(Arc<dyn Inode>);

        impl $name {
            /// Takes it, for as long as the result lives.
            ///
            /// # Errors
            /// `ETXTBSY`.
            pub fn take(inode: &Arc<dyn Inode>) -> Result<Self, Errno> {
                if inode.attachment().users().add($sign) {
                    Ok(Self(Arc::clone(inode)))
                } else {
                    Err(Errno::ETXTBSY)
                }
            }
        }

        impl Clone for $name {
            fn clone(&self) -> Self {
                // There is one already, so that the other kind is shut out.
                self.0.attachment().users().add($sign);
                Self(Arc::clone(&self.0))
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                self.0.attachment().users().remove($sign);
            }
        }
    };
}

access! {
    /// The right to change a file's data; nobody executes it meanwhile.
    WriteAccess, 1
}
access! {
    /// The right to execute a file; nobody opens it for writing meanwhile.
    ExecuteAccess, -1
}

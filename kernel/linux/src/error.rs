//! How a system call can fail to finish.

use errno::Errno;
use hal::{MapError, UserFault};

/// Why a system call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fail {
    /// An error for the program.
    Errno(Errno),
    /// A signal came first. The call starts again when the handler says so (`SA_RESTART`) or there
    /// is no handler; otherwise it fails with `EINTR`.
    Restart,
    /// A signal came first. The call starts again only when no handler runs.
    RestartUnlessHandled,
}

/// The result of a system call.
pub type Result<T = u64> = core::result::Result<T, Fail>;

impl From<Errno> for Fail {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<UserFault> for Fail {
    fn from(_fault: UserFault) -> Self {
        Self::Errno(Errno::EFAULT)
    }
}

impl From<MapError> for Fail {
    fn from(error: MapError) -> Self {
        Self::Errno(match error {
            MapError::NoMemory | MapError::Reserved => Errno::ENOMEM,
            MapError::NoSpace => Errno::EAGAIN,
        })
    }
}

/// Fails with `errno`.
pub fn fail<T>(errno: Errno) -> Result<T> {
    Err(Fail::Errno(errno))
}

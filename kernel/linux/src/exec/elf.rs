//! Programs in files.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Deref;

use errno::Errno;
use executable::{Executable, NotExecutable};
use hal::Protection;
use vfs::{Inode, Location};

use crate::error::{Fail, Result, fail};
use crate::file::read_pages;
use crate::memory::TASK_END;
use crate::user::{Collected, Sink};

pub use executable::Segment;

/// An ELF program in a file.
pub struct Program {
    /// Its file.
    pub location: Location,
    /// Its content.
    pub inode: Arc<dyn Inode>,
    /// What its headers ask for.
    pub executable: Executable,
}

impl Deref for Program {
    type Target = Executable;

    fn deref(&self) -> &Executable {
        &self.executable
    }
}

impl From<NotExecutable> for Fail {
    fn from(_: NotExecutable) -> Self {
        Self::Errno(Errno::ENOEXEC)
    }
}

fn read_exactly(inode: &dyn Inode, offset: u64, length: usize) -> Result<Vec<u8>> {
    let mut sink = Collected::new(length);
    read_pages(inode, &mut sink, offset)?;
    if sink.room() > 0 { fail(Errno::ENOEXEC) } else { Ok(sink.bytes) }
}

impl Program {
    /// Reads the headers of the program in a file.
    ///
    /// # Errors
    /// `ENOEXEC` when it is no program for this machine, or a damaged one.
    pub fn read(location: &Location) -> Result<Self> {
        let inode = Arc::clone(location.inode());
        let executable =
            Executable::read(TASK_END, |offset, length| read_exactly(&*inode, offset, length))?;
        Ok(Self { location: location.clone(), inode, executable })
    }
}

/// What a program may do with a segment.
pub fn protection(segment: &Segment) -> Protection {
    let (read, write, execute) = segment.rights;
    Protection { read, write, execute }
}

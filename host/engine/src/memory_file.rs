//! Files that exist only in memory.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags};

/// An empty memory file; `name` is for people who look into `/proc`.
fn create(name: &str, flags: MemfdFlags) -> io::Result<File> {
    let flags = flags | MemfdFlags::CLOEXEC;
    Ok(rustix::fs::memfd_create(name, flags)?.into())
}

/// A memory file of `length` zero bytes, to be shared and written.
pub fn shared(name: &str, length: u64) -> io::Result<OwnedFd> {
    let file = create(name, MemfdFlags::ALLOW_SEALING)?;
    file.set_len(length)?;
    rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file.into())
}

/// A memory file with `head` and then all of `rest`, padded with zeros to a multiple of
/// `alignment`, that nobody can change any more.
pub fn sealed(
    name: &str,
    head: &[u8],
    rest: Option<&mut File>,
    alignment: u64,
) -> io::Result<OwnedFd> {
    let mut file = create(name, MemfdFlags::ALLOW_SEALING)?;
    file.write_all(head)?;
    if let Some(rest) = rest {
        rest.rewind()?;
        io::copy(rest, &mut file)?;
    }
    let length = file.stream_position()?;
    file.set_len(length.next_multiple_of(alignment))?;
    file.rewind()?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

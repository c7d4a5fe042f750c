//! Making, naming and connecting sockets.

use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;

use super::unix::{self, UnixSocket};
use super::{Socket, SocketFile, kind, open_socket};
use crate::error::{Fail, Result, fail};
use crate::file::{self, OpenFile, flags};
use crate::thread::Thread;
use crate::user;

const UNIX: u32 = 1;
/// Flags that come with a socket's kind.
const KIND_FLAGS: u32 = flags::NONBLOCK | flags::CLOEXEC;
/// The longest address of any family (`struct sockaddr_storage`).
const LONGEST_ADDRESS: usize = 128;
/// The most connections that can wait (`somaxconn`).
const MAX_BACKLOG: usize = 4096;

fn split_kind(type_: u64) -> Result<(u32, u32)> {
    let (type_, options) = (type_ as u32 & 0xf, type_ as u32 & !0xf);
    if options & !KIND_FLAGS != 0 { fail(Errno::EINVAL) } else { Ok((type_, options)) }
}

/// The kind of a unix socket of this kind and protocol.
fn unix_kind(type_: u32, protocol: u32) -> Result<u32> {
    const RAW: u32 = 3;
    const MAX: u32 = 11;
    match type_ {
        MAX.. => fail(Errno::EINVAL),
        _ if protocol != 0 && protocol != UNIX => fail(Errno::EPROTONOSUPPORT),
        kind::STREAM | kind::DATAGRAM | kind::PACKETS => Ok(type_),
        // As Linux has it: raw ones are for datagrams.
        RAW => Ok(kind::DATAGRAM),
        _ => fail(Errno::ESOCKTNOSUPPORT),
    }
}

/// `socket(2)`.
pub fn socket(thread: &Thread, [family, type_, protocol, ..]: [u64; 6]) -> Result {
    let (type_, options) = split_kind(type_)?;
    if type_ >= 11 {
        return fail(Errno::EINVAL);
    }
    let socket: Arc<dyn Socket> = match family as u32 {
        UNIX => UnixSocket::new(unix_kind(type_, protocol as u32)?),
        _ => return fail(Errno::EAFNOSUPPORT),
    };
    thread.add_file(open_socket(socket, options), options & flags::CLOEXEC != 0)
}

/// `socketpair(2)`.
pub fn socketpair(thread: &Thread, [family, type_, protocol, descriptors, ..]: [u64; 6]) -> Result {
    const INTERNET: [u32; 2] = [2, 10];
    let (type_, options) = split_kind(type_)?;
    if family as u32 != UNIX {
        let known = INTERNET.contains(&(family as u32));
        return fail(if known { Errno::EOPNOTSUPP } else { Errno::EAFNOSUPPORT });
    }
    let ends = unix::pair(thread, unix_kind(type_, protocol as u32)?);
    let ends = ends.map(|end| open_socket(end, options));
    file::add_pair(thread, descriptors, ends, options & flags::CLOEXEC != 0)
}

/// Reads an address.
pub fn read_address(address: u64, length: u64) -> Result<Vec<u8>> {
    match usize::try_from(length as i32) {
        Ok(length @ ..=LONGEST_ADDRESS) => user::read_bytes(address, length),
        _ => fail(Errno::EINVAL),
    }
}

/// Writes an address as far as there is room, and its real length.
pub fn write_address(name: &[u8], address: u64, length: u64) -> Result<()> {
    let room: i32 = user::read(length)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    user::write_bytes(address, &name[..name.len().min(room)])?;
    user::write(length, &(name.len() as u32))
}

fn with_socket<T>(
    thread: &Thread,
    descriptor: u64,
    with: impl FnOnce(&Arc<OpenFile>, &Arc<dyn Socket>) -> Result<T>,
) -> Result<T> {
    let open = thread.files().get(descriptor)?;
    let socket = Arc::clone(SocketFile::of(&open)?);
    with(&open, &socket)
}

/// `bind(2)`.
pub fn bind(thread: &Thread, [descriptor, address, length, ..]: [u64; 6]) -> Result {
    with_socket(thread, descriptor, |_, socket| {
        socket.bind(thread, &read_address(address, length)?)?;
        Ok(0)
    })
}

/// `listen(2)`.
pub fn listen(thread: &Thread, [descriptor, backlog, ..]: [u64; 6]) -> Result {
    // A negative number is a large one.
    let backlog = (backlog as u32 as usize).min(MAX_BACKLOG);
    with_socket(thread, descriptor, |_, socket| {
        socket.listen(thread, backlog)?;
        Ok(0)
    })
}

/// `connect(2)`.
pub fn connect(thread: &Thread, [descriptor, address, length, ..]: [u64; 6]) -> Result {
    with_socket(thread, descriptor, |open, socket| {
        let address = read_address(address, length)?;
        let may_wait = open.flags() & flags::NONBLOCK == 0;
        let deadline = socket.options().deadline(true);
        let done = open.wait_for(thread, may_wait, deadline, || socket.connect(thread, &address));
        match done {
            Err(Fail::Errno(Errno::EAGAIN)) if !may_wait => fail(socket.connect_pending()),
            other => other.map(|()| 0),
        }
    })
}

/// `accept4(2)`.
pub fn accept4(thread: &Thread, [descriptor, address, length, options, ..]: [u64; 6]) -> Result {
    let options = options as u32;
    if options & !KIND_FLAGS != 0 {
        return fail(Errno::EINVAL);
    }
    with_socket(thread, descriptor, |open, socket| {
        let may_wait = open.flags() & flags::NONBLOCK == 0;
        let deadline = socket.options().deadline(false);
        let accepted = open.wait_for(thread, may_wait, deadline, || socket.accept())?;
        let name = accepted.peer_name().unwrap_or_default();
        let file = open_socket(accepted, options);
        if address != 0 {
            write_address(&name, address, length)?;
        }
        thread.add_file(file, options & flags::CLOEXEC != 0)
    })
}

/// `accept(2)`.
pub fn accept(thread: &Thread, [descriptor, address, length, ..]: [u64; 6]) -> Result {
    accept4(thread, [descriptor, address, length, 0, 0, 0])
}

/// `shutdown(2)`.
pub fn shutdown(thread: &Thread, [descriptor, how, ..]: [u64; 6]) -> Result {
    with_socket(thread, descriptor, |_, socket| {
        match how as u32 {
            0 => socket.shutdown(true, false)?,
            1 => socket.shutdown(false, true)?,
            2 => socket.shutdown(true, true)?,
            _ => return fail(Errno::EINVAL),
        }
        Ok(0)
    })
}

/// `getsockname(2)`.
pub fn getsockname(thread: &Thread, [descriptor, address, length, ..]: [u64; 6]) -> Result {
    with_socket(thread, descriptor, |_, socket| {
        write_address(&socket.name(), address, length)?;
        Ok(0)
    })
}

/// `getpeername(2)`.
pub fn getpeername(thread: &Thread, [descriptor, address, length, ..]: [u64; 6]) -> Result {
    with_socket(thread, descriptor, |_, socket| {
        write_address(&socket.peer_name()?, address, length)?;
        Ok(0)
    })
}

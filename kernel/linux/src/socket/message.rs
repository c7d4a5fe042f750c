//! Sending and receiving messages.

use alloc::sync::Arc;
use alloc::vec::Vec;

use errno::Errno;

use super::{
    Incoming, Outgoing, Sender, SocketFile, kind, message_flags as message, read_address,
    write_address,
};
use crate::abi::{Layout, Timespec};
use crate::error::{Fail, Result, fail};
use crate::file::{self, OpenFile, deadline_of, flags};
use crate::layout;
use crate::thread::Thread;
use crate::user::{self, Buffer};

const SOL_SOCKET: u32 = 1;
const SCM_RIGHTS: u32 = 1;
const SCM_CREDENTIALS: u32 = 2;
/// The most open files that go with one message.
const MAX_RIGHTS: usize = 253;
/// The most control bytes that are looked at.
const MAX_CONTROL: u64 = 64 << 10;
/// The most messages of one call.
const MAX_MESSAGES: u64 = 1024;

layout! {
    /// `struct msghdr`.
    pub struct Header {
        pub name: u64,
        pub name_length: u32,
        pub padding: u32,
        pub parts: u64,
        pub part_count: u64,
        pub control: u64,
        pub control_length: u64,
        pub flags: u32,
        pub end: u32,
    }

    /// `struct cmsghdr`.
    pub struct ControlHeader {
        pub length: u64,
        pub level: u32,
        pub kind: u32,
    }
}

/// Bytes of a `struct mmsghdr`; its length comes last but for padding.
const MANY_SIZE: u64 = 64;
const MANY_LENGTH: u64 = 56;

fn parts_of(header: &Header) -> Result<Buffer> {
    if header.part_count > 1024 {
        return fail(Errno::EMSGSIZE);
    }
    Buffer::from_array(header.parts, header.part_count)
}

/// Puts what is sent along into `outgoing`.
fn read_control(thread: &Thread, header: &Header, outgoing: &mut Outgoing<'_>) -> Result<()> {
    if header.control == 0 || header.control_length == 0 {
        return Ok(());
    }
    if header.control_length > MAX_CONTROL {
        return fail(Errno::ENOBUFS);
    }
    let bytes = user::read_bytes(header.control, header.control_length as usize)?;
    let mut rest = &bytes[..];
    while rest.len() >= ControlHeader::SIZE {
        let control = ControlHeader::decode(&rest[..ControlHeader::SIZE]);
        let length = usize::try_from(control.length).unwrap_or(usize::MAX);
        if length < ControlHeader::SIZE || length > rest.len() {
            return fail(Errno::EINVAL);
        }
        let data = &rest[ControlHeader::SIZE..length];
        match control.kind {
            _ if control.level != SOL_SOCKET => {}
            SCM_RIGHTS => {
                if data.len() / 4 + outgoing.rights.len() > MAX_RIGHTS {
                    return fail(Errno::EINVAL);
                }
                for descriptor in data.chunks_exact(4) {
                    let number = u64::from(u32::decode(descriptor));
                    outgoing.rights.push(thread.files().get_any(number)?);
                }
            }
            SCM_CREDENTIALS => outgoing.sender = claimed_sender(thread, data)?,
            _ => return fail(Errno::EINVAL),
        }
        rest = &rest[length.next_multiple_of(8).min(rest.len())..];
    }
    Ok(())
}

/// Who a program says that it is, if it may.
fn claimed_sender(thread: &Thread, data: &[u8]) -> Result<Sender> {
    const SYS_ADMIN: u32 = 21;
    const SETUID: u32 = 7;
    const SETGID: u32 = 6;
    if data.len() != 12 {
        return fail(Errno::EINVAL);
    }
    let [pid, uid, gid] = <[u32; 3]>::decode(data);
    let identity = thread.identity();
    let has = |capability| thread.has_capability(capability);
    let users = identity.users();
    let groups = identity.groups();
    if (pid != thread.process.pid && !has(SYS_ADMIN))
        || (!users.contains(&uid) && !has(SETUID))
        || (!groups.contains(&gid) && !has(SETGID))
    {
        return fail(Errno::EPERM);
    }
    Ok(Sender { pid, uid, gid })
}

fn send(open: &OpenFile, from: &mut Buffer, mut outgoing: Outgoing<'_>) -> Result {
    let socket = SocketFile::of(open)?;
    let thread = outgoing.thread;
    let may_wait = open.flags() & flags::NONBLOCK == 0 && outgoing.flags & message::DONTWAIT == 0;
    let deadline = socket.options().deadline(true);
    let silent = outgoing.flags & message::NOSIGNAL != 0;
    let stream = socket.identity()[1] == kind::STREAM;
    let mut total = 0;
    let result = loop {
        let sent = open.wait_for(thread, may_wait, deadline, || socket.send(from, &mut outgoing));
        match sent {
            Ok(count) => total += count,
            Err(_) if total > 0 => break Ok(total),
            Err(error) => break Err(error),
        }
        if !stream || from.left() == 0 || !may_wait {
            break Ok(total);
        }
    };
    if silent {
        return result.map(|count| count as u64);
    }
    // Only streams and packets raise a signal as well.
    if socket.identity()[1] == kind::DATAGRAM {
        return result.map(|count| count as u64);
    }
    file::with_broken_pipe(thread, result)
}

fn outgoing(thread: &Thread, options: u64, to: Option<Vec<u8>>) -> Outgoing<'_> {
    let sender = Sender::of(thread);
    Outgoing { thread, to, rights: Vec::new(), sender, flags: options as u32 }
}

/// `sendto(2)`.
pub fn sendto(
    thread: &Thread,
    [descriptor, buffer, count, options, address, length]: [u64; 6],
) -> Result {
    let open = thread.files().get(descriptor)?;
    SocketFile::of(&open)?;
    let to = if address == 0 { None } else { Some(read_address(address, length)?) };
    send(&open, &mut Buffer::new(buffer, count), outgoing(thread, options, to))
}

fn send_header(thread: &Thread, open: &OpenFile, header: &Header, options: u64) -> Result {
    let length = u64::from(header.name_length);
    let to = match header.name {
        0 => None,
        _ if length == 0 => None,
        name => Some(read_address(name, length.min(128))?),
    };
    let mut buffer = parts_of(header)?;
    let mut outgoing = outgoing(thread, options, to);
    read_control(thread, header, &mut outgoing)?;
    send(open, &mut buffer, outgoing)
}

/// `sendmsg(2)`.
pub fn sendmsg(thread: &Thread, [descriptor, header, options, ..]: [u64; 6]) -> Result {
    let open = thread.files().get(descriptor)?;
    SocketFile::of(&open)?;
    let header: Header = user::read(header)?;
    send_header(thread, &open, &header, options)
}

/// `sendmmsg(2)`.
pub fn sendmmsg(thread: &Thread, [descriptor, array, count, options, ..]: [u64; 6]) -> Result {
    let open = thread.files().get(descriptor)?;
    SocketFile::of(&open)?;
    let mut done = 0;
    while done < u64::from(count as u32).min(MAX_MESSAGES) {
        let address = array + done * MANY_SIZE;
        let sent = user::read(address)
            .and_then(|header: Header| send_header(thread, &open, &header, options))
            .and_then(|sent| user::write(address + MANY_LENGTH, &(sent as u32)));
        match sent {
            Ok(()) => done += 1,
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn receive(
    thread: &Thread,
    open: &OpenFile,
    to: &mut Buffer,
    options: u32,
    deadline: u64,
) -> Result<Incoming> {
    let socket = SocketFile::of(open)?;
    let may_wait = open.flags() & flags::NONBLOCK == 0 && options & message::DONTWAIT == 0;
    let deadline = deadline.min(socket.options().deadline(false));
    let wanted = to.left();
    let mut incoming = open.wait_for(thread, may_wait, deadline, || socket.receive(to, options))?;
    let all = options & message::WAITALL != 0
        && options & message::PEEK == 0
        && socket.identity()[1] == kind::STREAM;
    while all && may_wait && (incoming.count as u64) < wanted && incoming.rights.is_empty() {
        match open.wait_for(thread, true, deadline, || socket.receive(to, options)) {
            Ok(more) if more.count > 0 => {
                incoming.count += more.count;
                incoming.length += more.length;
                incoming.rights = more.rights;
            }
            _ => break,
        }
    }
    Ok(incoming)
}

/// What a receiving call gives: the real length where that is asked for.
fn count_of(incoming: &Incoming, options: u32) -> u64 {
    let real = options & message::TRUNC != 0;
    (if real { incoming.length.max(incoming.count) } else { incoming.count }) as u64
}

/// `recvfrom(2)`.
pub fn recvfrom(
    thread: &Thread,
    [descriptor, buffer, count, options, address, length]: [u64; 6],
) -> Result {
    let open = thread.files().get(descriptor)?;
    let mut to = Buffer::new(buffer, count);
    let options = options as u32;
    let incoming = receive(thread, &open, &mut to, options, u64::MAX)?;
    if address != 0 {
        write_address(incoming.from.as_deref().unwrap_or_default(), address, length)?;
    }
    Ok(count_of(&incoming, options))
}

/// Room for control data in user memory.
struct ControlRoom {
    at: u64,
    left: u64,
    truncated: bool,
}

impl ControlRoom {
    /// Puts data in, cut if there is too little room.
    fn put(&mut self, kind: u32, data: &[u8]) -> Result<()> {
        const HEADER: u64 = ControlHeader::SIZE as u64;
        if self.at == 0 || self.left < HEADER {
            self.truncated = true;
            return Ok(());
        }
        let length = (HEADER + data.len() as u64).min(self.left);
        self.truncated |= length < HEADER + data.len() as u64;
        user::write(self.at, &ControlHeader { length, level: SOL_SOCKET, kind })?;
        user::write_bytes(self.at + HEADER, &data[..(length - HEADER) as usize])?;
        let space = (HEADER + data.len() as u64).next_multiple_of(8).min(self.left);
        self.at += space;
        self.left -= space;
        Ok(())
    }

    /// Puts open files in, as many as there is room for, each at a descriptor of its own.
    fn put_rights(
        &mut self,
        thread: &Thread,
        rights: Vec<Arc<OpenFile>>,
        close_on_exec: bool,
    ) -> Result<()> {
        if rights.is_empty() {
            return Ok(());
        }
        let room = self.left.saturating_sub(ControlHeader::SIZE as u64) as usize / 4;
        let room = if self.at == 0 { 0 } else { room };
        self.truncated |= room < rights.len();
        let mut data = Vec::new();
        for open in rights.into_iter().take(room) {
            match thread.add_file(open, close_on_exec) {
                Ok(number) => data.extend_from_slice(&(number as u32).to_le_bytes()),
                Err(_) => {
                    self.truncated = true;
                    break;
                }
            }
        }
        if data.is_empty() { Ok(()) } else { self.put(SCM_RIGHTS, &data) }
    }
}

fn receive_header(
    thread: &Thread,
    open: &OpenFile,
    address: u64,
    options: u32,
    deadline: u64,
) -> Result {
    let header: Header = user::read(address)?;
    let mut buffer = parts_of(&header)?;
    let mut incoming = receive(thread, open, &mut buffer, options, deadline)?;
    let count = count_of(&incoming, options);
    let mut room =
        ControlRoom { at: header.control, left: header.control_length, truncated: false };
    if let Some(sender) = incoming.sender {
        let mut bytes = [0; 12];
        [sender.pid, sender.uid, sender.gid].encode(&mut bytes);
        room.put(SCM_CREDENTIALS, &bytes)?;
    }
    let cloexec = options & message::CMSG_CLOEXEC;
    room.put_rights(thread, core::mem::take(&mut incoming.rights), cloexec != 0)?;
    let mut answer = header;
    if header.name != 0 {
        let name = incoming.from.as_deref().unwrap_or_default();
        if header.name_length as i32 >= 0 {
            let length = name.len().min(header.name_length as usize);
            user::write_bytes(header.name, &name[..length])?;
        }
        answer.name_length = name.len() as u32;
    }
    answer.control_length = header.control_length - room.left;
    let cut = if room.truncated { message::CTRUNC } else { 0 };
    answer.flags = incoming.flags | cut | cloexec;
    // Only these fields are the kernel's to change.
    user::write(address + 8, &answer.name_length)?;
    user::write(address + 40, &answer.control_length)?;
    user::write(address + 48, &answer.flags)?;
    Ok(count)
}

/// `recvmsg(2)`.
pub fn recvmsg(thread: &Thread, [descriptor, header, options, ..]: [u64; 6]) -> Result {
    let open = thread.files().get(descriptor)?;
    SocketFile::of(&open)?;
    receive_header(thread, &open, header, options as u32, u64::MAX)
}

/// `recvmmsg(2)`.
pub fn recvmmsg(
    thread: &Thread,
    [descriptor, array, count, options, timeout, _]: [u64; 6],
) -> Result {
    let wait = if timeout == 0 {
        None
    } else {
        let timeout: Timespec = user::read(timeout)?;
        Some(timeout.nanoseconds().ok_or(Errno::EINVAL)?)
    };
    let deadline = deadline_of(wait);
    let open = thread.files().get(descriptor)?;
    SocketFile::of(&open)?;
    let mut options = options as u32;
    let mut done = 0;
    while done < u64::from(count as u32).min(MAX_MESSAGES) {
        let address = array + done * MANY_SIZE;
        // As on Linux, the time is looked at between messages and does not end a wait.
        let got = receive_header(thread, &open, address, options & !message::WAITFORONE, u64::MAX)
            .and_then(|got| user::write(address + MANY_LENGTH, &(got as u32)));
        match got {
            Ok(()) => done += 1,
            Err(_) if done > 0 => break,
            Err(Fail::Restart) => return Err(Fail::Restart),
            Err(error) => return Err(error),
        }
        if options & message::WAITFORONE != 0 {
            options |= message::DONTWAIT;
        }
        if deadline != u64::MAX && hal::monotonic() >= deadline {
            break;
        }
    }
    if timeout != 0 {
        let left = deadline.saturating_sub(hal::monotonic());
        user::write(timeout, &Timespec::from_nanoseconds(left))?;
    }
    Ok(done)
}

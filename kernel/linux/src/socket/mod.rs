//! Sockets: what the calls ask of a family of them, and the families that are here.
//!
//! A [`Socket`] never blocks: like a [`File`], it fails with `EAGAIN`, and the call waits for its
//! notifier.

mod calls;
mod message;
mod options;
mod unix;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use errno::Errno;

pub use calls::*;
pub use message::{recvfrom, recvmmsg, recvmsg, sendmmsg, sendmsg, sendto};
pub use options::{SocketOptions, getsockopt, setsockopt};

use crate::error::{Result, fail};
use crate::file::{File, OpenFile, flags};
use crate::notifier::Notifier;
use crate::thread::Thread;
use crate::user::{Sink, Source};

/// Kinds of sockets.
#[allow(missing_docs, reason = "Linux's names")]
pub mod kind {
    pub const STREAM: u32 = 1;
    pub const DATAGRAM: u32 = 2;
    pub const PACKETS: u32 = 5;
}

/// Flags of messages.
#[allow(missing_docs, reason = "Linux's names")]
pub mod message_flags {
    pub const OOB: u32 = 1;
    pub const PEEK: u32 = 2;
    pub const CTRUNC: u32 = 8;
    pub const TRUNC: u32 = 0x20;
    pub const DONTWAIT: u32 = 0x40;
    pub const WAITALL: u32 = 0x100;
    pub const NOSIGNAL: u32 = 0x4000;
    pub const WAITFORONE: u32 = 0x10000;
    pub const CMSG_CLOEXEC: u32 = 0x4000_0000;
}

/// Who sent a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The process.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

impl Sender {
    /// The process of a thread.
    pub fn of(thread: &Thread) -> Self {
        let identity = thread.identity();
        let (uid, gid) = (identity.effective_uid, identity.effective_gid);
        Self { pid: thread.process.pid, uid, gid }
    }
}

/// What goes with the bytes that are sent.
pub struct Outgoing<'a> {
    /// The calling thread.
    pub thread: &'a Thread,
    /// Where to, if that is said: the family, then what belongs to it.
    pub to: Option<Vec<u8>>,
    /// Open files that go along; taken when the first byte is sent.
    pub rights: Vec<Arc<OpenFile>>,
    /// Who sends.
    pub sender: Sender,
    /// [`message_flags`].
    pub flags: u32,
}

/// What came with the bytes that were received.
#[derive(Default)]
pub struct Incoming {
    /// Bytes that were put into the sink.
    pub count: usize,
    /// Bytes that the message had.
    pub length: usize,
    /// Where from: an address, empty when the sender has none.
    pub from: Option<Vec<u8>>,
    /// Open files that came along.
    pub rights: Vec<Arc<OpenFile>>,
    /// Who sent it, where that is asked for.
    pub sender: Option<Sender>,
    /// `TRUNC` and others that the message itself causes.
    pub flags: u32,
}

/// What a family of sockets does.
pub trait Socket: Any + Send + Sync {
    /// The family, kind and protocol.
    fn identity(&self) -> [u32; 3];

    /// Options that all sockets have.
    fn options(&self) -> &SocketOptions;

    /// `bind(2)`. The address begins with the family.
    fn bind(&self, thread: &Thread, address: &[u8]) -> Result<()>;

    /// `listen(2)`.
    fn listen(&self, thread: &Thread, backlog: usize) -> Result<()>;

    /// `connect(2)`: begins or goes on; `EAGAIN` until it is done.
    fn connect(&self, thread: &Thread, address: &[u8]) -> Result<()>;

    /// What a connection that cannot be made at once fails with where the program does not wait.
    fn connect_pending(&self) -> Errno {
        Errno::EINPROGRESS
    }

    /// `accept(2)`.
    fn accept(&self) -> Result<Arc<dyn Socket>>;

    /// `shutdown(2)`: of receiving, of sending.
    fn shutdown(&self, receiving: bool, sending: bool) -> Result<()>;

    /// Its own address.
    fn name(&self) -> Vec<u8>;

    /// The address of the other side.
    fn peer_name(&self) -> Result<Vec<u8>>;

    /// Sends; a stream takes what it can, others all or nothing.
    fn send(&self, from: &mut dyn Source, outgoing: &mut Outgoing<'_>) -> Result<usize>;

    /// Receives.
    fn receive(&self, to: &mut dyn Sink, flags: u32) -> Result<Incoming>;

    /// What is ready; [`crate::file::events`].
    fn ready(&self) -> u32;

    /// Who tells about changes of what is ready.
    fn notifier(&self) -> &Notifier;

    /// An option of the family, or one of the socket level that only the family knows.
    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>>;

    /// Sets an option.
    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<()>;

    /// Bytes that can be received now (`FIONREAD`), and that are not yet with the peer.
    fn queued(&self) -> [usize; 2];

    /// The last descriptor is gone.
    fn close(&self);
}

/// A socket as a file.
pub struct SocketFile(pub Arc<dyn Socket>);

impl SocketFile {
    /// The socket of an open file.
    pub fn of(open: &OpenFile) -> Result<&Arc<dyn Socket>> {
        match open.file.as_any().downcast_ref::<Self>() {
            Some(file) => Ok(&file.0),
            None => fail(Errno::ENOTSOCK),
        }
    }
}

impl File for SocketFile {
    fn read(&self, _open: &OpenFile, to: &mut dyn Sink, _position: u64) -> Result<usize> {
        if to.room() == 0 {
            return Ok(0);
        }
        self.0.receive(to, 0).map(|incoming| incoming.count)
    }

    fn write(&self, _open: &OpenFile, from: &mut dyn Source, _position: u64) -> Result<usize> {
        let sent = crate::thread::with_current(|thread| {
            let sender = Sender::of(thread);
            let rights = Vec::new();
            self.0.send(from, &mut Outgoing { thread, to: None, rights, sender, flags: 0 })
        });
        sent.unwrap_or_else(|| fail(Errno::EINVAL))
    }

    fn writes_all(&self) -> bool {
        self.0.identity()[1] == kind::STREAM
    }

    fn ready(&self) -> u32 {
        self.0.ready()
    }

    fn notifier(&self) -> Option<&Notifier> {
        Some(self.0.notifier())
    }

    fn deadline(&self, writing: bool) -> u64 {
        self.0.options().deadline(writing)
    }

    fn ioctl(&self, _thread: &Thread, request: u32, argument: u64) -> Result {
        const FIONREAD: u32 = 0x541b;
        const TIOCOUTQ: u32 = 0x5411;
        let [readable, unsent] = self.0.queued();
        let count = match request {
            FIONREAD => readable,
            TIOCOUTQ => unsent,
            _ => return fail(Errno::ENOTTY),
        };
        crate::user::write(argument, &(count as u32))?;
        Ok(0)
    }

    fn label(&self) -> alloc::string::String {
        alloc::format!("socket:[{}]", Arc::as_ptr(&self.0).addr() >> 4 & 0xffff_ffff)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn closed(&self, _open: &OpenFile) {
        self.0.close();
    }
}

/// An open file that is a socket.
fn open_socket(socket: Arc<dyn Socket>, options: u32) -> Arc<OpenFile> {
    let file = Arc::new(SocketFile(socket));
    OpenFile::new(file, None, flags::RDWR | options & flags::NONBLOCK)
}

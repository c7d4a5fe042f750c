//! Netlink sockets: what programs ask about interfaces, addresses and routes (rtnetlink(7)).
//!
//! A request is answered when it is sent; the answers wait in the socket, a message or several to
//! a datagram. Changes are refused.

mod route;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use errno::Errno;
use lock::SpinLock;

use super::{Incoming, Outgoing, Socket, SocketOptions, message_flags as flags};
use crate::error::{Result, fail};
use crate::file::events;
use crate::notifier::Notifier;
use crate::rank;
use crate::thread::Thread;
use crate::user::{Sink, Source};

/// The family (`AF_NETLINK`).
pub const FAMILY: u32 = 16;
/// The protocol of interfaces and routes (`NETLINK_ROUTE`).
const ROUTE: u32 = 0;
/// Bytes of a `struct sockaddr_nl`.
const ADDRESS: usize = 12;
/// The largest request that is read.
const LARGEST: u64 = 64 << 10;
/// Datagrams that wait at most.
const MOST_WAITING: usize = 256;

/// Numbers of ports of sockets that are not the first of their process.
static NEXT_PORT: AtomicU32 = AtomicU32::new(0x8000_0000);

struct State {
    port: u32,
    groups: u32,
    queue: VecDeque<Vec<u8>>,
}

/// A netlink socket.
pub struct NetlinkSocket {
    kind: u32,
    options: SocketOptions,
    state: SpinLock<State>,
    notifier: Notifier,
}

/// `socket(2)` for this family.
pub fn socket(kind: u32, protocol: u32) -> Result<Arc<dyn Socket>> {
    const DATAGRAM: u32 = 2;
    const RAW: u32 = 3;
    match (kind, protocol) {
        (DATAGRAM | RAW, ROUTE) => {}
        (DATAGRAM | RAW, _) => return fail(Errno::EPROTONOSUPPORT),
        _ => return fail(Errno::ESOCKTNOSUPPORT),
    }
    Ok(Arc::new(NetlinkSocket {
        kind,
        options: SocketOptions::default(),
        state: SpinLock::new(rank::STREAM, State { port: 0, groups: 0, queue: VecDeque::new() }),
        notifier: Notifier::new(),
    }))
}

fn encode(port: u32, groups: u32) -> Vec<u8> {
    let mut bytes = (FAMILY as u16).to_le_bytes().to_vec();
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&port.to_le_bytes());
    bytes.extend_from_slice(&groups.to_le_bytes());
    bytes
}

impl NetlinkSocket {
    /// The number of its port, which it gets when it is first needed.
    fn port(&self) -> u32 {
        let mut state = self.state.lock();
        if state.port == 0 {
            state.port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        }
        state.port
    }
}

impl Socket for NetlinkSocket {
    fn identity(&self) -> [u32; 3] {
        [FAMILY, self.kind, ROUTE]
    }

    fn options(&self) -> &SocketOptions {
        &self.options
    }

    fn bind(&self, thread: &Thread, address: &[u8]) -> Result<()> {
        if address.len() < ADDRESS || address[..2] != (FAMILY as u16).to_le_bytes() {
            return fail(Errno::EINVAL);
        }
        let word = |at: usize| {
            u32::from_le_bytes([address[at], address[at + 1], address[at + 2], address[at + 3]])
        };
        let mut state = self.state.lock();
        if state.port != 0 && word(4) != 0 && word(4) != state.port {
            return fail(Errno::EINVAL);
        }
        state.groups = word(8);
        if state.port == 0 {
            let asked = word(4);
            // As on Linux, one's own process's number is the usual choice.
            state.port = if asked == 0 { thread.process.pid } else { asked };
        }
        Ok(())
    }

    fn listen(&self, _thread: &Thread, _backlog: usize) -> Result<()> {
        fail(Errno::EOPNOTSUPP)
    }

    fn connect(&self, _thread: &Thread, address: &[u8]) -> Result<()> {
        if address.len() < ADDRESS {
            return fail(Errno::EINVAL);
        }
        self.port();
        Ok(())
    }

    fn accept(&self) -> Result<Arc<dyn Socket>> {
        fail(Errno::EOPNOTSUPP)
    }

    fn shutdown(&self, _receiving: bool, _sending: bool) -> Result<()> {
        fail(Errno::EOPNOTSUPP)
    }

    fn name(&self) -> Vec<u8> {
        let state = self.state.lock();
        encode(state.port, state.groups)
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        Ok(encode(0, 0))
    }

    fn send(&self, from: &mut dyn Source, _outgoing: &mut Outgoing<'_>) -> Result<usize> {
        let length = from.left();
        if length > LARGEST {
            return fail(Errno::EMSGSIZE);
        }
        let mut request = vec![0; length as usize];
        let count = from.get(&mut request)?;
        let port = self.port();
        let answers = route::answer(&request[..count], port);
        let mut state = self.state.lock();
        if state.queue.len() + answers.len() > MOST_WAITING {
            return fail(Errno::ENOBUFS);
        }
        state.queue.extend(answers);
        drop(state);
        self.notifier.notify_of(events::IN | events::RDNORM);
        Ok(count)
    }

    fn receive(&self, to: &mut dyn Sink, options: u32) -> Result<Incoming> {
        if options & flags::OOB != 0 {
            return fail(Errno::EOPNOTSUPP);
        }
        let message = {
            let mut state = self.state.lock();
            let peek = options & flags::PEEK != 0;
            if peek { state.queue.front().cloned() } else { state.queue.pop_front() }
        };
        let Some(message) = message else { return fail(Errno::EAGAIN) };
        let wanted = message.len().min(usize::try_from(to.room()).unwrap_or(usize::MAX));
        let count = if wanted == 0 { 0 } else { to.put(&message[..wanted])? };
        Ok(Incoming {
            count,
            length: message.len(),
            from: Some(encode(0, 0)),
            flags: if count < message.len() { flags::TRUNC } else { 0 },
            ..Incoming::default()
        })
    }

    fn ready(&self) -> u32 {
        let readable = !self.state.lock().queue.is_empty();
        let input = if readable { events::IN | events::RDNORM } else { 0 };
        input | events::OUT | events::WRNORM | events::WRBAND
    }

    fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    fn option(&self, _level: u32, _name: u32) -> Result<Vec<u8>> {
        fail(Errno::ENOPROTOOPT)
    }

    fn set_option(&self, level: u32, name: u32, _value: &[u8]) -> Result<()> {
        const SOL_NETLINK: u32 = 270;
        const EXTENDED_ACKNOWLEDGMENT: u32 = 11;
        const CAPPED_ACKNOWLEDGMENT: u32 = 10;
        match (level, name) {
            // More, or less, text with errors: ours have none.
            (SOL_NETLINK, EXTENDED_ACKNOWLEDGMENT | CAPPED_ACKNOWLEDGMENT) => Ok(()),
            _ => fail(Errno::ENOPROTOOPT),
        }
    }

    fn queued(&self) -> [usize; 2] {
        [self.state.lock().queue.front().map_or(0, Vec::len), 0]
    }

    fn close(&self) {
        let old = core::mem::take(&mut self.state.lock().queue);
        drop(old);
    }
}

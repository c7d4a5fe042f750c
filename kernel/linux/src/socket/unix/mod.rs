//! Unix sockets.
//!
//! Bytes go straight into the receiver's queue. A sender that finds it full leaves itself there
//! and is told when there is room.

mod address;
mod queue;
mod transfer;

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use errno::Errno;
use lock::SpinLock;

use self::address::Address;
use self::queue::Queue;
use super::{Incoming, Outgoing, Sender, Socket, SocketOptions, kind};
use crate::error::{Result, fail};
use crate::file::events;
use crate::notifier::Notifier;
use crate::rank;
use crate::thread::Thread;
use crate::user::{Sink, Source};

/// The most messages that wait at a socket that is not the sender's peer, but for one
/// (`net.unix.max_dgram_qlen`).
const MAX_WAITING: usize = 10;

/// How far a socket is.
enum Stage {
    /// Neither connected nor listening.
    Alone,
    /// It takes connections, this many but for one at a time.
    Listening { backlog: usize, waiting: VecDeque<Arc<UnixSocket>> },
    /// Connected: to a socket, or (datagrams) set to send to it.
    Connected(Weak<UnixSocket>),
}

struct State {
    stage: Stage,
    name: Option<Vec<u8>>,
    peer_name: Vec<u8>,
    peer: Option<Sender>,
    queue: Queue,
    /// No more is received, no more is sent.
    ended: [bool; 2],
    /// Sockets to tell when there is room.
    blocked: Vec<Weak<UnixSocket>>,
}

/// A unix socket.
pub struct UnixSocket {
    kind: u32,
    options: SocketOptions,
    state: SpinLock<State>,
    receiving: sched::Mutex<()>,
    notifier: Notifier,
    own: Weak<Self>,
}

impl UnixSocket {
    /// A socket without name or peer.
    pub fn new(kind: u32) -> Arc<Self> {
        Arc::new_cyclic(|own| Self {
            kind,
            options: SocketOptions::default(),
            state: SpinLock::new(
                rank::STREAM,
                State {
                    stage: Stage::Alone,
                    name: None,
                    peer_name: address::unnamed(),
                    peer: None,
                    queue: Queue::default(),
                    ended: [false; 2],
                    blocked: Vec::new(),
                },
            ),
            receiving: sched::Mutex::new(()),
            notifier: Notifier::new(),
            own: Weak::clone(own),
        })
    }

    fn is_connected_kind(&self) -> bool {
        self.kind != kind::DATAGRAM
    }

    /// The socket that it is connected to, while that one is open.
    fn peer(&self) -> Option<Arc<Self>> {
        match &self.state.lock().stage {
            Stage::Connected(peer) => peer.upgrade(),
            _ => None,
        }
    }

    /// Whether this socket takes messages from `sender`.
    fn takes_from(&self, sender: &Self) -> bool {
        match &self.state.lock().stage {
            Stage::Connected(peer) => core::ptr::eq(peer.as_ptr(), sender),
            _ => true,
        }
    }

    /// Takes note that another socket waits for room here.
    fn remember(&self, state: &mut State, blocked: &Weak<Self>) {
        if !state.blocked.iter().any(|other| other.ptr_eq(blocked)) {
            state.blocked.push(Weak::clone(blocked));
        }
    }

    /// Tells who waits that there is room.
    fn tell_blocked(&self) {
        let blocked = core::mem::take(&mut self.state.lock().blocked);
        for socket in blocked.iter().filter_map(Weak::upgrade) {
            socket.notifier.notify_of(events::OUT | events::WRNORM);
        }
    }

    fn connect_stream(&self, thread: &Thread, address: &Address) -> Result<()> {
        match self.state.lock().stage {
            Stage::Alone => {}
            Stage::Connected(_) => return fail(Errno::EISCONN),
            Stage::Listening { .. } => return fail(Errno::EINVAL),
        }
        let listener = address.find(thread, self.kind)?;
        let server = Self::new(self.kind);
        let sender = Sender::of(thread);
        {
            let own_name = self.state.lock().name.clone();
            let mut state = server.state.lock();
            state.stage = Stage::Connected(Weak::clone(&self.own));
            state.peer_name = own_name.unwrap_or_else(address::unnamed);
            state.peer = Some(sender);
        }
        let (name, peer) = {
            let mut state = listener.state.lock();
            let (name, peer) = (state.name.clone(), state.peer);
            let ended = state.ended[0];
            match &mut state.stage {
                Stage::Listening { backlog, waiting } if !ended => {
                    if waiting.len() > *backlog {
                        listener.remember(&mut state, &self.own);
                        return fail(Errno::EAGAIN);
                    }
                    waiting.push_back(Arc::clone(&server));
                }
                _ => return fail(Errno::ECONNREFUSED),
            }
            (name, peer)
        };
        server.state.lock().name = name.clone();
        let mut state = self.state.lock();
        state.stage = Stage::Connected(Arc::downgrade(&server));
        state.peer_name = name.unwrap_or_else(address::unnamed);
        state.peer = peer;
        drop(state);
        self.notifier.notify();
        listener.notifier.notify_of(events::IN | events::RDNORM);
        Ok(())
    }

    fn connect_datagrams(&self, thread: &Thread, address: &[u8]) -> Result<()> {
        if address.len() >= 2 && address[..2] == [0, 0] {
            let mut state = self.state.lock();
            state.stage = Stage::Alone;
            state.peer_name = address::unnamed();
            return Ok(());
        }
        let peer = Address::parse(address)?.find(thread, self.kind)?;
        if !peer.takes_from(self) {
            return fail(Errno::EPERM);
        }
        let name = peer.name();
        let mut state = self.state.lock();
        state.stage = Stage::Connected(Arc::downgrade(&peer));
        state.peer_name = name;
        Ok(())
    }

    /// The other side is gone. `lost`: with something that it had not received.
    fn hang_up(&self, lost: bool) {
        if lost {
            self.options.error.store(u32::from(Errno::ECONNRESET.number()), Ordering::Relaxed);
        }
        self.state.lock().ended = [true; 2];
        self.notifier.notify();
    }
}

/// Two sockets that are connected to each other.
pub fn pair(thread: &Thread, kind: u32) -> [Arc<UnixSocket>; 2] {
    let ends = [UnixSocket::new(kind), UnixSocket::new(kind)];
    let sender = Sender::of(thread);
    for (end, other) in [(0, 1), (1, 0)] {
        let mut state = ends[end].state.lock();
        state.stage = Stage::Connected(Arc::downgrade(&ends[other]));
        state.peer = Some(sender);
    }
    ends
}

impl Socket for UnixSocket {
    fn identity(&self) -> [u32; 3] {
        [1, self.kind, 0]
    }

    fn options(&self) -> &SocketOptions {
        &self.options
    }

    fn bind(&self, thread: &Thread, address: &[u8]) -> Result<()> {
        let address = Address::parse(address)?;
        let Some(own) = self.own.upgrade() else { return fail(Errno::EINVAL) };
        if self.state.lock().name.is_some() {
            // Asking for any name again changes nothing.
            return if address == Address::Any { Ok(()) } else { fail(Errno::EINVAL) };
        }
        let name = address.take(thread, &own)?;
        self.state.lock().name = Some(name);
        Ok(())
    }

    fn listen(&self, thread: &Thread, backlog: usize) -> Result<()> {
        if !self.is_connected_kind() {
            return fail(Errno::EOPNOTSUPP);
        }
        let sender = Sender::of(thread);
        let mut state = self.state.lock();
        if state.name.is_none() {
            return fail(Errno::EINVAL);
        }
        match &mut state.stage {
            Stage::Alone => {
                state.stage = Stage::Listening { backlog, waiting: VecDeque::new() };
            }
            Stage::Listening { backlog: old, .. } => *old = backlog,
            Stage::Connected(_) => return fail(Errno::EINVAL),
        }
        state.peer = Some(sender);
        drop(state);
        self.options.listens.store(true, Ordering::Relaxed);
        self.tell_blocked();
        Ok(())
    }

    fn connect(&self, thread: &Thread, address: &[u8]) -> Result<()> {
        if !self.is_connected_kind() {
            return self.connect_datagrams(thread, address);
        }
        self.connect_stream(thread, &Address::parse(address)?)
    }

    fn connect_pending(&self) -> Errno {
        Errno::EAGAIN
    }

    fn accept(&self) -> Result<Arc<dyn Socket>> {
        if !self.is_connected_kind() {
            return fail(Errno::EOPNOTSUPP);
        }
        let accepted = {
            let mut state = self.state.lock();
            let ended = state.ended[0];
            match &mut state.stage {
                Stage::Listening { waiting, .. } => match waiting.pop_front() {
                    Some(socket) => socket,
                    None if ended => return fail(Errno::EINVAL),
                    None => return fail(Errno::EAGAIN),
                },
                _ => return fail(Errno::EINVAL),
            }
        };
        self.tell_blocked();
        Ok(accepted)
    }

    fn shutdown(&self, receiving: bool, sending: bool) -> Result<()> {
        let mut state = self.state.lock();
        state.ended[0] |= receiving;
        state.ended[1] |= sending;
        drop(state);
        if self.is_connected_kind()
            && let Some(peer) = self.peer()
        {
            let mut state = peer.state.lock();
            state.ended[0] |= sending;
            state.ended[1] |= receiving;
            drop(state);
            peer.notifier.notify();
        }
        self.notifier.notify();
        Ok(())
    }

    fn name(&self) -> Vec<u8> {
        self.state.lock().name.clone().unwrap_or_else(address::unnamed)
    }

    fn peer_name(&self) -> Result<Vec<u8>> {
        match self.peer() {
            Some(peer) => Ok(peer.name()),
            None => match &*self.state.lock() {
                State { stage: Stage::Connected(_), peer_name, .. } => Ok(peer_name.clone()),
                _ => fail(Errno::ENOTCONN),
            },
        }
    }

    fn send(&self, from: &mut dyn Source, outgoing: &mut Outgoing<'_>) -> Result<usize> {
        if outgoing.flags & super::message_flags::OOB != 0 {
            return fail(Errno::EOPNOTSUPP);
        }
        match self.kind {
            kind::STREAM => self.send_bytes(from, outgoing),
            _ => self.send_message(from, outgoing),
        }
    }

    fn receive(&self, to: &mut dyn Sink, flags: u32) -> Result<Incoming> {
        if flags & super::message_flags::OOB != 0 {
            let stream = self.kind == kind::STREAM;
            return fail(if stream { Errno::EINVAL } else { Errno::EOPNOTSUPP });
        }
        match self.kind {
            kind::STREAM => self.receive_bytes(to, flags),
            _ => self.receive_message(to, flags),
        }
    }

    fn ready(&self) -> u32 {
        let peer = self.peer();
        let mut ready = 0;
        if self.options.error.load(Ordering::Relaxed) != 0 {
            ready |= events::ERR;
        }
        let state = self.state.lock();
        let [no_more, no_less] = state.ended;
        let (alone, listens, readable) = match &state.stage {
            Stage::Alone => (true, false, !state.queue.is_empty()),
            Stage::Listening { waiting, .. } => (false, true, !waiting.is_empty()),
            Stage::Connected(_) => (false, false, !state.queue.is_empty()),
        };
        drop(state);
        if no_more && no_less {
            ready |= events::HUP;
        }
        if no_more {
            ready |= events::RDHUP;
        }
        if readable || no_more {
            ready |= events::IN | events::RDNORM;
        }
        if alone && self.is_connected_kind() {
            ready |= events::HUP;
        }
        let writable = !listens && peer.is_none_or(|peer| self.has_room(&peer));
        if writable {
            ready |= events::OUT | events::WRNORM | events::WRBAND;
        }
        ready
    }

    fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>> {
        const SOCKET: u32 = 1;
        const PEER_CREDENTIALS: u32 = 17;
        match (level, name) {
            (SOCKET, PEER_CREDENTIALS) => {
                let nobody = Sender { pid: 0, uid: u32::MAX, gid: u32::MAX };
                let peer = self.state.lock().peer.unwrap_or(nobody);
                let words = [peer.pid, peer.uid, peer.gid];
                Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
            }
            (SOCKET, _) => fail(Errno::ENOPROTOOPT),
            _ => fail(Errno::EOPNOTSUPP),
        }
    }

    fn set_option(&self, level: u32, _name: u32, _value: &[u8]) -> Result<()> {
        fail(if level == 1 { Errno::ENOPROTOOPT } else { Errno::EOPNOTSUPP })
    }

    fn queued(&self) -> [usize; 2] {
        let unsent = self.peer().map_or(0, |peer| peer.state.lock().queue.bytes());
        let state = self.state.lock();
        let readable = match self.kind {
            kind::STREAM => state.queue.bytes(),
            _ => state.queue.front().map_or(0, |piece| piece.rest().len()),
        };
        [readable, unsent]
    }

    fn close(&self) {
        let (stage, name, pieces) = {
            let mut state = self.state.lock();
            state.ended = [true; 2];
            let stage = core::mem::replace(&mut state.stage, Stage::Alone);
            (stage, state.name.clone(), state.queue.clear())
        };
        if let Some(name) = name {
            address::release(self, &name);
        }
        match stage {
            Stage::Connected(peer) if self.is_connected_kind() => {
                if let Some(peer) = peer.upgrade() {
                    peer.hang_up(!pieces.is_empty());
                }
            }
            Stage::Listening { waiting, .. } => {
                for socket in waiting {
                    if let Some(peer) = socket.peer() {
                        peer.hang_up(true);
                    }
                }
            }
            _ => {}
        }
        // Open files that were never received are closed here, without locks held.
        drop(pieces);
        self.tell_blocked();
        self.notifier.notify();
    }
}

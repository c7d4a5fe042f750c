//! Moving bytes and messages.

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use errno::Errno;

use super::address::Address;
use super::queue::Piece;
use super::{MAX_WAITING, Stage, UnixSocket};
use crate::error::{Result, fail};
use crate::file::events;
use crate::socket::{Incoming, Outgoing, kind, message_flags as flags};
use crate::user::{Sink, Source};

/// The most bytes of a stream that move at once.
const STEP: usize = 32 << 10;
/// Bytes that move through the stack instead of memory of their own.
const SMALL: usize = 512;

impl UnixSocket {
    /// Whether a write to a peer is worth trying: as on Linux, when most of the buffer is free.
    pub(super) fn has_room(&self, peer: &Arc<Self>) -> bool {
        let mut state = peer.state.lock();
        let used = if self.kind == kind::STREAM { state.queue.bytes() } else { state.queue.cost() };
        let mutual = matches!(&state.stage, Stage::Connected(other) if other.ptr_eq(&self.own));
        let room = used * 4 <= self.options.send_buffer()
            && (mutual || self.kind != kind::DATAGRAM || state.queue.len() <= MAX_WAITING);
        if !room {
            peer.remember(&mut state, &self.own);
        }
        room
    }

    /// Sends bytes of a stream, as many as there is room for.
    pub(super) fn send_bytes(
        &self,
        from: &mut dyn Source,
        outgoing: &mut Outgoing<'_>,
    ) -> Result<usize> {
        let mut done = 0;
        loop {
            match self.send_some(from, outgoing) {
                Ok(count) => done += count,
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return Err(error),
            }
            if from.left() == 0 {
                return Ok(done);
            }
        }
    }

    /// One piece of what is sent; at least a byte, if there is any.
    fn send_some(&self, from: &mut dyn Source, outgoing: &mut Outgoing<'_>) -> Result<usize> {
        let (peer, ended) = {
            let state = self.state.lock();
            match &state.stage {
                Stage::Connected(_) if outgoing.to.is_some() => return fail(Errno::EISCONN),
                _ if outgoing.to.is_some() => return fail(Errno::EOPNOTSUPP),
                Stage::Connected(peer) => (peer.upgrade(), state.ended[1]),
                _ => return fail(Errno::ENOTCONN),
            }
        };
        let Some(peer) = peer.filter(|_| !ended) else { return fail(Errno::EPIPE) };
        if from.left() == 0 {
            return Ok(0);
        }
        let room = {
            let mut state = peer.state.lock();
            if state.ended[0] {
                return fail(Errno::EPIPE);
            }
            let room = self.options.send_buffer().saturating_sub(state.queue.bytes());
            if room == 0 {
                peer.remember(&mut state, &self.own);
                return fail(Errno::EAGAIN);
            }
            room
        };
        let wanted = (from.left().min(STEP as u64) as usize).min(room);
        let count = if wanted <= SMALL && outgoing.rights.is_empty() {
            let mut bytes = [0; SMALL];
            let count = from.get(&mut bytes[..wanted])?;
            peer.state.lock().queue.append(&bytes[..count], outgoing.sender);
            count
        } else {
            let mut bytes = vec![0; wanted];
            let count = from.get(&mut bytes)?;
            bytes.truncate(count);
            let rights = core::mem::take(&mut outgoing.rights);
            let sender = outgoing.sender;
            peer.state.lock().queue.push(Piece { bytes, start: 0, rights, sender, from: None });
            count
        };
        peer.notifier.notify_of(events::IN | events::RDNORM);
        Ok(count)
    }

    /// Where a message goes.
    fn receiver(&self, outgoing: &Outgoing<'_>) -> Result<Arc<Self>> {
        if let Some(to) = outgoing.to.as_ref().filter(|_| self.kind == kind::DATAGRAM) {
            let receiver = Address::parse(to)?.find(outgoing.thread, self.kind)?;
            if !receiver.takes_from(self) {
                return fail(Errno::EPERM);
            }
            return Ok(receiver);
        }
        let state = self.state.lock();
        if self.kind == kind::PACKETS && state.ended[1] {
            return fail(Errno::EPIPE);
        }
        match &state.stage {
            Stage::Connected(peer) => match peer.upgrade() {
                Some(peer) => Ok(peer),
                None if self.kind == kind::PACKETS => fail(Errno::EPIPE),
                None => fail(Errno::ECONNREFUSED),
            },
            _ => fail(Errno::ENOTCONN),
        }
    }

    pub(super) fn send_message(
        &self,
        from: &mut dyn Source,
        outgoing: &mut Outgoing<'_>,
    ) -> Result<usize> {
        let limit = self.options.send_buffer();
        if from.left() > limit.saturating_sub(32) as u64 {
            return fail(Errno::EMSGSIZE);
        }
        let ended = self.state.lock().ended[1];
        let receiver = self.receiver(outgoing)?;
        if ended {
            return fail(Errno::EPIPE);
        }
        let name = {
            let mut state = receiver.state.lock();
            if state.ended[0] {
                return fail(Errno::EPIPE);
            }
            let mutual = matches!(&state.stage, Stage::Connected(peer) if peer.ptr_eq(&self.own));
            let full = state.queue.cost() >= limit
                || (!mutual && state.queue.len() > MAX_WAITING && !core::ptr::eq(self, &*receiver));
            if full {
                receiver.remember(&mut state, &self.own);
                return fail(Errno::EAGAIN);
            }
            drop(state);
            self.state.lock().name.clone()
        };
        let mut bytes = vec![0; from.left() as usize];
        let mut count = 0;
        while count < bytes.len() {
            match from.get(&mut bytes[count..])? {
                0 => break,
                more => count += more,
            }
        }
        let rights = core::mem::take(&mut outgoing.rights);
        let sender = outgoing.sender;
        receiver.state.lock().queue.push(Piece { bytes, start: 0, rights, sender, from: name });
        receiver.notifier.notify_of(events::IN | events::RDNORM);
        Ok(count)
    }

    /// Why there is nothing to receive.
    fn nothing(&self) -> Result<Incoming> {
        self.options.take_error()?;
        let state = self.state.lock();
        if state.ended[0] { Ok(Incoming::default()) } else { fail(Errno::EAGAIN) }
    }

    fn check_connected(&self) -> Result<()> {
        let connected = matches!(self.state.lock().stage, Stage::Connected(_));
        match self.kind {
            kind::STREAM if !connected => fail(Errno::EINVAL),
            kind::PACKETS if !connected => fail(Errno::ENOTCONN),
            _ => Ok(()),
        }
    }

    /// Whether there is room again that a sender may wait for.
    fn made_room(&self) {
        let waits = {
            let state = self.state.lock();
            let limit = self.options.send_buffer();
            let drained = match self.kind {
                kind::STREAM => state.queue.bytes() * 4 <= limit,
                _ => true,
            };
            drained && !state.blocked.is_empty()
        };
        if waits {
            self.tell_blocked();
        }
    }

    pub(super) fn receive_bytes(&self, to: &mut dyn Sink, options: u32) -> Result<Incoming> {
        self.check_connected()?;
        let with_sender = self.options.passes_credentials();
        if options & flags::PEEK != 0 {
            return self.peek_bytes(to, with_sender);
        }
        let receiving = self.receiving.lock();
        let mut incoming = Incoming::default();
        while to.room() > 0 {
            let mut piece = {
                let mut state = self.state.lock();
                let other = state.queue.front().is_some_and(|piece| {
                    with_sender && incoming.sender.is_some_and(|sender| sender != piece.sender)
                });
                match state.queue.take_if(!other) {
                    Some(piece) => piece,
                    None => break,
                }
            };
            let wanted = piece.rest().len().min(to.room() as usize);
            let moved = to.put(&piece.rest()[..wanted]);
            let count = *moved.as_ref().unwrap_or(&0);
            let mut rights = Vec::new();
            if count > 0 {
                rights = core::mem::take(&mut piece.rights);
                incoming.sender = with_sender.then_some(piece.sender);
            }
            let rest = count < piece.rest().len();
            self.state.lock().queue.put_back(piece, count, rest);
            incoming.count += count;
            incoming.length += count;
            let stop = !rights.is_empty() || count < wanted;
            if !rights.is_empty() {
                incoming.rights = rights;
            }
            if let Err(error) = moved
                && incoming.count == 0
            {
                return Err(error);
            }
            if stop {
                break;
            }
        }
        drop(receiving);
        if incoming.count == 0 && to.room() > 0 {
            return self.nothing();
        }
        self.made_room();
        Ok(incoming)
    }

    fn peek_bytes(&self, to: &mut dyn Sink, with_sender: bool) -> Result<Incoming> {
        let receiving = self.receiving.lock();
        let mut bytes = Vec::new();
        let mut incoming = Incoming::default();
        let state = self.state.lock();
        for piece in state.queue.iter() {
            let room = (to.room() as usize).saturating_sub(bytes.len());
            if room == 0 {
                break;
            }
            bytes.extend_from_slice(&piece.rest()[..piece.rest().len().min(room)]);
            incoming.sender = with_sender.then_some(piece.sender);
            if !piece.rights.is_empty() {
                incoming.rights = piece.rights.clone();
                break;
            }
        }
        drop(state);
        drop(receiving);
        if bytes.is_empty() {
            return self.nothing();
        }
        incoming.count = to.put(&bytes)?;
        incoming.length = incoming.count;
        Ok(incoming)
    }

    pub(super) fn receive_message(&self, to: &mut dyn Sink, options: u32) -> Result<Incoming> {
        self.check_connected()?;
        let receiving = self.receiving.lock();
        let Some(mut piece) = self.state.lock().queue.take_if(true) else {
            drop(receiving);
            return self.nothing();
        };
        let length = piece.rest().len();
        let wanted = length.min(to.room() as usize);
        let moved = if wanted == 0 { Ok(0) } else { to.put(&piece.rest()[..wanted]) };
        let mut incoming = Incoming {
            count: *moved.as_ref().unwrap_or(&0),
            length,
            from: if self.kind == kind::DATAGRAM { piece.from.clone() } else { None },
            rights: Vec::new(),
            sender: self.options.passes_credentials().then_some(piece.sender),
            flags: if wanted < length { flags::TRUNC } else { 0 },
        };
        let peeked = options & flags::PEEK != 0;
        if peeked {
            incoming.rights = piece.rights.clone();
        } else {
            incoming.rights = core::mem::take(&mut piece.rights);
        }
        self.state.lock().queue.put_back(piece, 0, peeked);
        drop(receiving);
        moved?;
        if !peeked {
            self.made_room();
        }
        Ok(incoming)
    }
}

//! Moving bytes through TCP sockets.

use errno::Errno;
use net_service::stack::base::Chain;
use net_service::stack::tcp::IoError;

use super::convert::io_error;
use super::tcp::TcpSocket;
use crate::error::{Result, fail};
use crate::socket::{Incoming, message_flags as flags};
use crate::user::{Sink, Source};

/// Bytes that are copied through the stack: they are put behind others in the send queue, so that
/// many small writes share memory.
const SMALL: usize = 2048;
/// The most bytes that are taken over at once.
const STEP: usize = 256 << 10;

impl TcpSocket {
    /// Sends bytes, as many as there is room for.
    pub(super) fn send_bytes(&self, from: &mut dyn Source, options: u32) -> Result<usize> {
        let id = self.open(Errno::EPIPE)?;
        let _order = self.sending.lock();
        let urgent = options & flags::OOB != 0;
        let mut done = 0;
        while from.left() > 0 {
            let shard = usize::from(id.shard);
            let sent = if urgent || from.left() <= SMALL as u64 {
                let mut bytes = [0; SMALL];
                let count = from.look(&mut bytes)?;
                let sent = net_service::with(shard, |stack, now| {
                    let bytes = &bytes[..count];
                    if urgent && from.left() == count as u64 {
                        stack.tcp_send_urgent(id, bytes, now)
                    } else {
                        stack.tcp_send(id, bytes, now)
                    }
                });
                if let Ok(sent) = sent {
                    from.skip(sent);
                }
                sent
            } else {
                let room = net_service::with(shard, |stack, now| stack.tcp_send_room(id, now));
                match room {
                    Ok(room) => {
                        let mut data = collect(from, room.min(STEP))?;
                        net_service::with(shard, |stack, now| {
                            stack.tcp_send_chain(id, &mut data, now)
                        })
                    }
                    Err(error) => Err(error),
                }
            };
            match sent {
                Ok(sent) => done += sent,
                Err(_) if done > 0 => return Ok(done),
                Err(error) => return fail(io_error(error)),
            }
        }
        Ok(done)
    }

    /// Receives bytes, as many as there are and have room.
    pub(super) fn receive_bytes(&self, to: &mut dyn Sink, options: u32) -> Result<Incoming> {
        if options & flags::ERRQUEUE != 0 {
            return fail(Errno::EAGAIN);
        }
        let id = self.open(Errno::ENOTCONN)?;
        let shard = usize::from(id.shard);
        if options & flags::OOB != 0 {
            return self.receive_urgent(to);
        }
        let _order = self.receiving.lock();
        let peek = options & flags::PEEK != 0;
        let limit = usize::try_from(to.room()).unwrap_or(usize::MAX);
        let rest = {
            let mut state = self.state.lock();
            if peek { state.rest.clone() } else { core::mem::take(&mut state.rest) }
        };
        let mut data = if rest.is_empty() {
            let received = net_service::with(shard, |stack, now| {
                if peek {
                    stack.tcp_peek(id, 0, limit, now)
                } else {
                    stack.tcp_receive(id, limit, now)
                }
            });
            match received {
                Ok(data) => data,
                Err(IoError::Shut) => Chain::new(),
                Err(error) => return fail(io_error(error)),
            }
        } else {
            rest
        };
        if options & flags::TRUNC != 0 && !peek {
            // The program wants the bytes gone, not copied (tcp(7)).
            let count = data.len().min(limit);
            data.advance(count);
            self.state.lock().rest = data;
            return Ok(Incoming { count, length: count, ..Incoming::default() });
        }
        let mut count = 0;
        let mut result = Ok(());
        for chunk in data.chunks() {
            match to.put(chunk.bytes()) {
                Ok(moved) => {
                    count += moved;
                    if moved < chunk.len() {
                        break;
                    }
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if !peek && count < data.len() {
            data.advance(count);
            self.state.lock().rest = data;
        }
        if count == 0 {
            result?;
        }
        Ok(Incoming { count, length: count, ..Incoming::default() })
    }

    fn receive_urgent(&self, to: &mut dyn Sink) -> Result<Incoming> {
        let octet = self.with_open(|stack, id, now| stack.tcp_receive_urgent(id, now)).flatten();
        let Some(octet) = octet else { return fail(Errno::EINVAL) };
        let count = if to.room() == 0 { 0 } else { to.put(&[octet])? };
        let flags = flags::OOB;
        Ok(Incoming { count, length: 1, flags, ..Incoming::default() })
    }
}

/// Takes up to `limit` bytes of a source into memory of the network.
pub(super) fn collect(from: &mut dyn Source, limit: usize) -> Result<Chain> {
    let pool = net_service::shared().pool();
    let mut data = Chain::new();
    while data.len() < limit && from.left() > 0 {
        let wanted = (limit - data.len()).min(from.left() as usize);
        let Some(mut chunk) = pool.allocate(wanted) else {
            return if data.is_empty() { fail(Errno::ENOBUFS) } else { Ok(data) };
        };
        let mut result = Ok(0);
        let filled = chunk.fill(wanted, |spare| {
            result = from.get(spare);
            *result.as_ref().unwrap_or(&0)
        });
        let full = filled == wanted || chunk.spare() == 0;
        data.push(chunk);
        match result {
            Err(error) if data.is_empty() => return Err(error),
            Ok(_) if full => {}
            _ => break,
        }
    }
    Ok(data)
}

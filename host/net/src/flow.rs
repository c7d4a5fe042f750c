//! One TCP connection: the guest's side in the stack, the other a socket of the host.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use drupe_net_stack::base::{BufferPool, Chain, Instant};
use drupe_net_stack::tcp::{IoError, Ready};
use drupe_net_stack::{Readiness, Received, Stack, TcpId};
use rustix::io::Errno;
use rustix::net::{Shutdown, sockopt};

/// The most bytes that move in one step.
const STEP: usize = 256 << 10;

/// The guest's side.
pub(crate) enum GuestSide {
    /// The guest's request waits until the host's side is connected.
    Waiting(Received),
    /// The guest's request was answered; the stack has not told yet.
    Answered,
    /// There is a connection.
    Open(TcpId, Arc<Readiness>),
    /// It is over.
    Gone,
}

/// How a flow goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It lives.
    Alive,
    /// Both sides are done.
    Done,
}

/// A connection.
pub(crate) struct Flow {
    pub guest: GuestSide,
    pub host: OwnedFd,
    /// The guest's end and whom it reaches, for connections that the guest began.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    pub sequence: u32,
    pub host_connected: bool,
    pub host_readable: bool,
    pub host_writable: bool,
    host_ended: bool,
    guest_ended: bool,
    to_host: Chain,
}

impl Flow {
    pub fn new(guest: GuestSide, host: OwnedFd, host_connected: bool) -> Self {
        // Small writes of either side go on at once: the ends decide, not the middle.
        let _ = sockopt::set_tcp_nodelay(&host, true);
        Self {
            guest,
            host,
            ends: None,
            sequence: 0,
            host_connected,
            host_readable: true,
            host_writable: true,
            host_ended: false,
            guest_ended: false,
            to_host: Chain::new(),
        }
    }

    /// Moves what can be moved now.
    pub fn pump(&mut self, stack: &mut Stack, pool: &dyn BufferPool, now: Instant) -> Progress {
        let GuestSide::Open(id, readiness) = &self.guest else { return Progress::Alive };
        if !self.host_connected {
            return Progress::Alive;
        }
        let (id, ready) = (*id, readiness.ready());
        if ready.is_empty() && !self.host_readable {
            return Progress::Alive;
        }
        let moved = self
            .pass_to_guest(id, stack, pool, now)
            .and_then(|()| self.pass_to_host(id, stack, now));
        if moved.is_err() {
            stack.tcp_close(id, true, now);
            reset(&self.host);
            self.guest = GuestSide::Gone;
            return Progress::Done;
        }
        let over = ready.has(Ready::HANGUP) && self.to_host.is_empty() && self.guest_ended;
        if (self.host_ended && self.guest_ended && self.to_host.is_empty()) || over {
            stack.tcp_close(id, false, now);
            self.guest = GuestSide::Gone;
            return Progress::Done;
        }
        Progress::Alive
    }

    fn pass_to_guest(
        &mut self,
        id: TcpId,
        stack: &mut Stack,
        pool: &dyn BufferPool,
        now: Instant,
    ) -> Result<(), ()> {
        while self.host_readable && !self.host_ended {
            let room = match stack.tcp_send_room(id, now) {
                Ok(room) => room.min(STEP),
                Err(IoError::WouldBlock | IoError::NotConnected) => return Ok(()),
                // The guest takes nothing more; what it sends may still matter.
                Err(IoError::Shut) => return Ok(()),
                Err(IoError::Failed(_)) => return Err(()),
            };
            let Some(mut chunk) = pool.allocate(room) else { return Ok(()) };
            let mut result = Err(Errno::AGAIN);
            let mut wanted = 0;
            chunk.fill(room, |spare| {
                wanted = spare.len();
                let mut parts = [IoSliceMut::new(spare)];
                result = rustix::io::readv(&self.host, &mut parts);
                result.unwrap_or(0)
            });
            match result {
                Ok(0) => {
                    self.host_ended = true;
                    stack.tcp_shutdown(id, false, true, now);
                }
                Ok(count) => {
                    let mut data = Chain::from(chunk);
                    if data.footprint() > 4 * count {
                        data = data.copied(pool).unwrap_or(data);
                    }
                    // There was room, and nobody else sends.
                    let _ = stack.tcp_send_chain(id, &mut data, now);
                    // A short read means that nothing is left (epoll(7), question 9).
                    self.host_readable = count == wanted;
                }
                Err(Errno::AGAIN) => self.host_readable = false,
                Err(Errno::INTR) => {}
                Err(_) => return Err(()),
            }
        }
        Ok(())
    }

    fn pass_to_host(&mut self, id: TcpId, stack: &mut Stack, now: Instant) -> Result<(), ()> {
        loop {
            if self.to_host.is_empty() && !self.guest_ended {
                match stack.tcp_receive(id, STEP, now) {
                    Ok(data) if data.is_empty() => self.guest_ended = true,
                    Ok(data) => self.to_host = data,
                    Err(IoError::WouldBlock | IoError::NotConnected) => return Ok(()),
                    Err(IoError::Shut) => self.guest_ended = true,
                    Err(IoError::Failed(_)) => return Err(()),
                }
                if self.guest_ended {
                    let _ = rustix::net::shutdown(&self.host, Shutdown::Write);
                }
            }
            if self.to_host.is_empty() || !self.host_writable {
                return Ok(());
            }
            let parts: Vec<IoSlice<'_>> =
                self.to_host.chunks().take(64).map(|chunk| IoSlice::new(chunk.bytes())).collect();
            match rustix::io::writev(&self.host, &parts) {
                Ok(count) => self.to_host.advance(count),
                Err(Errno::AGAIN) => self.host_writable = false,
                Err(Errno::INTR) => {}
                Err(_) => return Err(()),
            }
        }
    }
}

/// Has the host's socket end with a reset when it is closed.
fn reset(host: &OwnedFd) {
    let _ = sockopt::set_socket_linger(host, Some(std::time::Duration::ZERO));
}

//! The descriptor to the guest: a frame per message.

use std::collections::VecDeque;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use drupe_net_stack::base::{BufferPool, Chain, Chunk};
use drupe_net_stack::{Devices, Frame, InterfaceId, Received, ReceivedMeta};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::error::{Error, Result};
use crate::frames::{self, Seen};

/// The interface towards the guest.
pub(crate) const GUEST: InterfaceId = InterfaceId(2);

const SMALL: usize = 2048;
const LARGE: usize = 64 << 10;
/// The most frames that wait for room in the descriptor.
const MOST_WAITING: usize = 256;
/// What the host lets wait in the descriptor, if it lets us choose.
const BUFFER: usize = 4 << 20;

/// How messages pass between gateway and guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// In order, and either side sees when the other is gone (`SOCK_SEQPACKET`).
    Packets,
    /// As QEMU speaks (`SOCK_DGRAM`).
    Datagrams,
}

/// A pair of descriptors for frames: the gateway's end and the guest's.
///
/// # Errors
/// When the host has no descriptors left.
pub fn link(kind: LinkKind) -> Result<(OwnedFd, OwnedFd)> {
    let kind = match kind {
        LinkKind::Packets => SocketType::SEQPACKET,
        LinkKind::Datagrams => SocketType::DGRAM,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, kind, flags, None)
        .map_err(|errno| Error::new("cannot create the guest's network").because(errno))?;
    for end in [&ours, &theirs] {
        // More lets more frames wait; the host's limit does as well.
        let _ = sockopt::set_socket_send_buffer_size(end, BUFFER);
    }
    Ok((ours, theirs))
}

/// Something that the gateway deals with before the stack sees it.
pub(crate) struct Intercepted {
    pub seen: Seen,
    pub frame: Received,
}

/// The link as the stack uses it.
pub(crate) struct Link {
    descriptor: OwnedFd,
    pool: Arc<dyn BufferPool>,
    small: Chunk,
    large: Chunk,
    /// There may be something to read.
    pub readable: bool,
    /// The guest is gone.
    pub closed: bool,
    /// Frames that the descriptor had no room for.
    waiting: VecDeque<Frame>,
    /// Frames to be given to the stack, whatever they are.
    pub injected: VecDeque<Received>,
    /// Frames that are not for the stack, or not yet.
    pub intercepted: VecDeque<Intercepted>,
}

impl Link {
    pub fn new(descriptor: OwnedFd, pool: Arc<dyn BufferPool>) -> Self {
        Self {
            descriptor,
            pool,
            small: Chunk::empty(),
            large: Chunk::empty(),
            readable: true,
            closed: false,
            waiting: VecDeque::new(),
            injected: VecDeque::new(),
            intercepted: VecDeque::new(),
        }
    }

    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn read(&mut self) -> Option<Received> {
        if self.small.spare() < SMALL {
            self.small = self.pool.allocate(SMALL)?;
        }
        if self.large.spare() < LARGE {
            self.large = self.pool.allocate(LARGE)?;
        }
        let mut result = Err(Errno::AGAIN);
        let (small, large, descriptor) = (&mut self.small, &mut self.large, &self.descriptor);
        small.fill(SMALL, |first| {
            let room = first.len();
            large.fill(LARGE, |second| {
                let mut parts = [IoSliceMut::new(first), IoSliceMut::new(second)];
                result = rustix::io::readv(descriptor, &mut parts);
                result.map_or(0, |count| count.saturating_sub(room))
            });
            result.map_or(0, |count| count.min(room))
        });
        match result {
            Ok(count @ 1..) => {
                let mut data = Chain::from(std::mem::take(&mut self.small));
                if count > SMALL {
                    data.push(std::mem::take(&mut self.large));
                }
                // What never left memory is as it was.
                let meta = ReceivedMeta { checksum_valid: true, segment_size: 0 };
                Some(Received { data, meta })
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.readable = false;
                None
            }
            Ok(0) | Err(_) => {
                self.readable = false;
                self.closed = true;
                None
            }
        }
    }

    fn write(&mut self, frame: &Frame) -> bool {
        let mut parts = vec![IoSlice::new(frame.header.as_slice())];
        parts.extend(frame.payload.chunks().map(|chunk| IoSlice::new(chunk.bytes())));
        match rustix::io::writev(&self.descriptor, &parts) {
            Err(Errno::AGAIN) => false,
            Err(Errno::PIPE | Errno::CONNRESET | Errno::CONNREFUSED | Errno::NOTCONN) => {
                self.closed = true;
                true
            }
            // A frame that the host does not take is lost, as on every network.
            _ => true,
        }
    }

    /// Sends frames that wait, as far as there is room now.
    pub fn drain(&mut self) {
        while let Some(frame) = self.waiting.pop_front() {
            if !self.write(&frame) {
                self.waiting.push_front(frame);
                return;
            }
        }
    }

    /// Sends a frame that the stack knows nothing of; it is lost when too many wait.
    pub fn send(&mut self, bytes: Vec<u8>) {
        if self.waiting.len() < MOST_WAITING {
            self.transmit(GUEST, Frame { payload: Chain::from(bytes), ..Frame::default() });
        }
    }
}

impl Devices for Link {
    fn receive(&mut self) -> Option<(InterfaceId, Received)> {
        if let Some(frame) = self.injected.pop_front() {
            return Some((GUEST, frame));
        }
        while self.readable {
            let frame = self.read()?;
            match frames::look(frame.data.first().bytes(), frame.data.len()) {
                Seen::Other => return Some((GUEST, frame)),
                seen => self.intercepted.push_back(Intercepted { seen, frame }),
            }
            // Whatever the guest sends, others get their turn.
            if self.intercepted.len() >= MOST_WAITING {
                return None;
            }
        }
        None
    }

    fn has_room(&mut self, _interface: InterfaceId) -> bool {
        self.waiting.is_empty()
    }

    fn transmit(&mut self, _interface: InterfaceId, frame: Frame) {
        if !self.waiting.is_empty() || !self.write(&frame) {
            self.waiting.push_back(frame);
        }
    }
}

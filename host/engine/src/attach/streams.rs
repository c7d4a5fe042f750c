//! Reading and writing the streams of an instance.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use abi_report::Kind;
use rustix::event::{PollFd, PollFlags};
use rustix::net::SendFlags;

use super::End;
use crate::error::{Context, Result};

/// The signal of a program whose output nobody reads (SIGPIPE).
const BROKEN_PIPE: i32 = 13;

/// Frames that wait until the guest takes them. drupe never waits for a guest.
#[derive(Default)]
pub struct Control {
    /// Each is sent as a message of its own; a stream may have taken a part of the first.
    waiting: VecDeque<Vec<u8>>,
    sent: usize,
}

impl Control {
    /// Adds a frame.
    pub fn queue(&mut self, kind: Kind, payload: &[u8]) {
        let mut frame = abi_report::head(kind, 0, payload.len()).to_vec();
        frame.extend(payload);
        self.waiting.push_back(frame);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends what the guest takes now.
    pub fn flush(&mut self, socket: &OwnedFd) {
        while let Some(frame) = self.waiting.front() {
            let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
            match rustix::net::send(socket, &frame[self.sent..], flags) {
                Ok(count) => self.sent += count,
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
                // A guest that has ended does not read any more.
                Err(_) => return self.waiting.clear(),
            }
            if self.sent == frame.len() {
                self.sent = 0;
                self.waiting.pop_front();
            }
        }
    }
}

/// Reads once; 0 at the end.
pub fn read(descriptor: Option<&OwnedFd>, buffer: &mut [u8]) -> Result<usize> {
    let Some(descriptor) = descriptor else { return Ok(0) };
    loop {
        match rustix::io::read(descriptor, &mut *buffer) {
            Ok(length) => return Ok(length),
            Err(rustix::io::Errno::INTR) => {}
            // The other side was killed, or the terminal is gone: there is nothing more.
            Err(rustix::io::Errno::CONNRESET | rustix::io::Errno::IO) => return Ok(0),
            Err(error) => return Err(error).context(|| "cannot read from the instance"),
        }
    }
}

/// Output that waits until its reader takes it: drupe goes on to hear signals meanwhile, and takes no
/// more from the guest.
#[derive(Default)]
pub struct Outlet {
    waiting: VecDeque<u8>,
}

impl Outlet {
    /// Bytes that a pipe which is ready takes without waiting (`PIPE_BUF`).
    const STEP: usize = 4096;

    /// Adds output.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend(bytes);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Writes what a stream that is ready takes at once.
    pub fn flush(&mut self, stream: &OwnedFd) -> rustix::io::Result<()> {
        let (bytes, _) = self.waiting.as_slices();
        match rustix::io::write(stream, &bytes[..bytes.len().min(Self::STEP)]) {
            Ok(count) => drop(self.waiting.drain(..count)),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(error) => {
                self.waiting.clear();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes everything, waiting for the reader.
    pub fn finish(&mut self, stream: &OwnedFd) -> rustix::io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let (first, second) = waiting.as_slices();
        write(stream, first)?;
        write(stream, second)
    }
}

/// What a stream that cannot be written means. A reader that has gone away ends the run, as it
/// would end a program.
pub fn written(end: &mut Option<End>, result: rustix::io::Result<()>) -> Result<()> {
    match result {
        Err(rustix::io::Errno::PIPE | rustix::io::Errno::IO) => {
            end.get_or_insert(End::Interrupted(BROKEN_PIPE));
            Ok(())
        }
        result => result.context(|| "cannot write the guest's output"),
    }
}

/// Writes all of `bytes`, also when the stream does not block.
pub fn write(descriptor: &OwnedFd, bytes: &[u8]) -> rustix::io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(descriptor, rest) {
            Ok(length) => rest = &rest[length..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let mut set = [PollFd::from_borrowed_fd(descriptor.as_fd(), PollFlags::OUT)];
                let _ = rustix::event::poll(&mut set, None);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether two streams go to the same file or terminal.
pub fn same_file(one: &OwnedFd, other: &OwnedFd) -> bool {
    let identity = |stream: &OwnedFd| {
        let found = rustix::fs::fstat(stream).ok()?;
        Some((found.st_dev, found.st_ino))
    };
    identity(one).is_some() && identity(one) == identity(other)
}

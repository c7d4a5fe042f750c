//! Reading and writing the streams of an instance.

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
    waiting: Vec<u8>,
}

impl Control {
    /// Adds a frame.
    pub fn queue(&mut self, kind: Kind, payload: &[u8]) {
        self.waiting.extend(abi_report::head(kind, 0, payload.len()));
        self.waiting.extend(payload);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends what the guest takes now.
    pub fn flush(&mut self, socket: &OwnedFd) {
        match rustix::net::send(socket, &self.waiting, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(count) => drop(self.waiting.drain(..count)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // A guest that has ended does not read any more.
            Err(_) => self.waiting.clear(),
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

/// Writes output of the guest. A reader that has gone away ends the run, as it would end a
/// program.
pub fn put(end: &mut Option<End>, stream: &OwnedFd, bytes: &[u8]) -> Result<()> {
    match write(stream, bytes) {
        Err(rustix::io::Errno::PIPE) => {
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

/// A line of drupe's own among the guest's errors.
pub fn note(stream: &OwnedFd, text: &str) {
    let _ = write(stream, format!("drupe: {text}\n").as_bytes());
}

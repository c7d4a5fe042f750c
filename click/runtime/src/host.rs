//! What a router needs from below: time, output, files, sockets.

use alloc::string::String;
use alloc::vec::Vec;

/// A file or socket that the host opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(pub u32);

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// For reading.
    Read,
    /// For writing, emptied first.
    Write,
    /// For writing at the end.
    Append,
}

/// An address to listen on or connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP or UDP over IPv4.
    Ip([u8; 4], u16),
    /// A socket in the file system.
    Unix(String),
}

/// What happened at a socket while the router slept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketEvent {
    /// The socket.
    pub handle: Handle,
    /// There is something to read or accept, or the peer is gone.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

/// Services of the host. Text of errors is what the system says, such as "No such file or
/// directory". All reads and writes on sockets are non-blocking: `Ok(None)` means later.
pub trait Host {
    /// Wall clock in nanoseconds since 1970.
    fn now(&mut self) -> i64;

    /// A clock that never jumps, in nanoseconds.
    fn steady(&mut self) -> i64;

    /// A number that differs from run to run.
    fn seed(&mut self) -> u32;

    /// Writes to standard output.
    fn output(&mut self, bytes: &[u8]);

    /// Writes a line to standard error; the line end is added.
    fn message(&mut self, line: &str);

    /// Opens a file; `-` is standard input or output.
    fn open(&mut self, path: &str, how: Open) -> Result<Handle, String> {
        let _ = (path, how);
        Err("Operation not supported".into())
    }

    /// Reads from a file; 0 at its end.
    fn read(&mut self, handle: Handle, buffer: &mut [u8]) -> Result<usize, String> {
        let _ = (handle, buffer);
        Err("Bad file descriptor".into())
    }

    /// Writes all bytes to a file.
    fn write(&mut self, handle: Handle, bytes: &[u8]) -> Result<(), String> {
        let _ = (handle, bytes);
        Err("Bad file descriptor".into())
    }

    /// Closes a file or socket.
    fn close(&mut self, handle: Handle) {
        let _ = handle;
    }

    /// Reads a whole file.
    fn read_file(&mut self, path: &str) -> Result<Vec<u8>, String> {
        let handle = self.open(path, Open::Read)?;
        let mut all = Vec::new();
        let mut buffer = alloc::vec![0; 16384];
        let result = loop {
            match self.read(handle, &mut buffer) {
                Ok(0) => break Ok(all),
                Ok(count) => all.extend_from_slice(&buffer[..count]),
                Err(error) => break Err(error),
            }
        };
        self.close(handle);
        result
    }

    /// Number of the process.
    fn process(&mut self) -> u32 {
        0
    }

    /// Sends a signal to a process.
    fn kill(&mut self, process: i64, signal: u32) -> Result<(), String> {
        let _ = (process, signal);
        Err("Operation not permitted".into())
    }

    /// From now on, report the signal from [`wait`](Self::wait) instead of dying of it.
    fn catch_signal(&mut self, signal: u32) {
        let _ = signal;
    }

    /// Lets the signal have its usual effect again.
    fn release_signal(&mut self, signal: u32) {
        let _ = signal;
    }

    /// Signals that arrived since the last call.
    fn signals(&mut self) -> Vec<u32> {
        Vec::new()
    }

    /// Whether the router was asked from outside to end.
    fn interrupted(&mut self) -> bool {
        false
    }

    /// Stops by other routers that belong to this one, since the last call.
    fn stops(&mut self) -> u32 {
        0
    }

    /// Listens for streams; gives the socket and the port in use.
    fn listen(&mut self, address: &Address) -> Result<(Handle, u16), String> {
        let _ = address;
        Err("Operation not supported".into())
    }

    /// Accepts a stream from a listening socket.
    fn accept(&mut self, handle: Handle) -> Result<Option<Handle>, String> {
        let _ = handle;
        Ok(None)
    }

    /// Receives from a stream; `Some(0)` at its end.
    fn receive(&mut self, handle: Handle, buffer: &mut [u8]) -> Result<Option<usize>, String> {
        let _ = (handle, buffer);
        Ok(None)
    }

    /// Sends to a stream; gives how many bytes were taken.
    fn send(&mut self, handle: Handle, bytes: &[u8]) -> Result<Option<usize>, String> {
        let _ = (handle, bytes);
        Ok(None)
    }

    /// Sleeps until one of the sockets is ready, a signal arrives, or `timeout`
    /// nanoseconds have passed; none means no limit. The pairs say whether writing is of
    /// interest, too.
    fn wait(&mut self, sockets: &[(Handle, bool)], timeout: Option<i64>) -> Vec<SocketEvent>;
}

//! `getsockopt(2)`, `setsockopt(2)`.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use errno::Errno;

use super::{SocketFile, kind};
use crate::abi::{Layout, SECOND, Timeval};
use crate::error::{Result, fail};
use crate::thread::Thread;
use crate::user;

/// The level of options that all sockets have (`SOL_SOCKET`).
const SOCKET: u32 = 1;

// Options, by Linux's number.
const REUSE_ADDRESS: u32 = 2;
const TYPE: u32 = 3;
const ERROR: u32 = 4;
const DONT_ROUTE: u32 = 5;
const BROADCAST: u32 = 6;
const SEND_BUFFER: u32 = 7;
const RECEIVE_BUFFER: u32 = 8;
const KEEP_ALIVE: u32 = 9;
const OOB_INLINE: u32 = 10;
const PRIORITY: u32 = 12;
const LINGER: u32 = 13;
const REUSE_PORT: u32 = 15;
const PASS_CREDENTIALS: u32 = 16;
const LOWEST_RECEIVED: u32 = 18;
const LOWEST_SENT: u32 = 19;
const RECEIVE_TIMEOUT: u32 = 20;
const SEND_TIMEOUT: u32 = 21;
const TIMESTAMP: u32 = 29;
const ACCEPTS: u32 = 30;
const PROTOCOL: u32 = 38;
const DOMAIN: u32 = 39;

/// Options that are only kept: switches, by their number as a bit.
const SWITCHES: u64 = 1 << REUSE_ADDRESS
    | 1 << DONT_ROUTE
    | 1 << BROADCAST
    | 1 << KEEP_ALIVE
    | 1 << OOB_INLINE
    | 1 << REUSE_PORT
    | 1 << PASS_CREDENTIALS
    | 1 << TIMESTAMP;

/// What a buffer has at first, and what a program may ask for (`wmem_default`, `wmem_max`).
const DEFAULT_BUFFER: u32 = 212_992;
const SMALLEST_SEND: u32 = 4608;
const SMALLEST_RECEIVE: u32 = 2304;

/// Options that all sockets have.
pub struct SocketOptions {
    switches: AtomicU64,
    send_buffer: AtomicU32,
    receive_buffer: AtomicU32,
    priority: AtomicU32,
    linger: AtomicU64,
    /// Nanoseconds that receiving and sending wait at most; 0: without limit.
    timeouts: [AtomicU64; 2],
    /// Whether it listens.
    pub listens: AtomicBool,
    /// An error to be told once.
    pub error: AtomicU32,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self {
            switches: AtomicU64::new(0),
            send_buffer: AtomicU32::new(DEFAULT_BUFFER),
            receive_buffer: AtomicU32::new(DEFAULT_BUFFER),
            priority: AtomicU32::new(0),
            linger: AtomicU64::new(0),
            timeouts: [const { AtomicU64::new(0) }; 2],
            listens: AtomicBool::new(false),
            error: AtomicU32::new(0),
        }
    }
}

impl SocketOptions {
    /// When a call that begins now is to stop waiting.
    pub fn deadline(&self, sending: bool) -> u64 {
        match self.timeouts[usize::from(sending)].load(Ordering::Relaxed) {
            0 => u64::MAX,
            timeout => hal::monotonic().saturating_add(timeout),
        }
    }

    /// Bytes that may be on the way to the peer.
    pub fn send_buffer(&self) -> usize {
        self.send_buffer.load(Ordering::Relaxed) as usize
    }

    /// Whether messages come with their sender (`SO_PASSCRED`).
    pub fn passes_credentials(&self) -> bool {
        self.switches.load(Ordering::Relaxed) & 1 << PASS_CREDENTIALS != 0
    }

    /// Takes the error that waits to be told.
    pub fn take_error(&self) -> Result<()> {
        match Errno::from_number(self.error.swap(0, Ordering::Relaxed) as u16) {
            Some(errno) => fail(errno),
            None => Ok(()),
        }
    }

    fn get(&self, name: u32) -> Option<[u64; 2]> {
        let number = |value: u32| Some([u64::from(value), 4]);
        match name {
            _ if name < 64 && SWITCHES & 1 << name != 0 => {
                number((self.switches.load(Ordering::Relaxed) >> name & 1) as u32)
            }
            ERROR => number(self.error.swap(0, Ordering::Relaxed)),
            SEND_BUFFER => number(self.send_buffer.load(Ordering::Relaxed)),
            RECEIVE_BUFFER => number(self.receive_buffer.load(Ordering::Relaxed)),
            PRIORITY => number(self.priority.load(Ordering::Relaxed)),
            LINGER => Some([self.linger.load(Ordering::Relaxed), 8]),
            LOWEST_RECEIVED | LOWEST_SENT => number(1),
            ACCEPTS => number(u32::from(self.listens.load(Ordering::Relaxed))),
            _ => None,
        }
    }

    /// `None`: it is not known here.
    fn set(&self, name: u32, value: &[u8]) -> Option<Result<()>> {
        let number = u32::decode(&value[..4]);
        let doubled = |smallest: u32| number.min(DEFAULT_BUFFER).saturating_mul(2).max(smallest);
        match name {
            _ if name < 64 && SWITCHES & 1 << name != 0 => {
                if number != 0 {
                    self.switches.fetch_or(1 << name, Ordering::Relaxed);
                } else {
                    self.switches.fetch_and(!(1 << name), Ordering::Relaxed);
                }
            }
            SEND_BUFFER => self.send_buffer.store(doubled(SMALLEST_SEND), Ordering::Relaxed),
            RECEIVE_BUFFER => {
                self.receive_buffer.store(doubled(SMALLEST_RECEIVE), Ordering::Relaxed);
            }
            PRIORITY => self.priority.store(number, Ordering::Relaxed),
            LINGER if value.len() < 8 => return Some(fail(Errno::EINVAL)),
            LINGER => self.linger.store(u64::decode(&value[..8]), Ordering::Relaxed),
            LOWEST_RECEIVED => {}
            RECEIVE_TIMEOUT | SEND_TIMEOUT => {
                if value.len() < 16 {
                    return Some(fail(Errno::EINVAL));
                }
                let time = Timeval::decode(&value[..16]);
                if !(0..1_000_000).contains(&time.microseconds) {
                    return Some(fail(Errno::EDOM));
                }
                // A time before now is none at all: the least that can be waited.
                let time = if time.seconds < 0 { Some(1) } else { time.nanoseconds() };
                let timeout = &self.timeouts[usize::from(name == SEND_TIMEOUT)];
                timeout.store(time.unwrap_or(0), Ordering::Relaxed);
            }
            TYPE | ERROR | ACCEPTS | PROTOCOL | DOMAIN | LOWEST_SENT => {
                return Some(fail(Errno::ENOPROTOOPT));
            }
            _ => return None,
        }
        Some(Ok(()))
    }

    fn timeout(&self, sending: bool) -> Timeval {
        let time = self.timeouts[usize::from(sending)].load(Ordering::Relaxed);
        let (seconds, rest) = (time / SECOND, time % SECOND);
        Timeval { seconds: seconds as i64, microseconds: (rest / 1000) as i64 }
    }
}

/// `getsockopt(2)`.
pub fn getsockopt(
    thread: &Thread,
    [descriptor, level, name, value, length, _]: [u64; 6],
) -> Result {
    let open = thread.files().get(descriptor)?;
    let socket = SocketFile::of(&open)?;
    let room: i32 = user::read(length)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let (level, name) = (level as u32, name as u32);
    let options = socket.options();
    let [domain, type_, protocol] = socket.identity();
    let mut bytes = alloc::vec::Vec::new();
    let simple = match name {
        _ if level != SOCKET => None,
        TYPE => Some([u64::from(type_), 4]),
        DOMAIN => Some([u64::from(domain), 4]),
        PROTOCOL => Some([u64::from(protocol), 4]),
        _ => options.get(name),
    };
    match simple {
        Some([number, size]) => bytes.extend_from_slice(&number.to_le_bytes()[..size as usize]),
        None if level == SOCKET && matches!(name, RECEIVE_TIMEOUT | SEND_TIMEOUT) => {
            bytes.resize(Timeval::SIZE, 0);
            options.timeout(name == SEND_TIMEOUT).encode(&mut bytes);
        }
        None => bytes = socket.option(level, name)?,
    }
    let count = bytes.len().min(room);
    user::write_bytes(value, &bytes[..count])?;
    user::write(length, &(count as i32))?;
    Ok(0)
}

/// `setsockopt(2)`.
pub fn setsockopt(
    thread: &Thread,
    [descriptor, level, name, value, length, _]: [u64; 6],
) -> Result {
    /// Longer values than any option has.
    const LONGEST: usize = 4096;
    let open = thread.files().get(descriptor)?;
    let socket = SocketFile::of(&open)?;
    let length = usize::try_from(length as i32).map_err(|_| Errno::EINVAL)?;
    let (level, name) = (level as u32, name as u32);
    if level != SOCKET {
        let bytes = user::read_bytes(value, length.min(LONGEST))?;
        socket.set_option(level, name, &bytes)?;
        return Ok(0);
    }
    if length < 4 {
        return fail(Errno::EINVAL);
    }
    let bytes = user::read_bytes(value, length.min(LONGEST))?;
    match socket.options().set(name, &bytes) {
        Some(result) => result?,
        None => socket.set_option(level, name, &bytes)?,
    }
    // More or less room may change whether it can be written.
    if name == SEND_BUFFER && socket.identity()[1] != kind::DATAGRAM {
        socket.notifier().notify_of(crate::file::events::OUT);
    }
    Ok(0)
}

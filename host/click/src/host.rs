//! The host of a router in a process.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use click_language::text::to_bytes;
use click_runtime::host::{Address, Handle, Host, Open, SocketEvent};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use crate::files::path;
use crate::threads::Ends;

/// What the system says about an error, without its number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

enum Thing {
    Reader(Box<dyn Read + Send>),
    Writer(BufWriter<File>),
    Output,
    TcpListener(TcpListener),
    UnixListener(UnixListener, String),
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Thing {
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(match self {
            Self::TcpListener(socket) => socket.as_fd(),
            Self::UnixListener(socket, _) => socket.as_fd(),
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
            Self::Reader(_) | Self::Writer(_) | Self::Output => return None,
        })
    }
}

/// Ends the sleep of a host.
pub struct Bell(UnixStream);

impl Bell {
    /// Rings. A full bell rings already.
    pub fn ring(&self) {
        let _ = (&self.0).write(&[1]);
    }
}

struct Caught {
    arrived: Arc<AtomicBool>,
    ids: [signal_hook::SigId; 2],
}

/// Files, sockets, signals and clocks of the process.
pub struct ProcessHost {
    things: BTreeMap<u32, Thing>,
    next: u32,
    output: BufWriter<io::Stdout>,
    started: Instant,
    caught: BTreeMap<u32, Caught>,
    /// Set by signals that end the router.
    ends: Vec<Arc<AtomicBool>>,
    /// The router's threads, and whether this is the first of them.
    threads: Option<(Ends, bool)>,
    /// Written by signal handlers, to end a sleep.
    bell: Option<(UnixStream, UnixStream)>,
}

impl Default for ProcessHost {
    fn default() -> Self {
        Self::new()
    }
}

impl ProcessHost {
    /// A host that holds nothing yet.
    pub fn new() -> Self {
        let bell = UnixStream::pair().ok().filter(|(listen, ring)| {
            listen.set_nonblocking(true).is_ok() && ring.set_nonblocking(true).is_ok()
        });
        Self {
            things: BTreeMap::new(),
            next: 1,
            output: BufWriter::with_capacity(1 << 16, io::stdout()),
            started: Instant::now(),
            caught: BTreeMap::new(),
            ends: Vec::new(),
            threads: None,
            bell,
        }
    }

    /// Makes this the host of one of several threads. Gives what ends its sleep.
    pub fn join_threads(&mut self, ends: Ends, first: bool) -> Option<Bell> {
        self.threads = Some((ends, first));
        Some(Bell(self.bell.as_ref()?.1.try_clone().ok()?))
    }

    fn add(&mut self, thing: Thing) -> Handle {
        let handle = Handle(self.next);
        self.next += 1;
        self.things.insert(handle.0, thing);
        handle
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) {
        // A reader that went away is no reason to stop the router.
        let _ = self.output.flush();
        for thing in self.things.values_mut() {
            if let Thing::Writer(writer) = thing {
                let _ = writer.flush();
            }
        }
    }

    /// Has the signal end the router instead of killing the process; it ends sleeps, too.
    /// A second one kills.
    pub fn end_on(&mut self, signal: i32) {
        // If a script watches for the signal, too, the script's wish counts.
        if u32::try_from(signal).is_ok_and(|signal| self.caught.contains_key(&signal)) {
            return;
        }
        let flag = Arc::new(AtomicBool::new(false));
        let Some(ring) = self.bell.as_ref().and_then(|bell| bell.1.try_clone().ok()) else {
            return;
        };
        // Without these the signal has its usual effect, which ends the router as well.
        let _ = signal_hook::flag::register_conditional_default(signal, flag.clone());
        if signal_hook::flag::register(signal, flag.clone()).is_ok() {
            let _ = signal_hook::low_level::pipe::register(signal, ring);
            self.ends.push(flag);
        }
    }

    fn watch_signal(&mut self, signal: u32) -> Option<Arc<AtomicBool>> {
        if let Some(caught) = self.caught.get(&signal) {
            return Some(caught.arrived.clone());
        }
        let arrived = Arc::new(AtomicBool::new(false));
        let number = i32::try_from(signal).ok()?;
        let flag = signal_hook::flag::register(number, arrived.clone()).ok()?;
        let ring = self.bell.as_ref()?.1.try_clone().ok()?;
        let bell = signal_hook::low_level::pipe::register(number, ring).ok()?;
        self.caught.insert(signal, Caught { arrived: arrived.clone(), ids: [flag, bell] });
        Some(arrived)
    }
}

fn later<T>(result: io::Result<T>) -> Result<Option<T>, String> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(reason(&error)),
    }
}

impl Host for ProcessHost {
    fn now(&mut self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX),
        }
    }

    fn steady(&mut self) -> i64 {
        i64::try_from(self.started.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }

    fn seed(&mut self) -> u32 {
        let mut bytes = [0; 4];
        if File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).is_err() {
            return self.now() as u32;
        }
        u32::from_ne_bytes(bytes)
    }

    fn output(&mut self, bytes: &[u8]) {
        let _ = self.output.write_all(bytes);
        let _ = self.output.flush();
    }

    fn message(&mut self, line: &str) {
        let _ = self.output.flush();
        let mut bytes = to_bytes(line);
        bytes.push(b'\n');
        let _ = io::stderr().write_all(&bytes);
    }

    fn open(&mut self, name: &str, how: Open) -> Result<Handle, String> {
        let thing = match (name, how) {
            ("-", Open::Read) => Thing::Reader(Box::new(io::stdin())),
            ("-", _) => Thing::Output,
            (_, Open::Read) => {
                let file = File::open(path(name)).map_err(|error| reason(&error))?;
                Thing::Reader(Box::new(BufReader::with_capacity(1 << 16, file)))
            }
            (_, how) => {
                let mut options = OpenOptions::new();
                options.create(true);
                if how == Open::Append {
                    options.append(true);
                } else {
                    options.write(true).truncate(true);
                }
                let file = options.open(path(name)).map_err(|error| reason(&error))?;
                Thing::Writer(BufWriter::with_capacity(1 << 16, file))
            }
        };
        Ok(self.add(thing))
    }

    fn read(&mut self, handle: Handle, buffer: &mut [u8]) -> Result<usize, String> {
        match self.things.get_mut(&handle.0) {
            Some(Thing::Reader(file)) => loop {
                match file.read(buffer) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    result => return result.map_err(|error| reason(&error)),
                }
            },
            _ => Err("Bad file descriptor".into()),
        }
    }

    fn write(&mut self, handle: Handle, bytes: &[u8]) -> Result<(), String> {
        let result = match self.things.get_mut(&handle.0) {
            Some(Thing::Writer(file)) => file.write_all(bytes),
            Some(Thing::Output) => self.output.write_all(bytes),
            _ => return Err("Bad file descriptor".into()),
        };
        result.map_err(|error| reason(&error))
    }

    fn close(&mut self, handle: Handle) {
        match self.things.remove(&handle.0) {
            Some(Thing::Output) => {
                let _ = self.output.flush();
            }
            Some(Thing::UnixListener(_, file)) => {
                let _ = std::fs::remove_file(path(&file));
            }
            // Dropping the rest flushes and closes it.
            _ => {}
        }
    }

    fn process(&mut self) -> u32 {
        std::process::id()
    }

    fn kill(&mut self, process: i64, signal: u32) -> Result<(), String> {
        let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw);
        let process = process.ok_or("No such process")?;
        let signal = i32::try_from(signal).ok().and_then(rustix::process::Signal::from_named_raw);
        let signal = signal.ok_or("Invalid argument")?;
        rustix::process::kill_process(process, signal)
            .map_err(|error| reason(&io::Error::from(error)))
    }

    fn catch_signal(&mut self, signal: u32) {
        self.watch_signal(signal);
    }

    fn release_signal(&mut self, signal: u32) {
        // A handler stays installed in the process; without anybody to tell, the usual
        // effect is brought about when the signal arrives.
        if let Some(caught) = self.caught.remove(&signal) {
            for id in caught.ids {
                signal_hook::low_level::unregister(id);
            }
            if let Ok(number) = i32::try_from(signal) {
                let always = Arc::new(AtomicBool::new(true));
                let _ = signal_hook::flag::register_conditional_default(number, always);
            }
        }
    }

    fn interrupted(&mut self) -> bool {
        self.ends.iter().any(|flag| flag.load(Ordering::Relaxed))
            || self.threads.as_ref().is_some_and(|(ends, first)| !first && ends.is_over())
    }

    fn stops(&mut self) -> u32 {
        match &self.threads {
            Some((ends, true)) => ends.take_stopped(),
            _ => 0,
        }
    }

    fn signals(&mut self) -> Vec<u32> {
        self.caught
            .iter()
            .filter(|(_, caught)| caught.arrived.swap(false, Ordering::Relaxed))
            .map(|(signal, _)| *signal)
            .collect()
    }

    fn listen(&mut self, address: &Address) -> Result<(Handle, u16), String> {
        let (thing, port) = match address {
            Address::Ip(ip, port) => {
                let address = SocketAddrV4::new(Ipv4Addr::from(*ip), *port);
                let socket = TcpListener::bind(address).map_err(|error| reason(&error))?;
                socket.set_nonblocking(true).map_err(|error| reason(&error))?;
                let port = socket.local_addr().map_or(*port, |address| address.port());
                (Thing::TcpListener(socket), port)
            }
            Address::Unix(file) => {
                let socket = UnixListener::bind(path(file)).map_err(|error| reason(&error))?;
                socket.set_nonblocking(true).map_err(|error| reason(&error))?;
                (Thing::UnixListener(socket, file.clone()), 0)
            }
        };
        Ok((self.add(thing), port))
    }

    fn accept(&mut self, handle: Handle) -> Result<Option<Handle>, String> {
        let accepted = match self.things.get(&handle.0) {
            Some(Thing::TcpListener(socket)) => later(socket.accept())?.map(|(stream, _)| {
                let _ = stream.set_nonblocking(true);
                let _ = stream.set_nodelay(true);
                Thing::Tcp(stream)
            }),
            Some(Thing::UnixListener(socket, _)) => later(socket.accept())?.map(|(stream, _)| {
                let _ = stream.set_nonblocking(true);
                Thing::Unix(stream)
            }),
            _ => return Err("Bad file descriptor".into()),
        };
        Ok(accepted.map(|thing| self.add(thing)))
    }

    fn receive(&mut self, handle: Handle, buffer: &mut [u8]) -> Result<Option<usize>, String> {
        match self.things.get_mut(&handle.0) {
            Some(Thing::Tcp(stream)) => later(stream.read(buffer)),
            Some(Thing::Unix(stream)) => later(stream.read(buffer)),
            _ => Err("Bad file descriptor".into()),
        }
    }

    fn send(&mut self, handle: Handle, bytes: &[u8]) -> Result<Option<usize>, String> {
        match self.things.get_mut(&handle.0) {
            Some(Thing::Tcp(stream)) => later(stream.write(bytes)),
            Some(Thing::Unix(stream)) => later(stream.write(bytes)),
            _ => Err("Bad file descriptor".into()),
        }
    }

    fn wait(&mut self, sockets: &[(Handle, bool)], timeout: Option<i64>) -> Vec<SocketEvent> {
        if timeout != Some(0) {
            self.flush();
        }
        let mut handles = Vec::with_capacity(sockets.len());
        let mut list = Vec::with_capacity(sockets.len() + 1);
        for (handle, write) in sockets {
            if let Some(fd) = self.things.get(&handle.0).and_then(Thing::fd) {
                let flags = if *write { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
                list.push(PollFd::from_borrowed_fd(fd, flags));
                handles.push(*handle);
            }
        }
        if let Some((listen, _)) = &self.bell {
            list.push(PollFd::from_borrowed_fd(listen.as_fd(), PollFlags::IN));
        }
        let timeout = timeout.map(|nanoseconds| Timespec {
            tv_sec: nanoseconds / 1_000_000_000,
            tv_nsec: nanoseconds % 1_000_000_000,
        });
        // An interrupted sleep ends early; the caller looks for signals anyway.
        if poll(&mut list, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        let events: Vec<SocketEvent> = handles
            .into_iter()
            .zip(&list)
            .filter_map(|(handle, entry)| {
                let got = entry.revents();
                let readable = got.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
                let writable = got.intersects(PollFlags::OUT);
                (readable || writable).then_some(SocketEvent { handle, readable, writable })
            })
            .collect();
        if let Some((listen, _)) = &mut self.bell {
            let _ = listen.read(&mut [0; 64]);
        }
        events
    }
}

//! The host's Linux as the other end: a tap device in a network namespace of the test's own.
//! Needs root; says so and passes otherwise.

mod common;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use common::{ETH, addr, pattern, sock};
use drupe_net_base::{Chain, Chunk, HeapPool, Instant, Random};
use drupe_net_stack::tcp::{Config, IoError, Ready};
use drupe_net_stack::*;

const VNET: usize = 10;

/// A tap with the virtio header, as a device of the stack.
struct Tap {
    file: OwnedFd,
    offload: bool,
    /// Frames lost per thousand, each way.
    loss: u64,
    random: Random,
    buffer: Vec<u8>,
    largest: [usize; 2],
}

impl Tap {
    /// Puts the calling thread into a new network namespace and makes a tap there with
    /// 10.0.0.1/24 and fd00::1/64 on the Linux side.
    fn new(offload: bool, loss: u64) -> Option<Tap> {
        // SAFETY: no pointers; only this thread changes its namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("skipped: needs the right to make a network namespace (root)");
            return None;
        }
        // SAFETY: a constant path; the descriptor is owned below.
        let fd = unsafe { libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR | libc::O_NONBLOCK) };
        if fd < 0 {
            eprintln!("skipped: /dev/net/tun cannot be opened");
            return None;
        }
        // SAFETY: just opened.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        let mut request = [0u8; 40];
        request[..4].copy_from_slice(b"tap0");
        let flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as i16;
        request[16..18].copy_from_slice(&flags.to_ne_bytes());
        // SAFETY: the request is as large as struct ifreq and initialised.
        let made = unsafe { libc::ioctl(fd, libc::TUNSETIFF, request.as_mut_ptr()) };
        assert_eq!(made, 0, "TUNSETIFF");
        let offloads: libc::c_uint = if offload { 0x01 | 0x02 | 0x04 } else { 0 };
        // SAFETY: an integer argument.
        let set = unsafe { libc::ioctl(fd, libc::TUNSETOFFLOAD, libc::c_ulong::from(offloads)) };
        assert_eq!(set, 0, "TUNSETOFFLOAD");
        for line in [
            "link set lo up",
            "addr add 10.0.0.1/24 dev tap0",
            "addr add fd00::1/64 dev tap0 nodad",
            "link set tap0 up",
        ] {
            let status = Command::new("ip").args(line.split(' ')).status();
            assert!(status.expect("ip runs").success(), "ip {line}");
        }
        Some(Tap {
            file,
            offload,
            loss,
            random: Random::new([1, 2]),
            buffer: vec![0; 70_000],
            largest: [0; 2],
        })
    }

    fn lose(&mut self) -> bool {
        self.random.below(1000) < self.loss
    }

    fn wait(&self, limit: Duration) {
        let mut poll = libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&mut poll, 1, limit.as_millis().min(50) as i32) };
    }
}

impl Devices for Tap {
    fn receive(&mut self) -> Option<(InterfaceId, Received)> {
        loop {
            // SAFETY: the buffer is valid for its length.
            let count = unsafe {
                libc::read(
                    self.file.as_raw_fd(),
                    self.buffer.as_mut_ptr().cast(),
                    self.buffer.len(),
                )
            };
            let count = usize::try_from(count).ok().filter(|count| *count > VNET)?;
            if self.lose() {
                continue;
            }
            let header = &self.buffer[..VNET];
            let meta = ReceivedMeta {
                checksum_valid: header[0] != 0,
                segment_size: u16::from_le_bytes([header[4], header[5]]),
            };
            self.largest[0] = self.largest[0].max(count - VNET);
            let data = Chain::from(Chunk::from_vec(self.buffer[VNET..count].to_vec()));
            return Some((ETH, Received { data, meta }));
        }
    }

    fn has_room(&mut self, _interface: InterfaceId) -> bool {
        true
    }

    fn transmit(&mut self, _interface: InterfaceId, frame: Frame) {
        if self.lose() {
            return;
        }
        let mut bytes = vec![0; VNET];
        if let Some(request) = frame.checksum {
            assert!(self.offload);
            bytes[0] = 1;
            bytes[6..8].copy_from_slice(&request.start.to_le_bytes());
            bytes[8..10].copy_from_slice(&request.offset.to_le_bytes());
        }
        if let Some(segmentation) = frame.segmentation {
            bytes[1] = if segmentation.ipv6 { 4 } else { 1 };
            bytes[2..4].copy_from_slice(&segmentation.header_length.to_le_bytes());
            bytes[4..6].copy_from_slice(&segmentation.size.to_le_bytes());
        }
        bytes.extend(frame.header.as_slice());
        for chunk in frame.payload.chunks() {
            bytes.extend(chunk.bytes());
        }
        self.largest[1] = self.largest[1].max(bytes.len() - VNET);
        // SAFETY: the vector is valid for its length.
        unsafe { libc::write(self.file.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    }
}

struct Guest {
    stack: Stack,
    shared: Arc<Shared>,
    tap: Tap,
    start: Clock,
}

impl Guest {
    fn new(offload: bool, loss: u64) -> Option<Guest> {
        let tap = Tap::new(offload, loss)?;
        let start = Clock::now();
        let pool = HeapPool::new(256 << 20);
        let shared = Shared::new(1, Limits::default(), pool, [5, 6]);
        shared.configure(|config| {
            let mut eth = Interface::new(ETH, "eth0", Medium::Ethernet, [2, 0, 0, 0, 0, 2], 1500);
            if offload {
                eth.offloads =
                    Offloads { checksum: true, segmentation_v4: true, segmentation_v6: true };
            }
            config.interfaces.push(eth);
            for (text, length) in [("10.0.0.2", 24), ("fd00::2", 64)] {
                let prefix = Prefix::new(addr(text), length);
                config.add_address(ETH, InterfaceAddress::fixed(prefix));
            }
        });
        let stack = Stack::new(shared.clone(), 0, Instant::from_millis(1));
        Some(Guest { stack, shared, tap, start })
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.start.elapsed().as_nanos() as u64 + 1_000_000)
    }

    fn poll(&mut self) -> Poll {
        let now = self.now();
        self.stack.poll(now, &mut self.tap)
    }

    fn run_until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Guest) -> Option<T>) -> T {
        let limit = Clock::now() + Duration::from_secs(60);
        loop {
            let poll = self.poll();
            if let Some(result) = done(self) {
                self.poll();
                return result;
            }
            assert!(Clock::now() < limit, "takes too long: {what}");
            if !poll.more && !self.stack.has_work() {
                let wait = poll.deadline.since(self.now());
                self.tap.wait(Duration::from_nanos(wait).min(Duration::from_millis(20)));
            }
        }
    }

    /// Sends `out` and reads to the end; returns what came.
    fn exchange(&mut self, id: TcpId, out: &[u8]) -> Vec<u8> {
        let (mut sent, mut shut, mut got) = (0, false, Vec::new());
        self.run_until("exchange", |guest| {
            let now = guest.now();
            while sent < out.len() {
                match guest.stack.tcp_send(id, &out[sent..], now) {
                    Ok(count) => sent += count,
                    Err(IoError::WouldBlock | IoError::NotConnected) => break,
                    Err(error) => panic!("send: {error:?}"),
                }
            }
            if sent == out.len() && !shut {
                shut = true;
                guest.stack.tcp_shutdown(id, false, true, now);
            }
            loop {
                match guest.stack.tcp_receive(id, 1 << 20, now) {
                    Ok(chain) if chain.is_empty() => return shut.then_some(()),
                    Ok(chain) => chain.chunks().for_each(|chunk| got.extend(chunk.bytes())),
                    Err(IoError::WouldBlock | IoError::NotConnected) => return None,
                    Err(error) => panic!("receive: {error:?}"),
                }
            }
        });
        let now = self.now();
        self.stack.tcp_close(id, false, now);
        self.poll();
        got
    }
}

/// The Linux side of an exchange.
fn exchange(mut stream: TcpStream, out: Vec<u8>) -> Vec<u8> {
    let mut writer = stream.try_clone().unwrap();
    let write = std::thread::spawn(move || {
        writer.write_all(&out).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    write.join().unwrap();
    got
}

fn same(got: &[u8], sent: &[u8]) {
    let wrong = got.iter().zip(sent).position(|(a, b)| a != b);
    assert_eq!((got.len(), wrong), (sent.len(), None));
}

fn both_ways(offload: bool, loss: u64, size: usize) {
    let Some(mut guest) = Guest::new(offload, loss) else { return };
    let (ours, theirs) = (pattern(size, 1), pattern(size, 2));
    for (here, there) in [("10.0.0.2:80", "10.0.0.1:8080"), ("[fd00::2]:80", "[fd00::1]:8080")] {
        // Linux connects.
        let binding = guest.shared.bind(BindRequest::new(Protocol::Tcp, sock(here))).unwrap();
        let listener = guest.shared.listen(binding, 16, Config::default(), 1).unwrap();
        let (to, data) = (sock(here), theirs.clone());
        let client = std::thread::spawn(move || exchange(TcpStream::connect(to).unwrap(), data));
        let id = guest.run_until("accept", |_| listener.accept()).id;
        let start = Clock::now();
        let got = guest.exchange(id, &ours);
        assert!(got == theirs, "what Linux sent");
        guest.run_until("client", |_| client.is_finished().then_some(()));
        same(&client.join().unwrap(), &ours);
        let rate = size as f64 * 16.0 / start.elapsed().as_secs_f64() / 1e6;
        // We connect.
        let server = TcpListener::bind(there).unwrap();
        let data = theirs.clone();
        let server = std::thread::spawn(move || exchange(server.accept().unwrap().0, data));
        let now = guest.now();
        let (id, _) =
            guest.stack.connect(&mut None, sock(there), Config::default(), 2, now).unwrap();
        let got = guest.exchange(id, &ours);
        assert!(got == theirs);
        guest.run_until("server", |_| server.is_finished().then_some(()));
        same(&server.join().unwrap(), &ours);
        let counters = guest.stack.tcp_counters();
        eprintln!(
            "{there}: {rate:.0} Mbit/s, largest in and out {:?}, sent again {}, timeouts {}",
            guest.tap.largest, counters.retransmitted, counters.timeouts
        );
    }
    assert_eq!(guest.stack.counters().bad_checksum, 0);
    if offload {
        assert!(guest.tap.largest.iter().all(|&size| size > 20_000), "segments are joined");
    }
}

#[test]
fn streams_with_offloads() {
    both_ways(true, 0, 20_000_000);
}

#[test]
fn streams_without_offloads() {
    both_ways(false, 0, 5_000_000);
}

#[test]
fn streams_with_loss() {
    both_ways(false, 20, 1_000_000);
    both_ways(true, 5, 1_000_000);
}

#[test]
fn datagrams_whole_and_in_fragments() {
    let Some(mut guest) = Guest::new(false, 0) else { return };
    for (here, there) in [("10.0.0.2:53", "10.0.0.1:5353"), ("[fd00::2]:53", "[fd00::1]:5353")] {
        let socket = guest.shared.datagram(DatagramKind::Udp, 3);
        let binding = guest.shared.bind(BindRequest::new(Protocol::Udp, sock(here))).unwrap();
        socket.attach(binding);
        for size in [1, 100, 1400, 3000, 20_000, 60_000] {
            let data = pattern(size, size);
            let linux = UdpSocket::bind(there).unwrap();
            linux.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            linux.send_to(&data, here).unwrap();
            let message = guest.run_until("datagram", |_| socket.receive(false).ok()).unwrap();
            assert!(message.data.to_vec() == data, "{size} octets in");
            assert_eq!(message.source, sock(there));
            let now = guest.now();
            let reply = message.data.clone();
            guest.stack.send_datagram(&socket, reply, Some(message.source), now).unwrap();
            guest.poll();
            let mut buffer = vec![0; 65_536];
            let (count, from) = linux.recv_from(&mut buffer).unwrap();
            assert_eq!(from, sock(here));
            assert!(buffer[..count] == data, "{size} octets out");
        }
    }
}

#[test]
fn refused_connections_and_ports() {
    let Some(mut guest) = Guest::new(false, 0) else { return };
    let now = guest.now();
    let (id, readiness) =
        guest.stack.connect(&mut None, sock("10.0.0.1:9"), Config::default(), 1, now).unwrap();
    guest.run_until("refused", |_| readiness.ready().has(Ready::ERROR).then_some(()));
    let now = guest.now();
    let failure = guest.stack.tcp_take_failure(id, now);
    assert_eq!(failure, Some(drupe_net_stack::tcp::Failure::Refused));

    let socket = guest.shared.datagram(DatagramKind::Udp, 3);
    guest.stack.connect_datagram(&socket, Some(sock("10.0.0.1:9")), now).unwrap();
    guest.stack.send_datagram(&socket, Chain::from(vec![1, 2, 3]), None, now).unwrap();
    let error = guest.run_until("port unreachable", |_| socket.take_error());
    assert_eq!(error, SocketError::Refused);

    let client = std::thread::spawn(|| TcpStream::connect("10.0.0.2:99"));
    guest.run_until("refused", |_| client.is_finished().then_some(()));
    let error = client.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn pings_both_ways() {
    let Some(mut guest) = Guest::new(false, 0) else { return };
    for to in ["10.0.0.2", "fd00::2"] {
        let ping = std::thread::spawn(move || {
            Command::new("ping").args(["-c", "3", "-i", "0.01", "-s", "4000", to]).output()
        });
        guest.run_until("ping", |_| ping.is_finished().then_some(()));
        match ping.join().unwrap() {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(_) => eprintln!("no ping on this machine"),
        }
    }
    for (to, request, reply) in [("10.0.0.1:0", 8, 0), ("[fd00::1]:0", 128, 129)] {
        let socket = guest.shared.datagram(DatagramKind::Ping, 3);
        let mut echo = vec![request, 0, 0, 0, 0, 0, 0, 1];
        echo.extend(pattern(3000, 1));
        let now = guest.now();
        let data = Chain::from(echo.clone());
        guest.stack.send_datagram(&socket, data, Some(sock(to)), now).unwrap();
        let message = guest.run_until("reply", |_| socket.receive(false).ok()).unwrap();
        let got = message.data.to_vec();
        assert_eq!(got[0], reply);
        assert!(got[8..] == echo[8..]);
    }
}

#[test]
fn many_short_connections() {
    let Some(mut guest) = Guest::new(true, 0) else { return };
    let here = sock("10.0.0.2:80");
    let binding = guest.shared.bind(BindRequest::new(Protocol::Tcp, here)).unwrap();
    let listener = guest.shared.listen(binding, 128, Config::default(), 1).unwrap();
    const COUNT: usize = 3000;
    let client = std::thread::spawn(move || {
        for _ in 0..COUNT {
            let mut stream = TcpStream::connect(here).unwrap();
            stream.write_all(b"GET /").unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert_eq!(answer.len(), 1000);
        }
    });
    let start = Clock::now();
    let mut open = Vec::new();
    let mut served = 0;
    guest.run_until("connections", |guest| {
        let now = guest.now();
        while let Some(accepted) = listener.accept() {
            open.push(accepted.id);
        }
        open.retain(|&id| match guest.stack.tcp_receive(id, 100, now) {
            Err(IoError::WouldBlock) => true,
            Ok(data) => {
                assert_eq!(data.to_vec(), b"GET /");
                guest.stack.tcp_send(id, &[7; 1000], now).unwrap();
                guest.stack.tcp_close(id, false, now);
                served += 1;
                false
            }
            Err(error) => panic!("{error:?}"),
        });
        guest.stack.flush(now, &mut guest.tap);
        client.is_finished().then_some(())
    });
    client.join().unwrap();
    assert_eq!(served, COUNT);
    let rate = COUNT as f64 / start.elapsed().as_secs_f64();
    let (sockets, embryos, time_waits) = guest.stack.population();
    eprintln!("{rate:.0} connections/s; left {sockets} {embryos} {time_waits}");
    assert!(sockets <= 1 && embryos == 0);
}

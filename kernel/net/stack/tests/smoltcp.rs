//! smoltcp's TCP as the other end, over a link with losses in virtual time.

mod common;

use std::collections::VecDeque;

use common::{ETH, MS, addr, pattern, sock};
use drupe_net_base::{Chain, Chunk, HeapPool, Instant, Random};
use drupe_net_stack::tcp::{Config, IoError};
use drupe_net_stack::*;
use smoltcp::iface::{self, SocketSet};
use smoltcp::phy::{self, DeviceCapabilities, Medium as PhyMedium};
use smoltcp::socket::tcp as other;
use smoltcp::time::Instant as OtherInstant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr};

/// Frames on their way, with the time of arrival, and what happens to them.
struct Wire {
    frames: VecDeque<(Instant, Vec<u8>)>,
    loss: u64,
    random: Random,
}

impl Wire {
    fn new(loss: u64, seed: u64) -> Self {
        Wire { frames: VecDeque::new(), loss, random: Random::new([seed, 4]) }
    }

    fn put(&mut self, now: Instant, bytes: Vec<u8>) {
        if self.random.below(1000) >= self.loss {
            self.frames.push_back((now + 2 * MS, bytes));
        }
    }

    fn take(&mut self, now: Instant) -> Option<Vec<u8>> {
        let due = self.frames.front().is_some_and(|(at, _)| *at <= now);
        due.then(|| self.frames.pop_front()).flatten().map(|(_, bytes)| bytes)
    }
}

struct Ours<'a> {
    now: Instant,
    incoming: &'a mut Wire,
    outgoing: &'a mut Wire,
}

impl Devices for Ours<'_> {
    fn receive(&mut self) -> Option<(InterfaceId, Received)> {
        let bytes = self.incoming.take(self.now)?;
        let data = Chain::from(Chunk::from_vec(bytes));
        Some((ETH, Received { data, meta: ReceivedMeta::default() }))
    }

    fn has_room(&mut self, _interface: InterfaceId) -> bool {
        true
    }

    fn transmit(&mut self, _interface: InterfaceId, frame: Frame) {
        let mut bytes = frame.header.as_slice().to_vec();
        bytes.extend(frame.payload.to_vec());
        self.outgoing.put(self.now, bytes);
    }
}

struct Theirs<'a> {
    now: Instant,
    incoming: &'a mut Wire,
    outgoing: &'a mut Wire,
}

struct Rx(Vec<u8>);
struct Tx<'a>(&'a mut Wire, Instant);

impl phy::RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut bytes = vec![0; length];
        let result = f(&mut bytes);
        self.0.put(self.1, bytes);
        result
    }
}

impl phy::Device for Theirs<'_> {
    type RxToken<'a>
        = Rx
    where
        Self: 'a;
    type TxToken<'a>
        = Tx<'a>
    where
        Self: 'a;

    fn receive(&mut self, _time: OtherInstant) -> Option<(Rx, Tx<'_>)> {
        let bytes = self.incoming.take(self.now)?;
        Some((Rx(bytes), Tx(self.outgoing, self.now)))
    }

    fn transmit(&mut self, _time: OtherInstant) -> Option<Tx<'_>> {
        Some(Tx(self.outgoing, self.now))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = PhyMedium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

/// Exchanges streams both ways; `we_connect` says who opens.
fn exchange(we_connect: bool, loss: u64, seed: u64) {
    let shared = Shared::new(1, Limits::default(), HeapPool::new(64 << 20), [seed, 9]);
    shared.configure(|config| {
        let eth = Interface::new(ETH, "eth0", Medium::Ethernet, [2, 0, 0, 0, 0, 1], 1500);
        config.interfaces.push(eth);
        let prefix = Prefix::new(addr("10.0.0.1"), 24);
        config.add_address(ETH, InterfaceAddress::fixed(prefix));
    });
    let mut now = Instant::from_millis(1000);
    let mut stack = Stack::new(shared.clone(), 0, now);
    let (mut to_us, mut to_them) = (Wire::new(loss, seed), Wire::new(loss, seed + 1));

    let their_time = |now: Instant| OtherInstant::from_micros((now.nanos() / 1000) as i64);
    let mac = HardwareAddress::Ethernet(EthernetAddress([2, 0, 0, 0, 0, 2]));
    let mut config = iface::Config::new(mac);
    config.random_seed = seed;
    let mut device = Theirs { now, incoming: &mut to_them, outgoing: &mut to_us };
    let mut interface = iface::Interface::new(config, &mut device, their_time(now));
    interface.update_ip_addrs(|list| list.push(IpCidr::new(addr("10.0.0.2").into(), 24)).unwrap());
    let buffer = || other::SocketBuffer::new(vec![0; 65_535]);
    let mut sockets = SocketSet::new(vec![]);
    let theirs = sockets.add(other::Socket::new(buffer(), buffer()));

    let listener = {
        let binding = shared.bind(BindRequest::new(Protocol::Tcp, sock("10.0.0.1:80"))).unwrap();
        shared.listen(binding, 4, Config::default(), 1).unwrap()
    };
    let mut ours = None;
    if we_connect {
        sockets.get_mut::<other::Socket>(theirs).listen(80).unwrap();
        let to = sock("10.0.0.2:80");
        ours = Some(stack.connect(&mut None, to, Config::default(), 2, now).unwrap().0);
    } else {
        let socket = sockets.get_mut::<other::Socket>(theirs);
        socket.connect(interface.context(), (addr("10.0.0.1"), 80), 50_000).unwrap();
    }
    let (here, there) = (pattern(400_000, 1), pattern(300_000, 2));
    let (mut sent, mut got, mut shut, mut ended) = (0, Vec::new(), false, false);
    let (mut their_sent, mut their_got, mut their_end) = (0, Vec::new(), false);
    for _ in 0..2_000_000 {
        let mut device = Ours { now, incoming: &mut to_us, outgoing: &mut to_them };
        stack.poll(now, &mut device);
        if let Some(accepted) = listener.accept() {
            ours = Some(accepted.id);
        }
        if let Some(id) = ours {
            while sent < here.len() {
                match stack.tcp_send(id, &here[sent..], now) {
                    Ok(count) => sent += count,
                    Err(_) => break,
                }
            }
            if sent == here.len() && !shut {
                shut = true;
                stack.tcp_shutdown(id, false, true, now);
            }
            loop {
                match stack.tcp_receive(id, 65_536, now) {
                    Ok(chain) if chain.is_empty() => {
                        ended = true;
                        break;
                    }
                    Ok(chain) => got.extend(chain.to_vec()),
                    Err(IoError::WouldBlock | IoError::NotConnected) => break,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        let mut device = Ours { now, incoming: &mut to_us, outgoing: &mut to_them };
        let poll = stack.poll(now, &mut device);

        let mut device = Theirs { now, incoming: &mut to_them, outgoing: &mut to_us };
        interface.poll(their_time(now), &mut device, &mut sockets);
        let socket = sockets.get_mut::<other::Socket>(theirs);
        if socket.can_send() && their_sent < there.len() {
            their_sent += socket.send_slice(&there[their_sent..]).unwrap();
            if their_sent == there.len() {
                socket.close();
            }
        }
        while socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), their_got.extend_from_slice(bytes))).unwrap();
        }
        their_end |= shut && their_got.len() == here.len();
        let mut device = Theirs { now, incoming: &mut to_them, outgoing: &mut to_us };
        interface.poll(their_time(now), &mut device, &mut sockets);
        if ended && their_end {
            break;
        }
        let frames = [&to_us, &to_them].map(|wire| wire.frames.front().map(|(at, _)| *at));
        let wake = frames.into_iter().flatten().min().unwrap_or(Instant::NEVER);
        let delay = interface.poll_delay(their_time(now), &sockets);
        let delay =
            delay.map_or(Instant::NEVER, |delay| now + (delay.total_micros() * 1000).max(1000));
        let next = wake.min(poll.deadline).min(delay);
        assert!(next.is_armed(), "stuck: {sent} {} {their_sent} {}", got.len(), their_got.len());
        now = now.max(next);
    }
    assert!(got == there && their_got == here, "{} {}", got.len(), their_got.len());
}

#[test]
fn without_losses() {
    exchange(true, 0, 1);
    exchange(false, 0, 2);
}

#[test]
fn with_losses() {
    for seed in 0..6 {
        exchange(seed % 2 == 0, 20, seed);
    }
}

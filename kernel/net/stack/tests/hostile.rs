//! Hostile input: raw frames into stacks with live connections, and mutated copies of their own
//! traffic. Nothing panics, nothing leaks, what is dropped is counted.

mod common;

use std::cell::RefCell;
use std::rc::Rc;

use common::*;
use drupe_net_base::{Chain, SECOND};
use drupe_net_stack::*;
use proptest::prelude::*;

type Corpus = Rc<RefCell<Vec<(usize, Vec<u8>)>>>;

/// A world in which everything is going on.
struct Busy {
    world: World,
    client: TcpId,
    server: TcpId,
    listener: std::sync::Arc<Listener>,
    datagram: std::sync::Arc<Datagram>,
    /// Frames seen on the wire: what mutations start from.
    corpus: Corpus,
}

fn busy(seed: u64, ipv6: bool) -> Busy {
    let limits = Limits { reassembly: 200_000, handshakes: 50, ..Limits::default() };
    let mut world =
        World::with(seed, PERFECT, 1 + (seed % 2) as usize, limits, Offloads::default());
    for host in &world.hosts {
        host.shared.configure(|config| {
            let device = config.interface_mut(ETH).unwrap();
            device.autoconf = Autoconf { ipv6: true, dhcp4: true };
        });
    }
    let corpus = Rc::new(RefCell::new(Vec::new()));
    let sink = corpus.clone();
    world.filter = Box::new(move |from, bytes| {
        let mut seen = sink.borrow_mut();
        if seen.len() < 300 {
            seen.push((1 - from, bytes.to_vec()));
        }
        true
    });
    let to = if ipv6 { "[fd00::2]:80" } else { "10.0.0.2:80" };
    let (client, server, listener) = world.pair(to);
    let shared = &world.hosts[1].shared;
    let datagram = shared.datagram(DatagramKind::Udp, 3);
    let local = if ipv6 { "[fd00::2]:53" } else { "10.0.0.2:53" };
    datagram.attach(shared.bind(BindRequest::new(Protocol::Udp, sock(local))).unwrap());
    let sender = world.hosts[0].shared.datagram(DatagramKind::Udp, 4);
    let now = world.now;
    for size in [10, 4000] {
        let data = Chain::from(pattern(size, 1));
        world.hosts[0].stacks[0].send_datagram(&sender, data, Some(sock(local)), now).unwrap();
    }
    let ping = world.hosts[0].shared.datagram(DatagramKind::Ping, 4);
    let echo =
        Chain::from([&[if ipv6 { 128 } else { 8 }, 0, 0, 0, 0, 0, 0, 1][..], &[5; 100]].concat());
    world.hosts[0].stacks[0].send_datagram(&ping, echo, Some(sock(local)), now).unwrap();
    world.send(0, client, &pattern(20_000, 1)).unwrap();
    world.send(1, server, &pattern(20_000, 2)).unwrap();
    world.run_for(3 * SECOND);
    sender.close();
    ping.close();
    Busy { world, client, server, listener, datagram, corpus }
}

impl Busy {
    fn finish(mut self) {
        let now = self.world.now;
        while let Some(accepted) = self.listener.accept() {
            self.world.stack(1, accepted.id).tcp_close(accepted.id, true, now);
        }
        self.world.hosts[1].stacks[0].close_listener(&self.listener, now);
        for (host, id) in [(0, self.client), (1, self.server)] {
            self.world.close(host, id, true);
        }
        self.datagram.close();
        self.world.link.loss = 1000;
        self.world.settle();
        self.world.clear_wire();
        // Whatever was learned may expire, whatever waits may time out.
        for host in &self.world.hosts {
            host.shared.configure(|config| {
                config.interface_mut(ETH).unwrap().autoconf = Autoconf::default();
            });
        }
        self.world.assert_clean();
    }
}

/// The checksums made right again, so that mutations reach the upper layers.
fn repair(frame: &mut [u8]) {
    let ipv4 = frame.len() >= 34 && frame[12..14] == [8, 0];
    let ipv6 = frame.len() >= 54 && frame[12..14] == [0x86, 0xdd];
    if ipv4 {
        let header = usize::from(frame[14] & 15) * 4;
        if header < 20 || frame.len() < 14 + header {
            return;
        }
        frame[24..26].fill(0);
        let mut sum = Sum::default();
        sum.add(&frame[14..14 + header]);
        let value = sum.finish().to_be_bytes();
        frame[24..26].copy_from_slice(&value);
    }
    if !ipv4 && !ipv6 {
        return;
    }
    let (start, protocol) = match ipv4 {
        true => (14 + usize::from(frame[14] & 15) * 4, frame[23]),
        false => (54, frame[20]),
    };
    let offset = match protocol {
        1 | 58 => 2,
        6 => 16,
        17 => 6,
        _ => return,
    };
    if frame.len() < start + offset + 2 {
        return;
    }
    frame[start + offset..start + offset + 2].fill(0);
    let length = frame.len() - start;
    let mut sum = match (protocol, ipv4) {
        (1, _) => Sum::default(),
        (_, true) => {
            let source: [u8; 4] = frame[26..30].try_into().unwrap();
            let destination: [u8; 4] = frame[30..34].try_into().unwrap();
            Sum::pseudo_header(&source.into(), &destination.into(), protocol, length)
        }
        (_, false) => {
            let source: [u8; 16] = frame[22..38].try_into().unwrap();
            let destination: [u8; 16] = frame[38..54].try_into().unwrap();
            Sum::pseudo_header(&source.into(), &destination.into(), protocol, length)
        }
    };
    sum.add(&frame[start..]);
    let value = sum.finish().to_be_bytes();
    frame[start + offset..start + offset + 2].copy_from_slice(&value);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn mutated_traffic(
        seed in any::<u64>(),
        ipv6 in any::<bool>(),
        mutations in prop::collection::vec(
            (any::<u16>(), prop::collection::vec((0usize..120, any::<u8>()), 0..4), 0u8..12, any::<u16>()),
            1..150,
        ),
    ) {
        let mut busy = busy(seed, ipv6);
        let corpus = std::mem::take(&mut *busy.corpus.borrow_mut());
        for (pick, bytes, shape, length) in mutations {
            let (to, mut frame) = corpus[usize::from(pick) % corpus.len()].clone();
            match shape {
                0 => frame.truncate(usize::from(length) % (frame.len() + 1)),
                1 => frame.extend(pattern(usize::from(length) % 2000, 1)),
                _ => {}
            }
            for (at, value) in bytes {
                if let Some(byte) = frame.get_mut(at) {
                    *byte = value;
                }
            }
            if shape != 2 {
                repair(&mut frame);
            }
            busy.world.deliver(to, frame);
            busy.world.run_for(u64::from(length % 7) * MS);
            if shape == 3 {
                let (client, server) = (busy.client, busy.server);
                let _ = busy.world.send(0, client, &pattern(3000, 1));
                let _ = busy.world.receive(1, server);
            }
        }
        busy.finish();
    }

    #[test]
    fn random_frames(
        seed in any::<u64>(),
        frames in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..200), 0usize..12), 1..100,
        ),
    ) {
        let mut busy = busy(seed, false);
        for (mut frame, kind) in frames {
            // Mostly addressed to the host, mostly of a known protocol.
            let (protocol, version): ([u8; 2], u8) = match kind {
                0..4 => ([8, 0], 0x45),
                4..8 => ([0x86, 0xdd], 0x60),
                8 => ([8, 6], 0),
                _ => ([0, 0], 0),
            };
            if kind < 9 && frame.len() > 14 {
                frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
                frame[6] &= !1;
                frame[12..14].copy_from_slice(&protocol);
                if version != 0 {
                    frame[14] = version;
                }
                if version == 0x45 && frame.len() > 34 {
                    let total = (frame.len() - 14) as u16;
                    frame[16..18].copy_from_slice(&total.to_be_bytes());
                    frame[30..34].copy_from_slice(&[10, 0, 0, 1]);
                    frame[23] = [1, 2, 6, 17][kind % 4];
                }
                if version == 0x60 && frame.len() > 54 {
                    let payload = (frame.len() - 54) as u16;
                    frame[18..20].copy_from_slice(&payload.to_be_bytes());
                    frame[20] = [0, 6, 17, 44, 58, 60][kind % 6];
                    frame[38..54].copy_from_slice(&[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
                }
                repair(&mut frame);
            }
            busy.world.deliver(0, frame);
            busy.world.settle();
        }
        let seen: u64 = busy.world.hosts[0].stacks.iter().map(|s| s.counters().frames_in).sum();
        prop_assert!(seen > 0);
        busy.finish();
    }
}

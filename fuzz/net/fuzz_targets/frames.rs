//! Any bytes as a series of frames into a stack that has a connection, a listener and sockets:
//! each frame starts with its length and the time that passes before it. Devices vouch for
//! transport checksums, so that the fuzzer need not guess them.
#![no_main]

use std::collections::VecDeque;

use drupe_net_base::{Chain, Chunk, HeapPool, Instant};
use drupe_net_stack::tcp::Config;
use drupe_net_stack::*;
use libfuzzer_sys::fuzz_target;

const ETH: InterfaceId = InterfaceId(2);

#[derive(Default)]
struct Port {
    receive: VecDeque<Vec<u8>>,
    sent: u64,
}

impl Devices for Port {
    fn receive(&mut self) -> Option<(InterfaceId, Received)> {
        let bytes = self.receive.pop_front()?;
        let data = Chain::from(Chunk::from_vec(bytes));
        let meta = ReceivedMeta { checksum_valid: true, segment_size: 0 };
        Some((ETH, Received { data, meta }))
    }

    fn has_room(&mut self, _interface: InterfaceId) -> bool {
        true
    }

    fn transmit(&mut self, _interface: InterfaceId, frame: Frame) {
        self.sent += frame.len() as u64;
    }
}

fuzz_target!(|input: &[u8]| {
    let pool = HeapPool::new(16 << 20);
    let shared = Shared::new(1, Limits::default(), pool.clone(), [1, 2]);
    shared.configure(|config| {
        let mut eth = Interface::new(ETH, "eth0", Medium::Ethernet, [2, 0, 0, 0, 0, 1], 1500);
        eth.autoconf = Autoconf { ipv6: true, dhcp4: true };
        config.interfaces.push(eth);
        for (address, length) in [("10.0.0.1", 24), ("fd00::1", 64)] {
            let prefix = Prefix::new(address.parse().unwrap(), length);
            config.add_address(ETH, InterfaceAddress::fixed(prefix));
        }
    });
    for peer in ["10.0.0.2", "fd00::2"] {
        shared.neighbours().set_permanent(ETH, peer.parse().unwrap(), [2, 0, 0, 0, 0, 2]);
    }
    let mut now = Instant::from_millis(1000);
    let mut stack = Stack::new(shared.clone(), 0, now);
    let mut port = Port::default();
    let local = "0.0.0.0:80".parse().unwrap();
    let binding = shared.bind(BindRequest::new(Protocol::Tcp, local)).unwrap();
    let listener = shared.listen(binding, 4, Config::default(), 1).unwrap();
    let datagram = shared.datagram(DatagramKind::Udp, 2);
    let local = "[::]:53".parse().unwrap();
    datagram.attach(shared.bind(BindRequest::new(Protocol::Udp, local)).unwrap());
    let to = "10.0.0.2:80".parse().unwrap();
    let client = stack.connect(&mut None, to, Config::default(), 3, now).unwrap().0;
    stack.poll(now, &mut port);
    let mut rest = input;
    while let [high, low, wait, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len()).min(1600);
        now += u64::from(*wait) * 1_000_000;
        port.receive.push_back(tail[..length].to_vec());
        rest = &tail[length..];
        stack.poll(now, &mut port);
        while let Some(accepted) = listener.accept() {
            let _ = stack.tcp_send(accepted.id, &[7; 3000], now);
            let _ = stack.tcp_receive(accepted.id, 100, now);
            stack.tcp_close(accepted.id, *wait & 1 == 1, now);
        }
        let _ = datagram.receive(false);
        let _ = stack.tcp_receive(client, 1000, now);
        let _ = stack.tcp_send(client, &[1; 100], now);
    }
    stack.tcp_close(client, true, now);
    stack.close_listener(&listener, now);
    while datagram.receive(false).is_ok() {}
    for _ in 0..2000 {
        now += 1_000_000_000;
        stack.poll(now, &mut port);
    }
    assert_eq!(stack.population(), (0, 0, 0));
    assert_eq!(pool.usage().used, 0);
});

//! Two stacks in one process: `cargo bench -p drupe-net-stack --bench pair`. Figures are CPU time
//! of both ends together; compare only within one run.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use drupe_net_base::{Chain, HeapPool, Instant};
use drupe_net_stack::tcp::Config;
use drupe_net_stack::*;

const ETH: InterfaceId = InterfaceId(2);

/// The queues between two stacks; a frame becomes one chain, headers copied.
struct Port {
    pool: Arc<HeapPool>,
    receive: VecDeque<Received>,
    sent: VecDeque<Received>,
    frames: u64,
}

impl Devices for Port {
    fn receive(&mut self) -> Option<(InterfaceId, Received)> {
        self.receive.pop_front().map(|received| (ETH, received))
    }

    fn has_room(&mut self, _interface: InterfaceId) -> bool {
        true
    }

    fn transmit(&mut self, _interface: InterfaceId, frame: Frame) {
        self.frames += 1;
        let size = frame.segmentation.map_or(0, |segmentation| segmentation.size);
        let meta = ReceivedMeta { checksum_valid: frame.checksum.is_some(), segment_size: size };
        if let Some(data) = frame.into_chain(&*self.pool) {
            self.sent.push_back(Received { data, meta });
        }
    }
}

struct End {
    stack: Stack,
    shared: Arc<Shared>,
    port: Port,
}

fn end(n: u8, offload: bool) -> End {
    let pool = HeapPool::new(1 << 30);
    let limits = Limits { ephemeral: (1024, 65535), ..Limits::default() };
    let shared = Shared::new(1, limits, pool.clone(), [n.into(), 1]);
    shared.configure(|config| {
        let mut eth = Interface::new(ETH, "eth0", Medium::Ethernet, [2, 0, 0, 0, 0, n], 1500);
        eth.offloads =
            Offloads { checksum: offload, segmentation_v4: offload, segmentation_v6: offload };
        config.interfaces.push(eth);
        let address = format!("10.0.0.{n}").parse().unwrap();
        config.add_address(ETH, InterfaceAddress::fixed(Prefix::new(address, 24)));
    });
    let stack = Stack::new(shared.clone(), 0, Instant::from_millis(1));
    let port = Port { pool, receive: VecDeque::new(), sent: VecDeque::new(), frames: 0 };
    End { stack, shared, port }
}

struct Pair {
    ends: [End; 2],
    clock: Cell<u64>,
}

/// CPU time of this thread in nanoseconds: other load on the machine does not count.
fn cpu_time() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|field| field.parse().ok()).unwrap_or(0)
}

impl Pair {
    fn new(offload: bool) -> Self {
        Pair { ends: [end(1, offload), end(2, offload)], clock: Cell::new(1_000_000) }
    }

    /// A clock that moves by half a microsecond whenever it is read.
    fn now(&self) -> Instant {
        self.clock.set(self.clock.get() + 500);
        Instant::from_nanos(self.clock.get())
    }

    /// Polls one end and carries its frames to the other.
    fn poll(&mut self, side: usize) -> Poll {
        let now = self.now();
        let [a, b] = &mut self.ends;
        let (here, there) = if side == 0 { (a, b) } else { (b, a) };
        let poll = here.stack.poll(now, &mut here.port);
        there.port.receive.append(&mut here.port.sent);
        poll
    }

    fn connect(&mut self, listener: &Listener, count: usize) -> Vec<(TcpId, TcpId)> {
        let to = listener.local();
        let mut clients = Vec::new();
        let mut servers = Vec::new();
        while servers.len() < count {
            let batch = (count - clients.len()).min(64);
            for _ in 0..batch {
                let now = self.now();
                let (id, _) = self.ends[0]
                    .stack
                    .connect(&mut None, to, Config { no_delay: true, ..Config::default() }, 0, now)
                    .unwrap();
                clients.push(id);
            }
            self.poll(0);
            self.poll(1);
            while let Some(accepted) = listener.accept() {
                servers.push(accepted);
            }
        }
        clients
            .iter()
            .map(|&client| {
                let local = self.ends[0].stack.tcp_ends(client).unwrap().0;
                let at = servers.iter().position(|server| server.remote == local).unwrap();
                (client, servers.swap_remove(at).id)
            })
            .collect()
    }
}

fn listen(pair: &Pair, port: u16) -> Arc<Listener> {
    let local = format!("10.0.0.2:{port}").parse().unwrap();
    let shared = &pair.ends[1].shared;
    let binding = shared.bind(BindRequest::new(Protocol::Tcp, local)).unwrap();
    shared.listen(binding, 4096, Config { no_delay: true, ..Config::default() }, 0).unwrap()
}

/// Each connection sends a request and gets an answer, all of a group at once.
fn transactions(count: usize, group: usize, rounds: usize) {
    let mut pair = Pair::new(true);
    let listener = listen(&pair, 80);
    let flows = pair.connect(&listener, count);
    let frames = pair.ends[0].port.frames + pair.ends[1].port.frames;
    let data = [7u8; 64];
    let mut done = 0;
    // The machine may be shared: the best of several batches is closest to the code's own cost.
    // The clock moves with the scheduler's ticks, so batches take a tenth of a second or more.
    let mut best = f64::MAX;
    let batch = (rounds / 6).max(1);
    let mut start = (cpu_time(), 0);
    for round in 0..rounds {
        if round % batch == 0 && done > start.1 {
            let each = (cpu_time() - start.0) as f64 / (done - start.1) as f64;
            best = best.min(each);
            start = (cpu_time(), done);
        }
        for step in 0..group {
            let (client, _) = flows[(round * group + step * 7919) % count];
            let now = pair.now();
            pair.ends[0].stack.tcp_send(client, &data, now).unwrap();
        }
        pair.poll(0);
        pair.poll(1);
        for step in 0..group {
            let (_, server) = flows[(round * group + step * 7919) % count];
            let now = pair.now();
            let stack = &mut pair.ends[1].stack;
            let mut got = 0;
            let _ = stack.tcp_receive_with(
                server,
                &mut |bytes| {
                    got += bytes.len();
                    bytes.len()
                },
                now,
            );
            if got > 0 {
                stack.tcp_send(server, &data, now).unwrap();
            }
        }
        pair.poll(1);
        pair.poll(0);
        for step in 0..group {
            let (client, _) = flows[(round * group + step * 7919) % count];
            let now = pair.now();
            let _ = pair.ends[0].stack.tcp_receive_with(client, &mut |bytes| bytes.len(), now);
            done += 1;
        }
    }
    let each = best;
    let frames = pair.ends[0].port.frames + pair.ends[1].port.frames - frames;
    println!(
        "{count:6} connections, {group:3} at once: {each:6.0} ns per request and answer, \
         {:5.0} ns per segment in and out, {:.2} frames each",
        each / 2.0,
        frames as f64 / done as f64
    );
}

fn bulk(offload: bool) {
    let mut pair = Pair::new(offload);
    let listener = listen(&pair, 80);
    let (client, server) = pair.connect(&listener, 1)[0];
    let block = vec![7u8; 65_536];
    let total = if offload { 8u64 << 30 } else { 1u64 << 30 };
    let mut got = 0u64;
    let start = cpu_time();
    let mut sink = 0u64;
    while got < total {
        let now = pair.now();
        while let Ok(room) = pair.ends[0].stack.tcp_send_room(client, now) {
            if room < block.len() {
                break;
            }
            // One copy, outside of the stack, as a system call would make it.
            let mut data = Chain::new();
            let mut chunk = pair.ends[0].shared.pool().allocate(block.len()).unwrap();
            chunk.append(&block);
            data.push(chunk);
            pair.ends[0].stack.tcp_send_chain(client, &mut data, now).unwrap();
        }
        pair.poll(0);
        pair.poll(1);
        let now = pair.now();
        while let Ok(data) = pair.ends[1].stack.tcp_receive(server, 1 << 20, now) {
            if data.is_empty() {
                break;
            }
            got += data.len() as u64;
            sink += data.chunks().map(|chunk| u64::from(chunk.bytes()[0])).sum::<u64>();
        }
        pair.poll(1);
    }
    let seconds = (cpu_time() - start) as f64 / 1e9;
    println!(
        "bulk, {}: {:.1} Gbit/s, {} frames out, {} back{}",
        if offload { "64 KiB segments" } else { "1448-octet segments with checksums" },
        got as f64 * 8.0 / seconds / 1e9,
        pair.ends[0].port.frames,
        pair.ends[1].port.frames,
        if sink == 1 { "!" } else { "" },
    );
}

fn connections() {
    let mut pair = Pair::new(true);
    let listener = listen(&pair, 80);
    let start = cpu_time();
    const COUNT: usize = 20_000;
    for _ in 0..COUNT / 50 {
        for (client, server) in pair.connect(&listener, 50) {
            let now = pair.now();
            pair.ends[0].stack.tcp_close(client, false, now);
            pair.ends[1].stack.tcp_close(server, false, now);
        }
        for _ in 0..3 {
            pair.poll(0);
            pair.poll(1);
        }
    }
    let each = (cpu_time() - start) as f64 / COUNT as f64;
    println!("connect and close: {each:.0} ns for both ends");
}

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let run = |name: &str| wanted.is_empty() || wanted.iter().any(|arg| arg == name);
    if run("transactions") {
        for (count, group) in
            [(1, 1), (10, 1), (10, 10), (1000, 1), (1000, 32), (10_000, 1), (10_000, 32)]
        {
            transactions(count, group, 600_000 / group);
        }
    }
    if run("bulk") {
        bulk(true);
        bulk(false);
    }
    if run("connections") {
        connections();
    }
}

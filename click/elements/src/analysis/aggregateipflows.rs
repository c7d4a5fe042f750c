//! AggregateIPFlows: numbers TCP and UDP flows and tells their directions apart.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::Packet;
use click_runtime::anno;
use click_runtime::args::Time;
use hashbrown::HashMap;

use crate::common;
use crate::nat::FlowId;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "AggregateIPFlows",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<AggregateIPFlows>::default(),
    documentation: Documentation {
        summary: "Numbers TCP and UDP flows (aggregate annotation) and paints their directions 0 and 1.",
        arguments: &[
            ("TCP_TIMEOUT", "when an idle TCP flow ends, default 24h"),
            ("TCP_DONE_TIMEOUT", "when a closed TCP flow ends, default 30s"),
            ("UDP_TIMEOUT", "when an idle UDP flow ends, default 1m"),
            ("FRAGMENT_TIMEOUT", "how long a fragment waits for the first one, default 30s"),
            ("REAP", "how often ended flows are removed, default 20m"),
            ("ICMP", "whether ICMP errors belong to the flow they are about, painted 2 and 3"),
            ("FRAGMENTS", "whether fragments wait for the first one, default true where packets are pushed"),
        ],
        handlers: &[("clear", "forgets all flows"), ("size", "number of flows")],
    },
};

const SECOND: i64 = 1_000_000_000;

/// Fragments that may wait at a time.
const MOST_WAITING: usize = 1 << 14;

struct Flow {
    aggregate: u32,
    /// Time of the last packet.
    last: i64,
    /// The first packet had the identity that is in the table, not the opposite one.
    straight: bool,
    /// The end was seen, in each direction.
    done: [bool; 2],
}

/// A packet by which fragments know each other: addresses, protocol, identifier.
type Datagram = ([u8; 4], [u8; 4], u8, u16);

struct AggregateIPFlows {
    tcp: i64,
    tcp_done: i64,
    udp: i64,
    fragment: i64,
    reap: i64,
    icmp: bool,
    fragments: Option<bool>,
    flows: HashMap<(u8, FlowId), Flow>,
    next: u32,
    /// Ports of datagrams whose first fragment was seen, and when.
    ports: HashMap<Datagram, (u16, u16, i64)>,
    /// Packets between two addresses that wait, in order.
    waiting: HashMap<([u8; 4], [u8; 4]), VecDeque<Packet>>,
    held: usize,
    next_reap: i64,
}

impl Default for AggregateIPFlows {
    fn default() -> Self {
        Self {
            tcp: 86400 * SECOND,
            tcp_done: 30 * SECOND,
            udp: 60 * SECOND,
            fragment: 30 * SECOND,
            reap: 1200 * SECOND,
            icmp: false,
            fragments: None,
            flows: HashMap::new(),
            next: 1,
            ports: HashMap::new(),
            waiting: HashMap::new(),
            held: 0,
            next_reap: i64::MIN,
        }
    }
}

/// What is to become of a packet.
enum Fate {
    /// It has its number.
    Numbered,
    /// It belongs to no flow.
    Other,
    /// Its ports are not known yet.
    Unknown,
}

/// The identity of a flow that is the same for both directions, and whether it is the
/// packet's own.
fn canonical(id: FlowId) -> (FlowId, bool) {
    let straight = (id.source, id.sport) <= (id.destination, id.dport);
    (if straight { id } else { id.reverse() }, straight)
}

fn datagram(ip: &[u8]) -> Datagram {
    (wire::ip_at(ip, 12), wire::ip_at(ip, 16), wire::protocol(ip), wire::u16_at(ip, 4))
}

fn pair(ip: &[u8]) -> ([u8; 4], [u8; 4]) {
    let (source, destination) = (wire::ip_at(ip, 12), wire::ip_at(ip, 16));
    (source.min(destination), source.max(destination))
}

fn identity(ip: &[u8], (sport, dport): (u16, u16)) -> FlowId {
    FlowId { source: wire::ip_at(ip, 12), sport, destination: wire::ip_at(ip, 16), dport }
}

/// Ports at the beginning of a TCP or UDP header.
fn ports(transport: &[u8]) -> Option<(u16, u16)> {
    (transport.len() >= 4).then(|| (wire::u16_at(transport, 0), wire::u16_at(transport, 2)))
}

impl AggregateIPFlows {
    fn timeout(&self, protocol: u8, flow: &Flow) -> i64 {
        match protocol {
            wire::TCP if flow.done == [true; 2] => self.tcp_done,
            wire::TCP => self.tcp,
            _ => self.udp,
        }
    }

    /// Gives a packet the number of its flow.
    fn number(&mut self, packet: &mut Packet, protocol: u8, id: FlowId, now: i64) {
        let (key, straight) = canonical(id);
        let known = self.flows.get(&(protocol, key));
        if known.is_none_or(|flow| flow.last + self.timeout(protocol, flow) < now) {
            let flow = Flow { aggregate: self.next, last: now, straight, done: [false; 2] };
            self.flows.insert((protocol, key), flow);
            self.next = self.next.checked_add(1).unwrap_or(1);
        }
        let Some(flow) = self.flows.get_mut(&(protocol, key)) else { return };
        let reply = flow.straight != straight;
        flow.last = flow.last.max(now);
        if protocol == wire::TCP && wire::is_first_fragment(packet.network_data()) {
            let flags = packet.transport_data().get(13).copied().unwrap_or(0);
            // RST ends both directions, FIN its own.
            match flags & 5 {
                0 => {}
                1 => flow.done[usize::from(reply)] = true,
                _ => flow.done = [true; 2],
            }
        }
        packet.set_anno_u32(anno::AGGREGATE, flow.aggregate);
        packet.set_anno_u8(anno::PAINT, u8::from(reply));
    }

    /// Gives an ICMP error the number of the flow that it is about.
    fn number_error(&mut self, packet: &mut Packet) -> Fate {
        const ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
        let icmp = packet.transport_data();
        let inner = icmp.get(8..).unwrap_or_default();
        if !icmp.first().is_some_and(|kind| ERRORS.contains(kind)) || inner.len() < 20 {
            return Fate::Other;
        }
        let header = wire::header_length(inner);
        let Some(ports) = inner.get(header..).and_then(ports) else { return Fate::Other };
        let (key, straight) = canonical(identity(inner, ports));
        let Some(flow) = self.flows.get(&(wire::protocol(inner), key)) else { return Fate::Other };
        let (aggregate, paint) = (flow.aggregate, 2 + u8::from(flow.straight != straight));
        packet.set_anno_u32(anno::AGGREGATE, aggregate);
        packet.set_anno_u8(anno::PAINT, paint);
        Fate::Numbered
    }

    fn try_number(&mut self, packet: &mut Packet) -> Fate {
        let ip = packet.network_data();
        if ip.len() < 20 {
            return Fate::Other;
        }
        let protocol = wire::protocol(ip);
        let now = packet.timestamp();
        if protocol == wire::ICMP && self.icmp {
            return self.number_error(packet);
        }
        if !matches!(protocol, wire::TCP | wire::UDP) {
            return Fate::Other;
        }
        let found = if wire::is_first_fragment(ip) {
            let Some(found) = ports(packet.transport_data()) else { return Fate::Other };
            if wire::is_fragment(ip) {
                self.ports.insert(datagram(ip), (found.0, found.1, now));
            }
            found
        } else {
            match self.ports.get(&datagram(ip)) {
                Some(&(sport, dport, _)) => (sport, dport),
                None if self.fragments == Some(true) => return Fate::Unknown,
                None => return Fate::Other,
            }
        };
        let id = identity(packet.network_data(), found);
        self.number(packet, protocol, id, now);
        Fate::Numbered
    }

    /// Sends the packets between two addresses whose turn it is.
    fn release(&mut self, key: ([u8; 4], [u8; 4]), now: i64, good: &mut Batch, bad: &mut Batch) {
        let Some(mut queue) = self.waiting.remove(&key) else { return };
        while let Some(mut packet) = queue.pop_front() {
            match self.try_number(&mut packet) {
                Fate::Numbered => good.push(packet),
                Fate::Other => bad.push(packet),
                Fate::Unknown
                    if packet.timestamp() + self.fragment < now || self.held > MOST_WAITING =>
                {
                    bad.push(packet);
                }
                Fate::Unknown => {
                    queue.push_front(packet);
                    break;
                }
            }
            self.held -= 1;
        }
        if !queue.is_empty() {
            self.waiting.insert(key, queue);
        }
    }

    /// Forgets what is over.
    fn clean(&mut self, now: i64, good: &mut Batch, bad: &mut Batch) {
        self.next_reap = now.saturating_add(self.reap);
        let mut flows = core::mem::take(&mut self.flows);
        flows.retain(|(protocol, _), flow| flow.last + self.timeout(*protocol, flow) >= now);
        self.flows = flows;
        let fragment = self.fragment;
        self.ports.retain(|_, (.., seen)| *seen + fragment >= now);
        let pairs: Vec<_> = self.waiting.keys().copied().collect();
        for pair in pairs {
            self.release(pair, now, good, bad);
        }
    }

    fn take(&mut self, mut packet: Packet, good: &mut Batch, bad: &mut Batch) {
        let now = packet.timestamp();
        if now >= self.next_reap {
            self.clean(now, good, bad);
        }
        let key = pair(packet.network_data());
        if !self.waiting.is_empty() && self.waiting.contains_key(&key) {
            // What is known already about later packets lets earlier ones go.
            if wire::is_first_fragment(packet.network_data()) {
                let ip = packet.network_data();
                if wire::is_fragment(ip)
                    && let Some((sport, dport)) = ports(packet.transport_data())
                {
                    self.ports.insert(datagram(ip), (sport, dport, now));
                }
            }
            self.hold(key, packet);
            self.release(key, now, good, bad);
            return;
        }
        match self.try_number(&mut packet) {
            Fate::Numbered => good.push(packet),
            Fate::Other => bad.push(packet),
            Fate::Unknown => self.hold(key, packet),
        }
    }

    fn hold(&mut self, key: ([u8; 4], [u8; 4]), packet: Packet) {
        self.held += 1;
        self.waiting.entry(key).or_default().push_back(packet);
    }
}

impl Element for AggregateIPFlows {
    fn configure(&mut self, args: &mut Args<'_>) {
        for (name, time) in [
            ("TCP_TIMEOUT", &mut self.tcp),
            ("TCP_DONE_TIMEOUT", &mut self.tcp_done),
            ("UDP_TIMEOUT", &mut self.udp),
            ("FRAGMENT_TIMEOUT", &mut self.fragment),
            ("REAP", &mut self.reap),
        ] {
            let mut given = None::<Time>;
            args.keyword(name, &mut given);
            *time = given.map_or(*time, |given| given.0);
        }
        args.keyword("ICMP", &mut self.icmp);
        args.keyword("FRAGMENTS", &mut self.fragments);
        args.finish();
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        let pushed = cx.input_is_push(0);
        if self.fragments == Some(true) && !pushed {
            cx.error("'FRAGMENTS true' requires push input");
        }
        self.fragments.get_or_insert(pushed);
    }

    fn push(&mut self, _port: usize, mut batch: Batch, cx: &mut Context<'_>) {
        let (mut good, mut bad) = (cx.batch(), cx.batch());
        for packet in batch.drain(..) {
            self.take(packet, &mut good, &mut bad);
        }
        cx.kill_all(batch);
        cx.push(0, good);
        cx.push(1, bad);
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        cx.split(batch, 1, |packet| matches!(self.try_number(packet), Fate::Numbered));
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::button("clear"), Handler::read("size")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(alloc::format!("{}", self.flows.len()))
    }

    fn write(&mut self, _handler: &str, _value: &str, cx: &mut Context<'_>) -> Answer {
        self.flows.clear();
        self.ports.clear();
        self.held = 0;
        for (_, queue) in self.waiting.drain() {
            for packet in queue {
                cx.kill(packet);
            }
        }
        common::done()
    }
}

//! ARPQuerier: puts Ethernet headers on IP packets, asking for addresses by ARP.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use click_language::value as parse;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::Packet;
use click_runtime::Phase;
use click_runtime::args::ElementRef;
use click_runtime::args::Ethernet;
use click_runtime::args::Ip;
use click_runtime::args::PrefixOrAddress;
use click_runtime::args::Time;
use click_runtime::element::downcast;

use crate::arp;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ARPQuerier",
    ports: "2/1-2",
    processing: "h/h",
    flow: "",
    make: || Box::<ARPQuerier>::default(),
    documentation: Documentation {
        summary: "Puts Ethernet headers on IP packets, asking for addresses by ARP.",
        arguments: &[
            ("IP", "own address, or prefix"),
            ("ETH", "own Ethernet address"),
            ("TABLE", "an ARPTable to use"),
            ("POLL_TIMEOUT", "age at which an entry is asked about again, default 1m"),
            ("BROADCAST", "broadcast address"),
            ("BROADCAST_POLL", "whether such questions are broadcast"),
            ("CAPACITY", "most packets that wait, default 2048"),
            ("ENTRY_CAPACITY", "most entries, default 0 for no limit"),
            ("ENTRY_PACKET_CAPACITY", "most packets that wait for one address"),
            ("TIMEOUT", "time after which an entry is not believed, default 5m"),
        ],
        handlers: &[
            ("table", "the entries"),
            ("stats", "packets killed and queries sent"),
            ("queries", "queries sent"),
            ("responses", "responses seen"),
            ("drops", "packets dropped"),
            ("count", "number of entries"),
            ("length", "packets that wait"),
            ("insert", "adds an entry"),
            ("delete", "removes an entry"),
            ("clear", "removes all entries"),
            ("ipaddr", "own address"),
            ("broadcast", "broadcast address"),
        ],
    },
};

use super::arptable::{ARPTable, read_table, write_table};

struct ARPQuerier {
    own: arp::Table,
    shared: Option<usize>,
    address: [u8; 4],
    ethernet: [u8; 6],
    broadcast: [u8; 4],
    poll: i64,
    broadcast_poll: bool,
    queries: u64,
    responses: u64,
    drops: u64,
}

impl Default for ARPQuerier {
    fn default() -> Self {
        Self {
            own: arp::Table::default(),
            shared: None,
            address: [0; 4],
            ethernet: [0; 6],
            broadcast: [255; 4],
            poll: 60_000_000_000,
            broadcast_poll: false,
            queries: 0,
            responses: 0,
            drops: 0,
        }
    }
}

const BROADCAST: [u8; 6] = [255; 6];

impl ARPQuerier {
    /// Lets something be done with the table, wherever it is.
    fn with_table<R>(
        &mut self,
        cx: &mut Context<'_>,
        act: impl FnOnce(&mut arp::Table, &mut Context<'_>) -> R,
    ) -> Option<R> {
        match self.shared {
            None => Some(act(&mut self.own, cx)),
            Some(element) => cx.with(element, |other: &mut ARPTable, cx| act(&mut other.table, cx)),
        }
    }

    fn send(&self, mut packet: Packet, to: [u8; 6], cx: &mut Context<'_>) {
        packet.prepend(14);
        let header = &mut packet.data_mut()[..14];
        header[..6].copy_from_slice(&to);
        header[6..12].copy_from_slice(&self.ethernet);
        header[12..].copy_from_slice(&[8, 0]);
        packet.set_mac(0);
        cx.push_one(0, packet);
    }

    fn query(&mut self, ip: [u8; 4], to: [u8; 6], timestamp: i64, cx: &mut Context<'_>) {
        let bytes = arp::message(1, to, (self.ethernet, self.address), ([0; 6], ip));
        let mut packet = cx.packet();
        packet.fill(&bytes);
        packet.set_mac(0);
        packet.set_network(14, 28);
        packet.set_timestamp(timestamp);
        self.queries += 1;
        cx.push_one(cx.outputs() - 1, packet);
    }

    fn route(&mut self, packet: Packet, cx: &mut Context<'_>) {
        let ip = packet.dst_ip();
        if ip == self.broadcast || ip == [255; 4] {
            self.send(packet, BROADCAST, cx);
            return;
        }
        if ip[0] & 0xf0 == 0xe0 {
            self.send(packet, [1, 0, 0x5e, ip[1] & 0x7f, ip[2], ip[3]], cx);
            return;
        }
        if ip == [0; 4] {
            self.drops += 1;
            cx.kill(packet);
            return;
        }
        let now = cx.time();
        let (poll, timestamp) = (self.poll, packet.timestamp());
        let known = self.with_table(cx, |table, _| table.lookup(ip, poll, now)).flatten();
        match known {
            Some((to, ask)) => {
                if ask {
                    let receiver = if self.broadcast_poll { BROADCAST } else { to };
                    self.query(ip, receiver, timestamp, cx);
                }
                self.send(packet, to, cx);
            }
            None => {
                let ask = self.with_table(cx, |table, cx| table.wait(ip, packet, now, cx));
                if ask == Some(true) {
                    self.query(ip, BROADCAST, timestamp, cx);
                }
            }
        }
    }

    fn learn(&mut self, packet: Packet, cx: &mut Context<'_>) {
        let data = packet.data();
        if arp::operation(data) == Some(2) {
            self.responses += 1;
            let ip = wire::ip_at(data, 28);
            let address: [u8; 6] = data[22..28].try_into().unwrap_or_default();
            // An answer that names a group or nobody is wrong.
            if ip != [0; 4] && ip != self.broadcast && address[0] & 1 == 0 {
                let now = cx.time();
                let waiting = self.with_table(cx, |table, cx| table.insert(ip, address, now, cx));
                for waiting in waiting.into_iter().flatten() {
                    self.send(waiting, address, cx);
                }
            }
        }
        cx.kill(packet);
    }
}

impl Element for ARPQuerier {
    fn phase(&self) -> Phase {
        Phase::Late
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        let mut table = None::<ElementRef>;
        if args.keyword("TABLE", &mut table) {
            self.shared = table.map(|table| table.0);
        }
        self.own.configure(args);
        let (mut poll, mut broadcast) = (Time(self.poll), None::<Ip>);
        args.keyword("POLL_TIMEOUT", &mut poll);
        args.keyword("BROADCAST", &mut broadcast);
        args.keyword("BROADCAST_POLL", &mut self.broadcast_poll);
        let (mut prefix, mut ethernet) = (PrefixOrAddress::default(), Ethernet::default());
        args.required("IP", &mut prefix);
        // A name may stand for both addresses.
        if !args.positional("ETH", &mut ethernet) {
            args.error("ETH: required argument missing");
        }
        args.finish();
        self.poll = poll.0;
        self.address = prefix.0.address;
        self.ethernet = ethernet.0;
        let hosts = !u32::from_be_bytes(prefix.0.mask);
        if hosts != 0 {
            self.broadcast = (u32::from_be_bytes(self.address) | hosts).to_be_bytes();
        }
        if let Some(broadcast) = broadcast {
            self.broadcast = broadcast.0;
        }
    }

    fn push(&mut self, port: usize, batch: Batch, cx: &mut Context<'_>) {
        for packet in batch {
            if port == 0 {
                self.route(packet, cx);
            } else {
                self.learn(packet, cx);
            }
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        let mut list: Vec<Handler> = [
            "table",
            "stats",
            "queries",
            "responses",
            "drops",
            "count",
            "length",
            "ipaddr",
            "broadcast",
        ]
        .into_iter()
        .map(Handler::read)
        .collect();
        list.extend(["insert", "delete"].map(Handler::write));
        list.push(Handler::button("clear"));
        list
    }

    fn read(&mut self, handler: &str, _parameter: &str, cx: &mut Context<'_>) -> Answer {
        let now = cx.time();
        let killed = self.drops + self.with_table(cx, |table, _| table.drops).unwrap_or(0);
        Ok(match handler {
            "stats" => format!("{killed} packets killed\n{} ARP queries sent\n", self.queries),
            "queries" => self.queries.to_string(),
            "responses" => self.responses.to_string(),
            "drops" => killed.to_string(),
            "ipaddr" => parse::unparse_ip(self.address),
            "broadcast" => parse::unparse_ip(self.broadcast),
            _ => {
                let shown = self.with_table(cx, |table, _| read_table(table, handler, now));
                shown.unwrap_or_default()
            }
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let done = self.with_table(cx, |table, cx| write_table(table, handler, value, cx));
        done.unwrap_or_else(|| Err("the table is busy".into()))
    }

    fn take_state(&mut self, old: &mut dyn Element, _cx: &mut Context<'_>) {
        if let Some(old) = downcast::<Self>(old) {
            self.own.take(&mut old.own);
        }
    }
}

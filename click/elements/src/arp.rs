//! The table of an ARP querier: who has which address, and packets that wait to know.
//!
//! Source: RFC 826, and the documentation of ARPTable and ARPQuerier.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use click_language::value::{unparse_ethernet, unparse_ip, unparse_time};
use click_runtime::args::Time;
use click_runtime::{Args, Context, Packet};

/// Queries without an answer after which they become rare.
const MOST_QUERIES: u32 = 10;

/// Time between two queries for an address.
const QUERY_INTERVAL: i64 = 100_000_000;

/// The same after many queries without an answer.
const RARE_INTERVAL: i64 = 2_000_000_000;

/// Ages are compared in steps of this.
const TICK: i64 = 1_000_000;

fn ticks(time: i64) -> i64 {
    time.div_euclid(TICK)
}

/// Of a table that is over its capacity in packets, this part is emptied.
const SLIM_PART: usize = 2;

struct Entry {
    address: [u8; 6],
    known: bool,
    live: i64,
    queried: Option<i64>,
    queries: u32,
    packets: VecDeque<Packet>,
}

impl Entry {
    /// Whether a query may be sent now; if so it counts as sent.
    fn may_query(&mut self, now: i64) -> bool {
        let interval = if self.queries < MOST_QUERIES { QUERY_INTERVAL } else { RARE_INTERVAL };
        let fine = self.queried.is_none_or(|queried| now - queried >= interval);
        if fine {
            self.queries += 1;
            self.queried = Some(now);
        }
        fine
    }
}

/// Ethernet addresses by IP address.
pub(crate) struct Table {
    entries: BTreeMap<[u8; 4], Entry>,
    /// Addresses, the one that was confirmed longest ago first.
    age: VecDeque<[u8; 4]>,
    pub(crate) packets: usize,
    pub(crate) drops: u64,
    capacity: usize,
    entry_capacity: usize,
    entry_packets: usize,
    timeout: i64,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            age: VecDeque::new(),
            packets: 0,
            drops: 0,
            capacity: 2048,
            entry_capacity: 0,
            entry_packets: 0,
            timeout: 300_000_000_000,
        }
    }
}

impl Table {
    /// Takes the arguments that concern the table.
    pub(crate) fn configure(&mut self, args: &mut Args<'_>) {
        let mut timeout = Time(self.timeout);
        args.keyword("CAPACITY", &mut self.capacity);
        args.keyword("ENTRY_CAPACITY", &mut self.entry_capacity);
        args.keyword("ENTRY_PACKET_CAPACITY", &mut self.entry_packets);
        args.keyword("TIMEOUT", &mut timeout);
        self.timeout = timeout.0;
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    fn expired(&self, entry: &Entry, now: i64) -> bool {
        self.timeout > 0 && ticks(now) - ticks(entry.live) > ticks(self.timeout)
    }

    /// The Ethernet address, and whether it is time to ask whether it is still right.
    pub(crate) fn lookup(&mut self, ip: [u8; 4], poll: i64, now: i64) -> Option<([u8; 6], bool)> {
        if self.entries.get(&ip).is_none_or(|entry| !entry.known || self.expired(entry, now)) {
            return None;
        }
        let entry = self.entries.get_mut(&ip)?;
        let age = now - entry.live;
        let ask = poll > 0 && age >= poll && entry.may_query(now);
        Some((entry.address, ask))
    }

    fn touch(&mut self, ip: [u8; 4]) {
        self.age.retain(|known| *known != ip);
        self.age.push_back(ip);
    }

    fn kill(&mut self, packets: VecDeque<Packet>, cx: &mut Context<'_>) {
        self.packets -= packets.len();
        self.drops += packets.len() as u64;
        for packet in packets {
            cx.kill(packet);
        }
    }

    fn ensure(&mut self, ip: [u8; 4], now: i64, cx: &mut Context<'_>) {
        if self.entries.contains_key(&ip) {
            return;
        }
        if self.entry_capacity > 0 && self.entries.len() >= self.entry_capacity {
            self.forget(now, 1, cx);
        }
        let entry = Entry {
            address: [255; 6],
            known: false,
            live: now,
            queried: None,
            queries: 0,
            packets: VecDeque::new(),
        };
        self.entries.insert(ip, entry);
        self.age.push_back(ip);
    }

    /// Drops old entries, and as many more as leave room for `coming` within the capacity.
    fn forget(&mut self, now: i64, coming: usize, cx: &mut Context<'_>) {
        while let Some(&oldest) = self.age.front() {
            let crowded =
                self.entry_capacity > 0 && self.entries.len() + coming > self.entry_capacity;
            let old = self.entries.get(&oldest).is_none_or(|entry| self.expired(entry, now));
            if !crowded && !old {
                break;
            }
            self.age.pop_front();
            if let Some(gone) = self.entries.remove(&oldest) {
                self.kill(gone.packets, cx);
            }
        }
    }

    /// Makes room for a packet, at the cost of those that wait for the oldest entries.
    fn slim(&mut self, now: i64, cx: &mut Context<'_>) {
        self.forget(now, 0, cx);
        let goal = (self.capacity - self.capacity / SLIM_PART).max(1);
        let mut gone = VecDeque::new();
        for ip in &self.age {
            let Some(entry) = self.entries.get_mut(ip) else { continue };
            while self.packets - gone.len() >= goal {
                let Some(packet) = entry.packets.pop_front() else { break };
                gone.push_back(packet);
            }
        }
        self.kill(gone, cx);
    }

    /// Someone still wants the address: keeps an old entry just this side of its end.
    fn keep(&mut self, ip: [u8; 4], now: i64) {
        let Some(entry) = self.entries.get_mut(&ip) else { return };
        // Entries of the same moment keep their order.
        let limit = (ticks(now) - ticks(self.timeout)) * TICK;
        if self.timeout <= 0 || entry.live >= limit {
            return;
        }
        entry.live = limit;
        let Some(from) = self.age.iter().position(|known| *known == ip) else { return };
        let younger = |ip: &[u8; 4]| self.entries.get(ip).is_some_and(|next| next.live >= limit);
        let behind = self.age.iter().skip(from + 1).take_while(|ip| !younger(ip)).count();
        if behind > 0 {
            self.age.remove(from);
            self.age.insert(from + behind, ip);
        }
    }

    /// Keeps a packet until the address is known. Says whether to send a query.
    pub(crate) fn wait(
        &mut self,
        ip: [u8; 4],
        packet: Packet,
        now: i64,
        cx: &mut Context<'_>,
    ) -> bool {
        self.ensure(ip, now, cx);
        self.keep(ip, now);
        let waiting = self.entries.get(&ip).map_or(0, |entry| entry.packets.len());
        if self.entry_packets > 0 && waiting >= self.entry_packets {
            self.drops += 1;
            cx.kill(packet);
            return false;
        }
        if self.capacity > 0 && self.packets >= self.capacity {
            self.slim(now, cx);
        }
        self.packets += 1;
        let Some(entry) = self.entries.get_mut(&ip) else { return false };
        entry.packets.push_back(packet);
        entry.may_query(now)
    }

    /// Learns an address. Gives the packets that waited for it.
    pub(crate) fn insert(
        &mut self,
        ip: [u8; 4],
        address: [u8; 6],
        now: i64,
        cx: &mut Context<'_>,
    ) -> VecDeque<Packet> {
        self.ensure(ip, now, cx);
        self.touch(ip);
        let Some(entry) = self.entries.get_mut(&ip) else { return VecDeque::new() };
        entry.address = address;
        entry.known = true;
        entry.live = now;
        entry.queried = None;
        entry.queries = 0;
        let packets = core::mem::take(&mut entry.packets);
        self.packets -= packets.len();
        packets
    }

    pub(crate) fn remove(&mut self, ip: [u8; 4], cx: &mut Context<'_>) {
        self.age.retain(|known| *known != ip);
        if let Some(gone) = self.entries.remove(&ip) {
            self.kill(gone.packets, cx);
        }
    }

    pub(crate) fn clear(&mut self, cx: &mut Context<'_>) {
        let all: Vec<[u8; 4]> = self.entries.keys().copied().collect();
        for ip in all {
            self.remove(ip, cx);
        }
    }

    /// Takes over what an older table knows.
    pub(crate) fn take(&mut self, old: &mut Self) {
        self.entries = core::mem::take(&mut old.entries);
        self.age = core::mem::take(&mut old.age);
        self.packets = core::mem::take(&mut old.packets);
    }

    /// One line per entry: address, whether it is known, Ethernet address, age.
    pub(crate) fn unparse(&self, now: i64) -> String {
        let mut out = String::new();
        for ip in &self.age {
            let Some(entry) = self.entries.get(ip) else { continue };
            let known = u8::from(entry.known && !self.expired(entry, now));
            let address = unparse_ethernet(entry.address);
            let age = unparse_time((now - entry.live) / 1000 * 1000);
            out.push_str(&format!("{} {known} {address} {age}\n", unparse_ip(*ip)));
        }
        out
    }
}

/// An ARP packet with its Ethernet header.
pub(crate) fn message(
    operation: u16,
    receiver: [u8; 6],
    (sender, sender_ip): ([u8; 6], [u8; 4]),
    (target, target_ip): ([u8; 6], [u8; 4]),
) -> [u8; 42] {
    let mut bytes = [0; 42];
    bytes[..6].copy_from_slice(&receiver);
    bytes[6..12].copy_from_slice(&sender);
    bytes[12..20].copy_from_slice(&[8, 6, 0, 1, 8, 0, 6, 4]);
    bytes[20..22].copy_from_slice(&operation.to_be_bytes());
    bytes[22..28].copy_from_slice(&sender);
    bytes[28..32].copy_from_slice(&sender_ip);
    bytes[32..38].copy_from_slice(&target);
    bytes[38..].copy_from_slice(&target_ip);
    bytes
}

/// The operation of an ARP packet for Ethernet and IPv4.
pub(crate) fn operation(bytes: &[u8]) -> Option<u16> {
    let fixed = bytes.get(12..20)? == [8, 6, 0, 1, 8, 0, 6, 4];
    (fixed && bytes.len() >= 42).then(|| crate::wire::u16_at(bytes, 20))
}

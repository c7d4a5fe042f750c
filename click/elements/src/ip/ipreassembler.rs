//! IPReassembler: puts fragments together.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::vec;
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
use click_runtime::args::Raw;
use click_runtime::args::Time;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "IPReassembler",
    ports: "1/1-2",
    processing: "h/h",
    flow: "",
    make: || Box::<IPReassembler>::default(),
    documentation: Documentation {
        summary: "Puts fragments together.",
        arguments: &[
            ("HIMEM", "most bytes held, default 262144"),
            ("MAX_MTU_ANNO", "ignored"),
            ("TIMEOUT", "time after which fragments are dropped, default 30s"),
        ],
        handlers: &[("dump", "packets being put together")],
    },
};

/// What belongs together: addresses, identification, protocol.
type Key = ([u8; 4], [u8; 4], u16, u8);

struct Waiting {
    first: Option<Packet>,
    /// Pieces of the payload by offset.
    pieces: BTreeMap<usize, Vec<u8>>,
    total: Option<usize>,
    bytes: usize,
    expiry: i64,
}

struct IPReassembler {
    waiting: BTreeMap<Key, Waiting>,
    bytes: usize,
    most: usize,
    timeout: i64,
}

impl Default for IPReassembler {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), bytes: 0, most: 256 * 1024, timeout: 30_000_000_000 }
    }
}

impl Waiting {
    /// The payload, if all of it is there.
    fn complete(&self) -> Option<Vec<u8>> {
        let total = self.total?;
        let mut payload = Vec::with_capacity(total);
        for (&offset, piece) in &self.pieces {
            if offset > payload.len() {
                return None;
            }
            let known = payload.len() - offset;
            payload.extend(piece.get(known..).unwrap_or_default());
        }
        payload.truncate(total);
        (payload.len() == total).then_some(payload)
    }
}

impl IPReassembler {
    fn remove(&mut self, key: &Key, cx: &mut Context<'_>) -> Option<Waiting> {
        let gone = self.waiting.remove(key)?;
        self.bytes -= gone.bytes;
        let _ = cx;
        Some(gone)
    }

    fn make_room(&mut self, cx: &mut Context<'_>) {
        while self.bytes > self.most {
            let oldest = self.waiting.iter().min_by_key(|(_, waiting)| waiting.expiry);
            let Some(key) = oldest.map(|(key, _)| *key) else { return };
            if let Some(Waiting { first: Some(first), .. }) = self.remove(&key, cx) {
                cx.push_one(1, first);
            }
        }
    }

    /// Takes a fragment; gives the packet when it is whole.
    fn take(&mut self, mut packet: Packet, cx: &mut Context<'_>) -> Option<Packet> {
        let ip = packet.network_data();
        let header = wire::header_length(ip);
        let total = usize::from(wire::u16_at(ip, 2)).min(ip.len());
        let field = wire::fragment(ip);
        let offset = usize::from(field & wire::OFFSET_MASK) * 8;
        let more = field & wire::MORE_FRAGMENTS != 0;
        let Some(piece) = ip.get(header..total).map(<[u8]>::to_vec) else {
            cx.push_one(1, packet);
            return None;
        };
        // Pieces before the last come in units of eight, and nothing is longer than 64 KiB.
        if header < 20 || (more && piece.len() % 8 != 0) || offset + piece.len() > 65535 - header {
            cx.push_one(1, packet);
            return None;
        }
        let key =
            (wire::ip_at(ip, 12), wire::ip_at(ip, 16), wire::u16_at(ip, 4), wire::protocol(ip));
        let expiry = cx.time() + self.timeout;
        let waiting = self.waiting.entry(key).or_insert_with(|| Waiting {
            first: None,
            pieces: BTreeMap::new(),
            total: None,
            bytes: 0,
            expiry,
        });
        let size = piece.len() + 64;
        if !more {
            waiting.total = Some(offset + piece.len());
        }
        waiting.pieces.entry(offset).or_insert(piece);
        waiting.bytes += size;
        self.bytes += size;
        if offset == 0 && waiting.first.is_none() {
            waiting.first = Some(packet);
        } else {
            cx.kill(packet);
        }
        let whole = waiting.complete().filter(|_| waiting.first.is_some());
        let Some(payload) = whole else {
            self.make_room(cx);
            return None;
        };
        packet = self.remove(&key, cx)?.first?;
        let before = packet.network().unwrap_or(0).max(0).unsigned_abs();
        let header = wire::header_length(packet.network_data());
        let want = before + header + payload.len();
        if want > packet.len() {
            packet.append(want - packet.len());
        } else {
            packet.truncate(packet.len() - want);
        }
        let ip = packet.network_data_mut();
        wire::put(ip, header, &payload);
        wire::put(ip, 2, &((header + payload.len()) as u16).to_be_bytes());
        wire::put(ip, 6, &[0, 0]);
        wire::set_ip_checksum(ip);
        Some(packet)
    }
}

impl Element for IPReassembler {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut timeout, mut ignored) = (Time(self.timeout), Raw::default());
        args.keyword("HIMEM", &mut self.most);
        args.keyword("MAX_MTU_ANNO", &mut ignored);
        args.keyword("TIMEOUT", &mut timeout);
        args.finish();
        self.timeout = timeout.0;
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        cx.set_timer_after(0, 10_000_000_000);
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        let now = cx.time();
        let late: Vec<Key> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.expiry <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in late {
            if let Some(Waiting { first: Some(first), .. }) = self.remove(&key, cx) {
                cx.push_one(1, first);
            }
        }
        cx.set_timer_after(0, 10_000_000_000);
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        if !batch.iter().any(|packet| wire::is_fragment(packet.network_data())) {
            cx.push(0, batch);
            return;
        }
        for packet in batch {
            if !wire::is_fragment(packet.network_data()) {
                cx.push_one(0, packet);
            } else if let Some(whole) = self.take(packet, cx) {
                cx.push_one(0, whole);
            }
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("dump")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        let line = |(key, waiting): (&Key, &Waiting)| {
            let (source, destination) = (parse::unparse_ip(key.0), parse::unparse_ip(key.1));
            format!("{source} > {destination} id {} pieces {}\n", key.2, waiting.pieces.len())
        };
        Ok(self.waiting.iter().map(line).collect())
    }
}

//! IPFragmenter: splits packets that are too large; those that must not be split go to output 1.

use alloc::boxed::Box;
use alloc::string::ToString;
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

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "IPFragmenter",
    ports: "1/1-2",
    processing: "h/h",
    flow: "",
    make: || Box::<IPFragmenter>::default(),
    documentation: Documentation {
        summary: "Splits packets that are too large; those that must not be split go to output 1.",
        arguments: &[
            ("MTU", "most bytes of an IP packet"),
            ("HONOR_DF", "whether to heed the flag, default true"),
            ("VERBOSE", "whether to print dropped packets"),
            ("HEADROOM", "ignored"),
        ],
        handlers: &[("drops", "packets too large to pass"), ("fragments", "fragments made")],
    },
};

struct IPFragmenter {
    mtu: usize,
    honor: bool,
    drops: u64,
    fragments: u64,
}

impl Default for IPFragmenter {
    fn default() -> Self {
        Self { mtu: 0, honor: true, drops: 0, fragments: 0 }
    }
}

/// The options that go into fragments after the first, padded.
fn copied_options(header: &[u8]) -> Vec<u8> {
    let mut copied = Vec::new();
    let mut options = header.get(20..).unwrap_or_default();
    while let Some(&kind) = options.first() {
        let length = match kind {
            0 => break,
            1 => 1,
            _ => match options.get(1) {
                Some(&length) if length >= 2 && usize::from(length) <= options.len() => {
                    usize::from(length)
                }
                _ => break,
            },
        };
        if kind & 0x80 != 0 {
            copied.extend(&options[..length]);
        }
        options = &options[length..];
    }
    copied.resize(copied.len().next_multiple_of(4), 0);
    copied
}

impl IPFragmenter {
    fn split(&mut self, packet: Packet, cx: &mut Context<'_>) {
        let ip = packet.network_data();
        let total = usize::from(wire::u16_at(ip, 2)).min(ip.len());
        let length = wire::header_length(ip).clamp(20, 60);
        let Some(header) = ip.get(..length).map(<[u8]>::to_vec) else {
            cx.kill(packet);
            return;
        };
        let payload = ip.get(length..total).unwrap_or_default().to_vec();
        let before = packet.network().unwrap_or(0).max(0).unsigned_abs();
        let link = packet.data()[..before.min(packet.len())].to_vec();
        let options = copied_options(&header);
        let field = wire::fragment(&header);
        let more = field & wire::MORE_FRAGMENTS;
        let start = usize::from(field & wire::OFFSET_MASK) * 8;
        let mut at = 0;
        let mut out = cx.batch();
        while at < payload.len() {
            let first = at == 0;
            let own = if first { length } else { 20 + options.len() };
            let room = (self.mtu - own) / 8 * 8;
            let left = payload.len() - at;
            let (size, last) = if left + own <= self.mtu { (left, true) } else { (room, false) };
            let mut bytes = link.clone();
            if first {
                bytes.extend(&header);
            } else {
                bytes.extend(&header[..20]);
                bytes.extend(&options);
            }
            bytes.extend(&payload[at..at + size]);
            let ip = &mut bytes[before..];
            ip[0] = 0x40 | (own / 4) as u8;
            wire::put(ip, 2, &((own + size) as u16).to_be_bytes());
            let flags = if last { more } else { wire::MORE_FRAGMENTS };
            let offset = ((start + at) / 8) as u16 | flags;
            wire::put(ip, 6, &offset.to_be_bytes());
            wire::set_ip_checksum(ip);
            let mut fragment = cx.packet();
            fragment.fill(&bytes);
            fragment.copy_annotations(&packet);
            if before > 0 {
                fragment.set_mac(0);
            }
            fragment.set_network(before, own);
            out.push(fragment);
            self.fragments += 1;
            at += size;
        }
        cx.kill(packet);
        cx.push(0, out);
    }
}

impl Element for IPFragmenter {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut verbose, mut headroom) = (false, 0u32);
        args.required("MTU", &mut self.mtu);
        args.positional("HONOR_DF", &mut self.honor);
        args.positional("VERBOSE", &mut verbose);
        args.keyword("HEADROOM", &mut headroom);
        args.finish();
        if self.mtu < 8 {
            args.error("MTU must be at least 8");
        }
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        let mtu = self.mtu;
        let fits = |packet: &Packet| {
            let ip = packet.network_data();
            usize::from(wire::u16_at(ip, 2)) <= mtu
        };
        if batch.iter().all(fits) {
            cx.push(0, batch);
            return;
        }
        for packet in batch {
            if fits(&packet) {
                cx.push_one(0, packet);
                continue;
            }
            let ip = packet.network_data();
            let whole = self.honor && wire::fragment(ip) & wire::DONT_FRAGMENT != 0;
            if whole || mtu < wire::header_length(ip) + 8 {
                self.drops += 1;
                cx.push_one(1, packet);
            } else {
                self.split(packet, cx);
            }
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("drops"), Handler::read("fragments")]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(if handler == "drops" { self.drops.to_string() } else { self.fragments.to_string() })
    }
}

//! ICMPError: turns packets into ICMP error messages about them.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use click_language::config;
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
use click_runtime::anno;
use click_runtime::args::Ip;
use click_runtime::args::Raw;
use click_runtime::args::Value;
use click_runtime::packet::Kind as PacketKind;

use crate::common;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ICMPError",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<ICMPError>::default(),
    documentation: Documentation {
        summary: "Turns packets into ICMP error messages about them.",
        arguments: &[
            ("SRC", "source address of the messages"),
            ("TYPE", "ICMP type"),
            ("CODE", "ICMP code"),
            ("BADADDRS", "addresses that get no messages"),
            ("MTU", "next-hop MTU for needfrag"),
            ("PMTU", "the same"),
            ("SET_FIX_ANNO", "whether FixIPSrc may set the source, default true"),
        ],
        handlers: &[("src", "source address")],
    },
};

use crate::dump::icmp_names;

#[derive(Default)]
struct ICMPError {
    source: [u8; 4],
    kind: u8,
    code: u8,
    mtu: u16,
    bad: Vec<[u8; 4]>,
    fix: bool,
    id: u16,
}

const REDIRECT: u8 = 5;
const PARAMETER_PROBLEM: u8 = 12;
const UNREACHABLE: u8 = 3;

/// Longest message, as hosts must be able to take it.
const LONGEST: usize = 576;

/// Whether an address is that of one host.
fn is_unicast(address: [u8; 4]) -> bool {
    let [first, ..] = address;
    first != 0 && first != 127 && first < 224
}

/// The route back that a source route asks for: first hop, and an option for the rest.
fn source_route(ip: &[u8]) -> Option<([u8; 4], Vec<u8>)> {
    let mut options = ip.get(20..wire::header_length(ip))?;
    while let Some(&kind) = options.first() {
        match kind {
            0 => return None,
            1 => options = &options[1..],
            _ => {
                let length = usize::from(*options.get(1)?);
                if length < 2 || length > options.len() {
                    return None;
                }
                if matches!(kind, 131 | 137) {
                    return reverse_route(&options[..length]);
                }
                options = &options[length..];
            }
        }
    }
    None
}

fn reverse_route(option: &[u8]) -> Option<([u8; 4], Vec<u8>)> {
    let pointer = usize::from(*option.get(2)?).checked_sub(1)?;
    if pointer < 7 || pointer > option.len() {
        return None;
    }
    let visited: Vec<[u8; 4]> =
        option[3..pointer].chunks_exact(4).map(|hop| wire::ip_at(hop, 0)).collect();
    let (last, others) = visited.split_last()?;
    // The packet goes to the hop visited last; the others, in reverse, follow.
    let mut reversed = vec![option[0], (3 + 4 * visited.len()) as u8, 4];
    reversed.extend(last);
    for hop in others.iter().rev() {
        reversed.extend(hop);
    }
    Some((*last, reversed))
}

impl ICMPError {
    /// Whether a message about the packet may be sent (RFC 1812, 4.3.2.7).
    fn is_allowed(&self, packet: &Packet, ip: &[u8]) -> bool {
        let (source, destination) = (wire::ip_at(ip, 12), wire::ip_at(ip, 16));
        if ip.len() < 20
            || !is_unicast(source)
            || !is_unicast(destination)
            || self.bad.contains(&source)
            || matches!(packet.kind(), PacketKind::Broadcast | PacketKind::Multicast)
            || !wire::is_first_fragment(ip)
        {
            return false;
        }
        let icmp = packet.transport_data().first().copied();
        // No messages about messages, and no redirect across a source route.
        let error = |kind: u8| !matches!(kind, 0 | 8 | 9 | 10 | 13..=18);
        if wire::protocol(ip) == wire::ICMP && icmp.is_none_or(error) {
            return false;
        }
        !(self.kind == REDIRECT && source_route(ip).is_some())
    }

    fn build(&mut self, packet: &Packet, out: &mut Packet) {
        let ip = packet.network_data();
        let sender = wire::ip_at(ip, 12);
        let options = source_route(ip).map(|(_, option)| option).unwrap_or_default();
        let padded = options.len().next_multiple_of(4);
        let header = 20 + padded;
        let quoted = ip.len().min(LONGEST - header - 8);
        let mut bytes = vec![0; header + 8];
        bytes[0] = 0x40 | (header / 4) as u8;
        wire::put(&mut bytes, 2, &((header + 8 + quoted) as u16).to_be_bytes());
        wire::put(&mut bytes, 4, &self.id.to_be_bytes());
        self.id = self.id.wrapping_add(1);
        bytes[8] = 255;
        bytes[9] = wire::ICMP;
        wire::put(&mut bytes, 12, &self.source);
        wire::put(&mut bytes, 16, &sender);
        wire::put(&mut bytes, 20, &options);
        bytes[header] = self.kind;
        bytes[header + 1] = self.code;
        match self.kind {
            UNREACHABLE if self.code == 4 => {
                wire::put(&mut bytes, header + 6, &self.mtu.to_be_bytes())
            }
            REDIRECT => wire::put(&mut bytes, header + 4, &packet.dst_ip()),
            PARAMETER_PROBLEM if self.code == 0 => {
                bytes[header + 4] = packet.anno_u8(anno::ICMP_PARAMPROB);
            }
            _ => {}
        }
        bytes.extend(&ip[..quoted]);
        wire::set_ip_checksum(&mut bytes);
        wire::set_transport_checksum(&mut bytes);
        out.fill(&bytes);
        out.copy_annotations(packet);
        out.set_network(0, header);
        out.set_dst_ip(sender);
        out.set_kind(PacketKind::Host);
        if self.fix {
            out.set_anno_u8(anno::FIX_IP_SRC, 1);
        }
    }
}

impl Element for ICMPError {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut source, mut kind, mut code) = (Ip::default(), String::new(), String::from("0"));
        let (mut bad, mut fix, mut mtu) = (Raw::default(), true, 576u16);
        args.required("SRC", &mut source);
        args.required("TYPE", &mut kind);
        args.positional("CODE", &mut code);
        args.positional("BADADDRS", &mut bad);
        args.keyword("MTU", &mut mtu);
        args.keyword("PMTU", &mut mtu);
        args.keyword("SET_FIX_ANNO", &mut fix);
        args.keyword("USE_FIX_ANNO", &mut fix);
        args.finish();
        (self.source, self.mtu, self.fix) = (source.0, mtu, fix);
        match icmp_names::parse_type(&kind) {
            Some(kind) => self.kind = kind,
            None => args.error("TYPE: expected ICMP type"),
        }
        match icmp_names::parse_code(self.kind, &code) {
            Some(code) => self.code = code,
            None => args.error("CODE: expected ICMP code"),
        }
        for word in config::split_words(&bad.0) {
            match Ip::parse(&word, &args.scope) {
                Ok(address) => self.bad.push(address.0),
                Err(error) => args.error(&format!("BADADDRS: {error}")),
            }
        }
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let mut messages = cx.batch();
        for packet in batch.drain(..) {
            if self.is_allowed(&packet, packet.network_data()) {
                let mut message = cx.packet();
                self.build(&packet, &mut message);
                messages.push(message);
            }
            cx.kill(packet);
        }
        core::mem::swap(batch, &mut messages);
        cx.kill_all(messages);
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("src")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(parse::unparse_ip(self.source))
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        self.source = common::value::<Ip>(value, cx)?.0;
        common::done()
    }
}

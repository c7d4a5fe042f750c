//! IPPrint: prints IP packets in the manner of tcpdump.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_language::text;
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
use click_runtime::host::Handle;
use click_runtime::host::Open;

use crate::common;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "IPPrint",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<IPPrint>::default(),
    documentation: Documentation {
        summary: "Prints IP packets in the manner of tcpdump.",
        arguments: &[
            ("LABEL", "text before each line"),
            ("CONTENTS", "whether to print the packet: `NONE`, `HEX` or `ASCII`"),
            ("PAYLOAD", "the same for what follows the headers"),
            ("MAXLENGTH", "most bytes to print, default 1500"),
            ("WIDTH", "columns, default 80"),
            ("TIMESTAMP", "whether to print the time, default true"),
            ("ID, TTL, TOS, LENGTH, PAINT, AGGREGATE", "whether to print these"),
            ("ACTIVE", "whether to print, default true"),
            ("OUTFILE", "file to print to instead"),
        ],
        handlers: &[("active", "whether to print")],
    },
};

use crate::dump::icmp_names;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contents {
    None,
    Hex,
    Ascii,
}

fn contents(text: &str) -> Option<Contents> {
    Some(match text.to_ascii_uppercase().as_str() {
        "" | "NONE" | "FALSE" | "NO" | "0" => Contents::None,
        "HEX" | "TRUE" | "YES" | "1" => Contents::Hex,
        "ASCII" => Contents::Ascii,
        _ => return None,
    })
}

struct IPPrint {
    label: String,
    contents: Contents,
    payload: Contents,
    most: usize,
    width: usize,
    timestamp: bool,
    id: bool,
    ttl: bool,
    tos: bool,
    length: bool,
    paint: bool,
    aggregate: bool,
    active: bool,
    file_name: String,
    file: Option<Handle>,
}

impl Default for IPPrint {
    fn default() -> Self {
        Self {
            label: String::new(),
            contents: Contents::None,
            payload: Contents::None,
            most: 1500,
            width: 80,
            timestamp: true,
            id: false,
            ttl: false,
            tos: false,
            length: false,
            paint: false,
            aggregate: false,
            active: true,
            file_name: String::new(),
            file: None,
        }
    }
}

impl IPPrint {
    fn line(&self, packet: &Packet) -> String {
        let mut out = self.label.clone();
        if !out.is_empty() {
            out.push_str(": ");
        }
        if self.timestamp {
            out.push_str(&format!("{}: ", parse::unparse_time(packet.timestamp() / 1000 * 1000)));
        }
        if self.aggregate {
            out.push_str(&format!("#{} ", packet.anno_u32(anno::AGGREGATE)));
        }
        if self.paint {
            out.push_str(&format!("paint {}: ", packet.anno_u8(anno::PAINT)));
        }
        let ip = packet.network_data();
        if packet.network().is_none() || ip.len() < 20 {
            out.push_str(&format!("non-IP or truncated packet ({} bytes)", packet.len()));
            return out;
        }
        if self.id {
            out.push_str(&format!("id {} ", wire::u16_at(ip, 4)));
        }
        if self.ttl {
            out.push_str(&format!("ttl {} ", ip[8]));
        }
        if self.tos {
            out.push_str(&format!("tos {} ", ip[1]));
        }
        if self.length {
            out.push_str(&format!("length {} ", wire::u16_at(ip, 2)));
        }
        describe(packet, ip, &mut out);
        let headers = header_bytes(packet, ip);
        let total = usize::from(wire::u16_at(ip, 2)).min(ip.len());
        self.bytes(self.contents, ip, &mut out);
        self.bytes(self.payload, ip.get(headers..total).unwrap_or_default(), &mut out);
        out
    }

    /// Adds the bytes in lines of the width.
    fn bytes(&self, contents: Contents, bytes: &[u8], out: &mut String) {
        if contents == Contents::None {
            return;
        }
        let group = if contents == Contents::Hex { 4 } else { 8 };
        let groups = (self.width.saturating_sub(2) / 9).clamp(1, 64);
        // Groups of eight columns each; as many as leave room for the indentation.
        let per_line =
            if self.width == 80 { if group == 4 { 16 } else { 48 } } else { group * groups };
        for line in bytes[..bytes.len().min(self.most)].chunks(per_line) {
            out.push_str("\n ");
            if contents == Contents::Hex {
                out.push(' ');
            }
            common::contents(line, contents == Contents::Ascii, out);
        }
    }
}

fn header_bytes(packet: &Packet, ip: &[u8]) -> usize {
    let header = wire::header_length(ip);
    let transport = packet.transport_data();
    header
        + match wire::protocol(ip) {
            _ if !wire::is_first_fragment(ip) => 0,
            wire::TCP => transport.get(12).map_or(20, |offset| usize::from(offset >> 4) * 4),
            wire::UDP | wire::ICMP => 8,
            _ => 0,
        }
}

fn describe(packet: &Packet, ip: &[u8], out: &mut String) {
    let (source, destination) = (wire::ip_at(ip, 12), wire::ip_at(ip, 16));
    let addresses = |out: &mut String, ports: Option<(u16, u16)>| {
        let (source, destination) = (parse::unparse_ip(source), parse::unparse_ip(destination));
        match ports {
            Some((sport, dport)) => {
                out.push_str(&format!("{source}.{sport} > {destination}.{dport}: "));
            }
            None => out.push_str(&format!("{source} > {destination}: ")),
        }
    };
    let protocol = wire::protocol(ip);
    let transport = packet.transport_data();
    let first = wire::is_first_fragment(ip);
    let total = usize::from(wire::u16_at(ip, 2));
    let ports = (wire::u16_at(transport, 0), wire::u16_at(transport, 2));
    match protocol {
        wire::TCP if first && transport.len() >= 4 => {
            addresses(out, Some(ports));
            tcp(packet, transport, total.saturating_sub(header_bytes(packet, ip)), total, out);
        }
        wire::UDP if first && transport.len() >= 4 => {
            addresses(out, Some(ports));
            out.push_str(&format!("udp {}", wire::u16_at(transport, 4)));
        }
        wire::ICMP if first => {
            addresses(out, None);
            icmp(transport, out);
        }
        _ => {
            addresses(out, None);
            match protocol {
                wire::TCP => out.push_str("tcp"),
                wire::UDP => out.push_str("udp"),
                wire::ICMP => out.push_str("icmp"),
                other => out.push_str(&format!("ip-proto-{other}")),
            }
        }
    }
    if wire::is_fragment(ip) {
        let fragment = wire::fragment(ip);
        let length = total.saturating_sub(wire::header_length(ip));
        let more = if fragment & wire::MORE_FRAGMENTS != 0 { "+" } else { "" };
        let offset = u32::from(fragment & wire::OFFSET_MASK) * 8;
        let id = wire::u16_at(ip, 4);
        out.push_str(&format!(" (frag {id}:{length}@{offset}{more})"));
    }
}

fn tcp(packet: &Packet, tcp: &[u8], payload: usize, total: usize, out: &mut String) {
    let flags = tcp.get(13).copied().unwrap_or(0);
    let mut letters = String::new();
    for (bit, letter) in [(2, 'S'), (1, 'F'), (4, 'R'), (8, 'P'), (32, 'U'), (64, 'E'), (128, 'C')]
    {
        if flags & bit != 0 {
            letters.push(letter);
        }
    }
    if letters.is_empty() {
        letters.push('.');
    }
    let sequence = wire::u32_at(tcp, 4);
    // SYN and FIN take a sequence number each.
    let length = payload as u32 + u32::from(flags & 1 != 0) + u32::from(flags & 2 != 0);
    let end = sequence.wrapping_add(length);
    let there = packet.len();
    out.push_str(&format!("{letters} {sequence}:{end}({length},{there},{total})"));
    if flags & 16 != 0 {
        out.push_str(&format!(" ack {}", wire::u32_at(tcp, 8)));
    }
    out.push_str(&format!(" win {}", wire::u16_at(tcp, 14)));
    if flags & 32 != 0 {
        out.push_str(&format!(" urg {}", wire::u16_at(tcp, 18)));
    }
}

fn icmp(icmp: &[u8], out: &mut String) {
    out.push_str("icmp ");
    let (Some(&kind), Some(&code)) = (icmp.first(), icmp.get(1)) else {
        out.push_str("truncated");
        return;
    };
    let name =
        icmp_names::type_name(kind).map_or_else(|| format!("type {kind}"), ToString::to_string);
    let code_name = icmp_names::code_name(kind, code)
        .map_or_else(|| format!("code {code}"), ToString::to_string);
    match kind {
        0 | 8 | 13..=18 => {
            out.push_str(&format!("{name} ({}, {})", wire::u16_at(icmp, 4), wire::u16_at(icmp, 6)));
        }
        3 => out
            .push_str(&format!("{} {name} {code_name}", parse::unparse_ip(wire::ip_at(icmp, 24)))),
        5 => out.push_str(&format!(
            "{name} {code_name} to {}",
            parse::unparse_ip(wire::ip_at(icmp, 4))
        )),
        11 | 12 => out.push_str(&format!("{name} {code_name}")),
        _ => out.push_str(&name),
    }
}

impl Element for IPPrint {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut shown, mut payload) = (String::new(), String::new());
        args.positional("LABEL", &mut self.label);
        args.keyword("CONTENTS", &mut shown);
        args.keyword("PAYLOAD", &mut payload);
        args.keyword("MAXLENGTH", &mut self.most);
        args.keyword("NBYTES", &mut self.most);
        args.keyword("WIDTH", &mut self.width);
        args.keyword("TIMESTAMP", &mut self.timestamp);
        args.keyword("ID", &mut self.id);
        args.keyword("TTL", &mut self.ttl);
        args.keyword("TOS", &mut self.tos);
        args.keyword("LENGTH", &mut self.length);
        args.keyword("PAINT", &mut self.paint);
        args.keyword("AGGREGATE", &mut self.aggregate);
        args.keyword("ACTIVE", &mut self.active);
        args.keyword("OUTFILE", &mut self.file_name);
        let mut swap = false;
        args.keyword("SWAP", &mut swap);
        args.finish();
        match (contents(&shown), contents(&payload)) {
            (Some(shown), Some(payload)) => (self.contents, self.payload) = (shown, payload),
            _ => args.error("bad contents value; should be 'NONE', 'HEX', or 'ASCII'"),
        }
    }

    fn is_exact(&self) -> bool {
        self.active
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        if !self.file_name.is_empty() {
            match cx.host().open(&self.file_name, Open::Write) {
                Ok(file) => self.file = Some(file),
                Err(error) => cx.error(&format!("{}: {error}", self.file_name)),
            }
        }
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        if !self.active {
            return;
        }
        for packet in batch.iter() {
            let line = self.line(packet);
            match self.file {
                None => {
                    for line in line.split('\n') {
                        cx.message(line);
                    }
                }
                Some(file) => {
                    let bytes = text::to_bytes(&(line + "\n"));
                    if let Err(error) = cx.host().write(file, &bytes) {
                        cx.error(&error);
                        self.file = None;
                    }
                }
            }
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::checkbox("active")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.active.to_string())
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        self.active = common::value(value, cx)?;
        common::done()
    }

    fn cleanup(&mut self, cx: &mut Context<'_>) {
        if let Some(file) = self.file.take() {
            cx.host().close(file);
        }
    }
}

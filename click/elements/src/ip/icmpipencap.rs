//! ICMPIPEncap: puts ICMP and IP headers in front of packets.

use alloc::boxed::Box;
use alloc::string::String;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::args::Ip;

use crate::dump;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ICMPIPEncap",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<ICMPIPEncap>::default(),
    documentation: Documentation {
        summary: "Puts ICMP and IP headers in front of packets.",
        arguments: &[
            ("SRC", "source address"),
            ("DST", "destination address"),
            ("TYPE", "ICMP type"),
            ("CODE", "ICMP code"),
            ("IDENTIFIER", "bytes 4 and 5, default 0"),
        ],
        handlers: &[],
    },
};

#[derive(Default)]
struct ICMPIPEncap {
    source: [u8; 4],
    destination: [u8; 4],
    kind: u8,
    code: u8,
    identifier: u16,
    id: u16,
}

impl Element for ICMPIPEncap {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut source, mut destination) = (Ip::default(), Ip::default());
        args.required("SRC", &mut source);
        args.required("DST", &mut destination);
        let (mut kind, mut code) = (String::new(), String::from("0"));
        args.required("TYPE", &mut kind);
        args.positional("CODE", &mut code);
        match dump::icmp_names::parse_type(&kind) {
            Some(kind) => self.kind = kind,
            None => args.error("TYPE: expected ICMP type"),
        }
        match dump::icmp_names::parse_code(self.kind, &code) {
            Some(code) => self.code = code,
            None => args.error("CODE: expected ICMP code"),
        }
        args.keyword("IDENTIFIER", &mut self.identifier);
        args.finish();
        (self.source, self.destination) = (source.0, destination.0);
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            packet.prepend(28);
            let length = packet.len() as u16;
            let header = &mut packet.data_mut()[..28];
            header.fill(0);
            header[0] = 0x45;
            header[2..4].copy_from_slice(&length.to_be_bytes());
            header[4..6].copy_from_slice(&self.id.to_be_bytes());
            header[8] = 255;
            header[9] = wire::ICMP;
            header[12..16].copy_from_slice(&self.source);
            header[16..20].copy_from_slice(&self.destination);
            header[20] = self.kind;
            header[21] = self.code;
            header[24..26].copy_from_slice(&self.identifier.to_be_bytes());
            header[26..28].copy_from_slice(&self.id.to_be_bytes());
            self.id = self.id.wrapping_add(1);
            wire::set_ip_checksum(packet.data_mut());
            wire::set_transport_checksum(packet.data_mut());
            packet.set_network(0, 20);
            packet.set_dst_ip(self.destination);
        }
    }
}

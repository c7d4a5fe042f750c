//! ICMPPingEncap: makes packets into ICMP echo requests.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::args::Ip;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ICMPPingEncap",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<ICMPPingEncap>::default(),
    documentation: Documentation {
        summary: "Makes packets into ICMP echo requests.",
        arguments: &[
            ("SRC", "source address"),
            ("DST", "destination address"),
            ("IDENTIFIER", "identifier of the requests, default 0"),
        ],
        handlers: &[],
    },
};

#[derive(Default)]
struct ICMPPingEncap {
    source: [u8; 4],
    destination: [u8; 4],
    kind: u8,
    code: u8,
    identifier: u16,
    id: u16,
}

impl Element for ICMPPingEncap {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut source, mut destination) = (Ip::default(), Ip::default());
        args.required("SRC", &mut source);
        args.required("DST", &mut destination);
        self.kind = 8;
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

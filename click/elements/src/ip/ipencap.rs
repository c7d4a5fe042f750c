//! IPEncap: puts an IP header in front of packets.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
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
use click_runtime::args::Ip;
use click_runtime::args::Raw;
use click_runtime::args::Value;

use crate::common;
use crate::dump;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "IPEncap",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<IPEncap>::default(),
    documentation: Documentation {
        summary: "Puts an IP header in front of packets.",
        arguments: &[
            ("PROTO", "the protocol"),
            ("SRC", "source address"),
            ("DST", "destination address, or `DST_ANNO`"),
            ("TTL", "time to live, default 250"),
            ("TOS", "type of service"),
            ("DSCP", "code point"),
            ("ECN", "congestion bits"),
            ("DF", "whether not to fragment"),
            ("MF", "ignored"),
            ("CE", "whether congestion was met"),
            ("ECT", "whether ECN-capable"),
        ],
        handlers: &[("src", "source address"), ("dst", "destination address")],
    },
};

struct IPEncap {
    header: [u8; 20],
    annotation: bool,
    id: u16,
}

impl Default for IPEncap {
    fn default() -> Self {
        let mut header = [0; 20];
        header[0] = 0x45;
        header[8] = 250;
        Self { header, annotation: false, id: 0 }
    }
}

impl Element for IPEncap {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut protocol, mut source, mut destination) =
            (String::new(), Ip::default(), Raw::default());
        args.required("PROTO", &mut protocol);
        args.required("SRC", &mut source);
        args.required("DST", &mut destination);
        args.keyword("TTL", &mut self.header[8]);
        let (mut tos, mut dscp, mut whole, mut more) = (0u8, None::<u8>, false, false);
        args.keyword("TOS", &mut tos);
        args.keyword("DSCP", &mut dscp);
        args.keyword("DF", &mut whole);
        args.keyword("MF", &mut more);
        args.finish();
        match dump::draft::protocol(&protocol).or((protocol == "ipip").then_some(wire::IPIP)) {
            Some(number) => self.header[9] = number,
            None => args.error("PROTO: expected IP protocol"),
        }
        self.header[1] = dscp.map_or(tos, |dscp| dscp << 2);
        self.header[6] = if whole { 0x40 } else { 0 };
        self.header[12..16].copy_from_slice(&source.0);
        if destination.0 == "DST_ANNO" {
            self.annotation = true;
        } else {
            match Ip::parse(&destination.0, &args.scope) {
                Ok(address) => self.header[16..].copy_from_slice(&address.0),
                Err(error) => args.error(&format!("DST: {error}")),
            }
        }
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            packet.prepend(20);
            let mut header = self.header;
            if self.annotation {
                header[16..].copy_from_slice(&packet.dst_ip());
            }
            header[2..4].copy_from_slice(&(packet.len() as u16).to_be_bytes());
            header[4..6].copy_from_slice(&self.id.to_be_bytes());
            self.id = self.id.wrapping_add(1);
            let checksum = wire::checksum(&header);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            packet.data_mut()[..20].copy_from_slice(&header);
            packet.set_network(0, 20);
            packet.set_dst_ip(wire::ip_at(&header, 16));
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("src"), Handler::both("dst")]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        let at = if handler == "src" { 12 } else { 16 };
        Ok(parse::unparse_ip(wire::ip_at(&self.header, at)))
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let address: Ip = common::value(value, cx)?;
        let at = if handler == "src" { 12 } else { 16 };
        wire::put(&mut self.header, at, &address.0);
        common::done()
    }
}

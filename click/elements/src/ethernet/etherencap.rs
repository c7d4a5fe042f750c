//! EtherEncap: puts an Ethernet header in front of packets.

use alloc::boxed::Box;
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
use click_runtime::args::Ethernet;

use crate::common;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "EtherEncap",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<EtherEncap>::default(),
    documentation: Documentation {
        summary: "Puts an Ethernet header in front of packets.",
        arguments: &[
            ("ETHERTYPE", "the type"),
            ("SRC", "source address"),
            ("DST", "destination address"),
        ],
        handlers: &[
            ("src", "source address"),
            ("dst", "destination address"),
            ("ethertype", "the type"),
        ],
    },
};

#[derive(Default)]
struct EtherEncap {
    header: [u8; 14],
}

impl Element for EtherEncap {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut kind, mut source, mut destination) =
            (0u16, Ethernet::default(), Ethernet::default());
        args.required("ETHERTYPE", &mut kind);
        args.required("SRC", &mut source);
        args.required("DST", &mut destination);
        args.finish();
        self.header[..6].copy_from_slice(&destination.0);
        self.header[6..12].copy_from_slice(&source.0);
        self.header[12..].copy_from_slice(&kind.to_be_bytes());
    }

    fn can_reconfigure(&self) -> bool {
        true
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            packet.prepend(14);
            packet.data_mut()[..14].copy_from_slice(&self.header);
            packet.set_mac(0);
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        ["src", "dst", "ethertype"].into_iter().map(Handler::both).collect()
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        let address = |at: usize| self.header[at..at + 6].try_into().unwrap_or_default();
        Ok(match handler {
            "dst" => parse::unparse_ethernet(address(0)),
            "src" => parse::unparse_ethernet(address(6)),
            _ => wire::u16_at(&self.header, 12).to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "dst" => self.header[..6].copy_from_slice(&common::value::<Ethernet>(value, cx)?.0),
            "src" => self.header[6..12].copy_from_slice(&common::value::<Ethernet>(value, cx)?.0),
            _ => self.header[12..].copy_from_slice(&common::value::<u16>(value, cx)?.to_be_bytes()),
        }
        common::done()
    }
}

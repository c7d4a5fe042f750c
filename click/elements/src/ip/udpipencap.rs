//! UDPIPEncap: puts UDP and IP headers in front of packets.

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
use click_runtime::args::Ip;
use click_runtime::args::Raw;
use click_runtime::args::UdpPort;
use click_runtime::args::Value;

use crate::common;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "UDPIPEncap",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<UDPIPEncap>::default(),
    documentation: Documentation {
        summary: "Puts UDP and IP headers in front of packets.",
        arguments: &[
            ("SRC", "source address"),
            ("SPORT", "source port"),
            ("DST", "destination address, or `DST_ANNO`"),
            ("DPORT", "destination port"),
            ("CHECKSUM", "whether to set the UDP checksum, default true"),
        ],
        handlers: &[
            ("src", "source address"),
            ("sport", "source port"),
            ("dst", "destination address"),
            ("dport", "destination port"),
        ],
    },
};

struct UDPIPEncap {
    source: [u8; 4],
    sport: u16,
    destination: Option<[u8; 4]>,
    dport: u16,
    checksum: bool,
    id: u16,
}

impl Default for UDPIPEncap {
    fn default() -> Self {
        Self { source: [0; 4], sport: 0, destination: None, dport: 0, checksum: true, id: 0 }
    }
}

impl Element for UDPIPEncap {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut source, mut destination) = (Ip::default(), Raw::default());
        let (mut sport, mut dport) = (UdpPort(0), UdpPort(0));
        args.required("SRC", &mut source);
        args.required("SPORT", &mut sport);
        args.required("DST", &mut destination);
        args.required("DPORT", &mut dport);
        args.positional("CHECKSUM", &mut self.checksum);
        args.finish();
        self.source = source.0;
        (self.sport, self.dport) = (sport.0, dport.0);
        if destination.0 != "DST_ANNO" {
            match Ip::parse(&destination.0, &args.scope) {
                Ok(address) => self.destination = Some(address.0),
                Err(error) => args.error(&format!("DST: {error}")),
            }
        }
    }

    fn can_reconfigure(&self) -> bool {
        true
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let destination = self.destination.unwrap_or_else(|| packet.dst_ip());
            packet.prepend(28);
            let length = packet.len() as u16;
            let mut header = [0; 28];
            header[0] = 0x45;
            header[2..4].copy_from_slice(&length.to_be_bytes());
            header[4..6].copy_from_slice(&self.id.to_be_bytes());
            self.id = self.id.wrapping_add(1);
            header[8] = 250;
            header[9] = wire::UDP;
            header[12..16].copy_from_slice(&self.source);
            header[16..20].copy_from_slice(&destination);
            let checksum = wire::checksum(&header[..20]);
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            header[20..22].copy_from_slice(&self.sport.to_be_bytes());
            header[22..24].copy_from_slice(&self.dport.to_be_bytes());
            header[24..26].copy_from_slice(&length.wrapping_sub(20).to_be_bytes());
            packet.data_mut()[..28].copy_from_slice(&header);
            if self.checksum {
                wire::set_transport_checksum(packet.data_mut());
            }
            packet.set_network(0, 20);
            packet.set_dst_ip(destination);
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        ["src", "sport", "dst", "dport"].into_iter().map(Handler::both).collect()
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "src" => parse::unparse_ip(self.source),
            "dst" => parse::unparse_ip(self.destination.unwrap_or_default()),
            "sport" => self.sport.to_string(),
            _ => self.dport.to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "src" => self.source = common::value::<Ip>(value, cx)?.0,
            "dst" => self.destination = Some(common::value::<Ip>(value, cx)?.0),
            "sport" => self.sport = common::value::<UdpPort>(value, cx)?.0,
            _ => self.dport = common::value::<UdpPort>(value, cx)?.0,
        }
        common::done()
    }
}

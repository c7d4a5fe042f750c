//! ARPPrint: prints ARP packets in the manner of tcpdump.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
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

use crate::arp;
use crate::common;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ARPPrint",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<ARPPrint>::default(),
    documentation: Documentation {
        summary: "Prints ARP packets in the manner of tcpdump.",
        arguments: &[
            ("LABEL", "text before each line"),
            ("TIMESTAMP", "whether to print the time, default true"),
            ("ETHER", "whether to print Ethernet addresses"),
            ("ACTIVE", "whether to print, default true"),
        ],
        handlers: &[("active", "whether to print")],
    },
};

struct ARPPrint {
    label: String,
    timestamp: bool,
    ether: bool,
    active: bool,
}

impl Default for ARPPrint {
    fn default() -> Self {
        Self { label: String::new(), timestamp: true, ether: false, active: true }
    }
}

impl ARPPrint {
    fn line(&self, packet: &Packet) -> String {
        let mut out = self.label.clone();
        if !out.is_empty() {
            out.push_str(": ");
        }
        if self.timestamp {
            out.push_str(&format!("{}: ", parse::unparse_time(packet.timestamp() / 1000 * 1000)));
        }
        let data = packet.data();
        let ethernet = |at: usize| {
            let bytes = data.get(at..at + 6).and_then(|bytes| bytes.try_into().ok());
            parse::unparse_ethernet(bytes.unwrap_or_default())
        };
        let ip = |at: usize| parse::unparse_ip(wire::ip_at(data, at));
        if self.ether && data.len() >= 14 {
            out.push_str(&format!("{} > {}: ", ethernet(6), ethernet(0)));
        }
        match arp::operation(data) {
            Some(1) => out.push_str(&format!("arp who-has {} tell {}", ip(38), ip(28))),
            Some(2) => out.push_str(&format!("arp reply {} is-at {}", ip(28), ethernet(22))),
            Some(other) => out.push_str(&format!("arp operation {other}")),
            None => out.push_str(&format!("truncated or non-arp ({} bytes)", data.len())),
        }
        out
    }
}

impl Element for ARPPrint {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("LABEL", &mut self.label);
        args.keyword("TIMESTAMP", &mut self.timestamp);
        args.keyword("ETHER", &mut self.ether);
        args.keyword("ACTIVE", &mut self.active);
        args.finish();
    }

    fn is_exact(&self) -> bool {
        self.active
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        if self.active {
            for packet in batch.iter() {
                let line = self.line(packet);
                cx.message(&line);
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
}

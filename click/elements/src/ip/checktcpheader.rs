//! CheckTCPHeader: checks TCP headers; sends bad packets to output 1.

use alloc::boxed::Box;
use alloc::format;
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
    name: "CheckTCPHeader",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<CheckTCPHeader>::default(),
    documentation: Documentation {
        summary: "Checks TCP headers; sends bad packets to output 1.",
        arguments: &[
            ("VERBOSE", "whether to print every bad packet"),
            ("DETAILS", "whether to count by reason"),
        ],
        handlers: &[("drops", "bad packets")],
    },
};

#[derive(Default)]
struct CheckTCPHeader {
    verbose: bool,
    drops: u64,
}

/// What is wrong with the segment of the IP packet.
fn problem(packet: &Packet) -> Option<&'static str> {
    let ip = packet.network_data();
    let header = wire::header_length(ip);
    let total = usize::from(wire::u16_at(ip, 2)).min(ip.len());
    if wire::protocol(ip) != wire::TCP {
        return Some("not TCP");
    }
    if wire::is_fragment(ip) {
        return None;
    }
    let Some(segment) = ip.get(header..total).filter(|segment| segment.len() >= 20) else {
        return Some("bad packet length");
    };
    let offset = usize::from(segment[12] >> 4) * 4;
    if offset < 20 || offset > segment.len() {
        return Some("bad packet length");
    }
    (wire::transport_checksum(ip, segment) != 0).then_some("bad checksum")
}

impl Element for CheckTCPHeader {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut details = false;
        args.keyword("VERBOSE", &mut self.verbose);
        args.keyword("DETAILS", &mut details);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let mut found = None;
        let dropped = cx.split(batch, 1, |packet| {
            let reason = problem(packet);
            found = reason.or(found);
            reason.is_none()
        });
        if let Some(reason) = found
            && (self.verbose || self.drops == 0)
        {
            let line = format!("{}: TCP header check failed: {reason}", cx.described(cx.id()));
            cx.message(&line);
        }
        self.drops += dropped as u64;
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("drops")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.drops.to_string())
    }
}

//! MarkIPHeader: marks the IP header.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "MarkIPHeader",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<MarkIPHeader>::default(),
    documentation: Documentation {
        summary: "Marks the IP header.",
        arguments: &[("OFFSET", "where it begins, default 0")],
        handlers: &[],
    },
};

#[derive(Default)]
struct MarkIPHeader {
    offset: usize,
}

impl Element for MarkIPHeader {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("OFFSET", &mut self.offset);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let length =
                packet.data().get(self.offset).map_or(20, |first| usize::from(first & 15) * 4);
            packet.set_network(self.offset, length);
            let address = wire::ip_at(packet.network_data(), 16);
            packet.set_dst_ip(address);
        }
    }
}

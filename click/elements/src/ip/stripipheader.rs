//! StripIPHeader: takes the IP header off.

use alloc::boxed::Box;

use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "StripIPHeader",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<StripIPHeader>::default(),
    documentation: Documentation {
        summary: "Takes the IP header off.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct StripIPHeader;

impl Element for StripIPHeader {
    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let offset = packet.network().unwrap_or(0).max(0).unsigned_abs();
            let length = wire::header_length(packet.network_data());
            packet.strip(offset + length);
        }
    }
}

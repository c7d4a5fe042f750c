//! StripToNetworkHeader: takes off everything before the network header.

use alloc::boxed::Box;

use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "StripToNetworkHeader",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<StripToNetworkHeader>::default(),
    documentation: Documentation {
        summary: "Takes off everything before the network header.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct StripToNetworkHeader;

impl Element for StripToNetworkHeader {
    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            match packet.network().unwrap_or(0) {
                offset @ 0.. => packet.strip(offset.unsigned_abs()),
                offset => packet.prepend(offset.unsigned_abs()),
            }
        }
    }
}

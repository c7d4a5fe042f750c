//! SetIPChecksum: computes the IP header checksum.

use alloc::boxed::Box;

use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "SetIPChecksum",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<SetIPChecksum>::default(),
    documentation: Documentation {
        summary: "Computes the IP header checksum.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct SetIPChecksum;

impl Element for SetIPChecksum {
    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            wire::set_ip_checksum(packet.network_data_mut());
        }
    }
}

//! SetUDPChecksum: computes the UDP checksum.

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
    name: "SetUDPChecksum",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<SetUDPChecksum>::default(),
    documentation: Documentation {
        summary: "Computes the UDP checksum.",
        arguments: &[("FIXOFF", "ignored")],
        handlers: &[],
    },
};

#[derive(Default)]
struct SetUDPChecksum;

impl Element for SetUDPChecksum {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut fix = false;
        args.positional("FIXOFF", &mut fix);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let ip = packet.network_data_mut();
            let length = usize::from(wire::u16_at(ip, 2)).min(ip.len());
            if wire::protocol(ip) == wire::UDP && wire::is_first_fragment(ip) {
                wire::set_transport_checksum(&mut ip[..length]);
            }
        }
    }
}

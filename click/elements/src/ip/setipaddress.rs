//! SetIPAddress: sets the destination address annotation.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::anno;
use click_runtime::anno::Slot;
use click_runtime::args::Annotation;
use click_runtime::args::Ip;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "SetIPAddress",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<SetIPAddress>::default(),
    documentation: Documentation {
        summary: "Sets the destination address annotation.",
        arguments: &[("IPADDR", "the address"), ("ANNO", "annotation to set")],
        handlers: &[],
    },
};

#[derive(Default)]
struct SetIPAddress {
    address: [u8; 4],
    slot: usize,
}

impl Element for SetIPAddress {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut address = Ip::default();
        let mut slot = Annotation::<4>(Slot { offset: anno::DST_IP, size: 4 });
        args.required("IPADDR", &mut address);
        args.positional("ANNO", &mut slot);
        args.finish();
        self.address = address.0;
        self.slot = slot.0.offset;
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            packet.set_anno(self.slot, self.address);
        }
    }
}

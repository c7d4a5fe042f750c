//! Strip: takes bytes off the front of packets.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Strip",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<Strip>::default(),
    documentation: Documentation {
        summary: "Takes bytes off the front of packets.",
        arguments: &[("LENGTH", "number of bytes")],
        handlers: &[],
    },
};

#[derive(Default)]
struct Strip {
    count: usize,
}

impl Element for Strip {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.required("LENGTH", &mut self.count);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            packet.strip(self.count);
        }
    }
}

//! Unstrip: puts bytes back on the front of packets.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Unstrip",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<Unstrip>::default(),
    documentation: Documentation {
        summary: "Puts bytes back on the front of packets.",
        arguments: &[("LENGTH", "number of bytes")],
        handlers: &[],
    },
};

#[derive(Default)]
struct Unstrip {
    count: usize,
}

impl Element for Unstrip {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.required("LENGTH", &mut self.count);
        args.finish();
        if self.count > 1 << 16 {
            args.error("LENGTH: too large");
        }
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            packet.prepend(self.count);
        }
    }
}

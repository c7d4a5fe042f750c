//! MarkMACHeader: marks the link-level header.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "MarkMACHeader",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<MarkMACHeader>::default(),
    documentation: Documentation {
        summary: "Marks the link-level header.",
        arguments: &[("OFFSET", "where it begins, default 0"), ("LENGTH", "ignored")],
        handlers: &[],
    },
};

#[derive(Default)]
struct MarkMACHeader {
    offset: usize,
}

impl Element for MarkMACHeader {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut length = 0u32;
        args.positional("OFFSET", &mut self.offset);
        args.positional("LENGTH", &mut length);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            packet.set_mac(self.offset);
        }
    }
}

//! Block: sends a fraction of the packets away, chosen at random.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Block",
    ports: "1/1-2",
    processing: "h/h",
    flow: "",
    make: || Box::<Block>::default(),
    documentation: Documentation {
        summary: "Sends a fraction of the packets away, chosen at random.",
        arguments: &[("THRESHOLD", "packets per hundred that pass")],
        handlers: &[],
    },
};

#[derive(Default)]
struct Block {
    threshold: u32,
}

impl Element for Block {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.required("THRESHOLD", &mut self.threshold);
        args.finish();
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        for packet in batch {
            let pass = cx.random_range(0, 99) < self.threshold;
            cx.push_one(usize::from(!pass), packet);
        }
    }
}

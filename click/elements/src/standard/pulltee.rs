//! PullTee: passes pulled packets, and pushes copies to the other outputs.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "PullTee",
    ports: "1/1-",
    processing: "l/lh",
    flow: "",
    make: || Box::<PullTee>::default(),
    documentation: Documentation {
        summary: "Passes pulled packets, and pushes copies to the other outputs.",
        arguments: &[("N", "number of outputs, as used")],
        handlers: &[],
    },
};

#[derive(Default)]
struct PullTee;

impl Element for PullTee {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut number = args.outputs;
        args.positional("N", &mut number);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        for output in 1..cx.outputs() {
            let mut copies = cx.batch();
            for packet in batch.iter() {
                copies.push(cx.copy(packet));
            }
            cx.push(output, copies);
        }
    }
}

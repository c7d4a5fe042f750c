//! Tee: sends a copy of each packet to every output.

use alloc::boxed::Box;
use alloc::format;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

use crate::flow;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Tee",
    ports: "1/1-",
    processing: "h/h",
    flow: "",
    make: || Box::<Tee>::default(),
    documentation: Documentation {
        summary: "Sends a copy of each packet to every output.",
        arguments: &[("N", "number of outputs, as used")],
        handlers: &[],
    },
};

#[derive(Default)]
struct Tee;

impl Element for Tee {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut number = args.outputs;
        args.positional("N", &mut number);
        args.finish();
        if number != args.outputs {
            args.error(&format!("{number} outputs implies {number} connections"));
        }
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        flow::distribute(batch, cx, |_| flow::Way::All);
    }
}

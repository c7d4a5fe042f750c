//! StaticSwitch: sends all packets to one output.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "StaticSwitch",
    ports: "1/-",
    processing: "h/h",
    flow: "",
    make: || Box::<StaticSwitch>::default(),
    documentation: Documentation {
        summary: "Sends all packets to one output.",
        arguments: &[("OUTPUT", "the output; -1 discards")],
        handlers: &[],
    },
};

#[derive(Default)]
struct StaticSwitch {
    output: i32,
}

impl Element for StaticSwitch {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.required("OUTPUT", &mut self.output);
        args.finish();
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        match usize::try_from(self.output) {
            Ok(output) => cx.push(output, batch),
            Err(_) => cx.kill_all(batch),
        }
    }
}

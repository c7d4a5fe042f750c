//! StaticPullSwitch: always pulls from the same input.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "StaticPullSwitch",
    ports: "-/1",
    processing: "l/l",
    flow: "",
    make: || Box::<StaticPullSwitch>::default(),
    documentation: Documentation {
        summary: "Always pulls from the same input.",
        arguments: &[("INPUT", "the input; -1 for none")],
        handlers: &[],
    },
};

#[derive(Default)]
struct StaticPullSwitch {
    input: i32,
}

impl Element for StaticPullSwitch {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.required("INPUT", &mut self.input);
        args.finish();
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        match usize::try_from(self.input) {
            Ok(input) => cx.pull(input, most),
            Err(_) => cx.batch(),
        }
    }
}

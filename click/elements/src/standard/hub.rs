//! Hub: sends each packet to all outputs but that of its input.

use alloc::boxed::Box;
use alloc::vec::Vec;

use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

use crate::flow;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Hub",
    ports: "-/-",
    processing: "h/h",
    flow: "#/[^#]",
    make: || Box::<Hub>::default(),
    documentation: Documentation {
        summary: "Sends each packet to all outputs but that of its input.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct Hub;

impl Element for Hub {
    fn push(&mut self, port: usize, batch: Batch, cx: &mut Context<'_>) {
        let outputs: Vec<usize> = (0..cx.outputs()).filter(|&output| output != port).collect();
        flow::copy_to(batch, &outputs, cx);
    }
}

//! RoundRobinSwitch: sends packets to its outputs in turn.

use alloc::boxed::Box;

use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

use crate::flow;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "RoundRobinSwitch",
    ports: "1/1-",
    processing: "h/h",
    flow: "",
    make: || Box::<RoundRobinSwitch>::default(),
    documentation: Documentation {
        summary: "Sends packets to its outputs in turn.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct RoundRobinSwitch {
    next: usize,
}

impl Element for RoundRobinSwitch {
    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        let outputs = cx.outputs().max(1);
        let mut next = self.next;
        flow::distribute(batch, cx, |_| {
            let port = next;
            next = (next + 1) % outputs;
            flow::Way::Port(port)
        });
        self.next = next;
    }
}

//! PrioSched: pulls from the first of its inputs that has packets.

use alloc::boxed::Box;
use alloc::vec::Vec;

use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::notify::Signal;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "PrioSched",
    ports: "1-/1",
    processing: "l/l",
    flow: "",
    make: || Box::<PrioSched>::default(),
    documentation: Documentation {
        summary: "Pulls from the first of its inputs that has packets.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct PrioSched {
    signals: Vec<Signal>,
}

impl Element for PrioSched {
    fn initialize(&mut self, cx: &mut Context<'_>) {
        for port in 0..cx.inputs() {
            let signal = cx.upstream_signal(port, false);
            self.signals.push(signal);
        }
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        for (input, signal) in self.signals.iter().enumerate() {
            if cx.is_active(signal) {
                let batch = cx.pull(input, most);
                if !batch.is_empty() {
                    return batch;
                }
                cx.kill_all(batch);
            }
        }
        cx.batch()
    }
}

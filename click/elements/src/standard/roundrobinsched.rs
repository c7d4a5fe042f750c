//! RoundRobinSched: pulls from its inputs in turn.

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
    name: "RoundRobinSched",
    ports: "1-/1",
    processing: "l/l",
    flow: "",
    make: || Box::<RoundRobinSched>::default(),
    documentation: Documentation {
        summary: "Pulls from its inputs in turn.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct RoundRobinSched {
    signals: Vec<Signal>,
    next: usize,
}

impl Element for RoundRobinSched {
    fn initialize(&mut self, cx: &mut Context<'_>) {
        for port in 0..cx.inputs() {
            let signal = cx.upstream_signal(port, false);
            self.signals.push(signal);
        }
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.batch();
        let count = self.signals.len();
        let mut vain = 0;
        while batch.len() < most && vain < count {
            let input = self.next;
            self.next = (self.next + 1) % count;
            let packet = if cx.is_active(&self.signals[input]) { cx.pull_one(input) } else { None };
            match packet {
                Some(packet) => {
                    batch.push(packet);
                    vain = 0;
                }
                None => vain += 1,
            }
        }
        batch
    }
}

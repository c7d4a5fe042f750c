//! AdjustTimestamp: adds to timestamps.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::args::Time;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "AdjustTimestamp",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<AdjustTimestamp>::default(),
    documentation: Documentation {
        summary: "Adds to timestamps.",
        arguments: &[
            ("DELTA", "time to add"),
            ("ALL", "whether to change timestamps of zero, too"),
        ],
        handlers: &[],
    },
};

#[derive(Default)]
struct AdjustTimestamp {
    delta: i64,
    all: bool,
}

impl Element for AdjustTimestamp {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut delta = Time::default();
        args.required("DELTA", &mut delta);
        args.keyword("ALL", &mut self.all);
        args.finish();
        self.delta = delta.0;
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            if packet.timestamp() != 0 || self.all {
                packet.set_timestamp(packet.timestamp() + self.delta);
            }
        }
    }
}

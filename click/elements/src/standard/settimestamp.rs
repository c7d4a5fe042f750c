//! SetTimestamp: sets the timestamp of packets.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::anno;
use click_runtime::args::Time;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "SetTimestamp",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<SetTimestamp>::default(),
    documentation: Documentation {
        summary: "Sets the timestamp of packets.",
        arguments: &[
            ("TIMESTAMP", "time to set, default now"),
            ("FIRST", "whether to set the first timestamp annotation instead"),
            ("DELTA", "ignored"),
        ],
        handlers: &[],
    },
};

#[derive(Default)]
struct SetTimestamp {
    time: Option<i64>,
    first: bool,
}

impl Element for SetTimestamp {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut time = None::<Time>;
        args.positional("TIMESTAMP", &mut time);
        args.keyword("FIRST", &mut self.first);
        args.finish();
        self.time = time.map(|time| time.0);
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        for packet in batch {
            let time = match self.time {
                Some(time) => time,
                None => cx.now(),
            };
            if self.first {
                packet.set_anno(anno::FIRST_TIMESTAMP, time.to_ne_bytes());
            } else {
                packet.set_timestamp(time);
            }
        }
    }
}

//! Resize: moves the ends of packets, with whatever bytes are there.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Resize",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<Resize>::default(),
    documentation: Documentation {
        summary: "Moves the ends of packets, with whatever bytes are there.",
        arguments: &[
            ("HEAD", "bytes to add at the front; negative takes off"),
            ("TAIL", "bytes to add at the end"),
        ],
        handlers: &[],
    },
};

#[derive(Default)]
struct Resize {
    head: i32,
    tail: i32,
}

impl Element for Resize {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("HEAD", &mut self.head);
        args.positional("TAIL", &mut self.tail);
        args.finish();
        if self.head.max(self.tail) > 1 << 16 {
            args.error("too large");
        }
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let amount = |bytes: i32| bytes.unsigned_abs() as usize;
            if self.head > 0 {
                packet.prepend(amount(self.head));
            } else {
                packet.strip(amount(self.head));
            }
            if self.tail > 0 {
                packet.append(amount(self.tail));
            } else {
                packet.truncate(amount(self.tail));
            }
        }
    }
}

//! Align: moves packets so that their data is aligned.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Align",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<Align>::default(),
    documentation: Documentation {
        summary: "Moves packets so that their data is aligned.",
        arguments: &[
            ("MODULUS", "a power of two"),
            ("OFFSET", "offset of the data from a multiple of it"),
        ],
        handlers: &[],
    },
};

#[derive(Default)]
struct Align {
    modulus: usize,
    offset: usize,
}

impl Element for Align {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.required("MODULUS", &mut self.modulus);
        args.required("OFFSET", &mut self.offset);
        args.finish();
        if !self.modulus.is_power_of_two() || self.modulus > 4096 || self.offset >= self.modulus {
            args.error("bad modulus or offset");
        }
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            packet.align(self.modulus, self.offset);
        }
    }
}

//! PaintTee: passes all packets, and copies of those with one paint to output 1.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::anno;
use click_runtime::anno::Slot;
use click_runtime::args::Annotation;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "PaintTee",
    ports: "1/2",
    processing: "a/ah",
    flow: "",
    make: || Box::<PaintTee>::default(),
    documentation: Documentation {
        summary: "Passes all packets, and copies of those with one paint to output 1.",
        arguments: &[("COLOR", "the paint"), ("ANNO", "annotation to look at")],
        handlers: &[("color", "the paint")],
    },
};

struct PaintTee {
    color: u8,
    slot: usize,
}

impl Default for PaintTee {
    fn default() -> Self {
        Self { color: 0, slot: anno::PAINT }
    }
}

impl Element for PaintTee {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut slot = Annotation::<1>(Slot { offset: anno::PAINT, size: 1 });
        args.required("COLOR", &mut self.color);
        args.positional("ANNO", &mut slot);
        args.finish();
        self.slot = slot.0.offset;
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        for packet in batch.iter() {
            if packet.anno_u8(self.slot) == self.color {
                let copy = cx.copy(packet);
                cx.push_one(1, copy);
            }
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("color")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.color.to_string())
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        self.color = common::value(value, cx)?;
        common::done()
    }
}

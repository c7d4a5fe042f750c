//! Paint: sets the paint annotation.

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
    name: "Paint",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<Paint>::default(),
    documentation: Documentation {
        summary: "Sets the paint annotation.",
        arguments: &[
            ("COLOR", "the paint, 0 to 255"),
            ("ANNO", "annotation to set, default PAINT"),
        ],
        handlers: &[("color", "the paint")],
    },
};

struct Paint {
    color: u8,
    slot: usize,
}

impl Default for Paint {
    fn default() -> Self {
        Self { color: 0, slot: anno::PAINT }
    }
}

impl Element for Paint {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut slot = Annotation::<1>(Slot { offset: anno::PAINT, size: 1 });
        args.required("COLOR", &mut self.color);
        args.positional("ANNO", &mut slot);
        args.finish();
        self.slot = slot.0.offset;
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            packet.set_anno_u8(self.slot, self.color);
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

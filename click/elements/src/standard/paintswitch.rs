//! PaintSwitch: sends each packet to the output that its paint names.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::anno;
use click_runtime::anno::Slot;
use click_runtime::args::Annotation;

use crate::flow;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "PaintSwitch",
    ports: "1/-",
    processing: "h/h",
    flow: "",
    make: || Box::<PaintSwitch>::default(),
    documentation: Documentation {
        summary: "Sends each packet to the output that its paint names.",
        arguments: &[("ANNO", "annotation to look at")],
        handlers: &[],
    },
};

struct PaintSwitch {
    slot: usize,
}

impl Default for PaintSwitch {
    fn default() -> Self {
        Self { slot: anno::PAINT }
    }
}

impl Element for PaintSwitch {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut slot = Annotation::<1>(Slot { offset: anno::PAINT, size: 1 });
        args.positional("ANNO", &mut slot);
        args.finish();
        self.slot = slot.0.offset;
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        let slot = self.slot;
        flow::distribute(batch, cx, |packet| match packet.anno_u8(slot) {
            255 => flow::Way::All,
            paint => flow::Way::Port(usize::from(paint)),
        });
    }
}

//! Truncate: cuts packets to a length.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::anno;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Truncate",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<Truncate>::default(),
    documentation: Documentation {
        summary: "Cuts packets to a length.",
        arguments: &[
            ("LENGTH", "most bytes"),
            ("NBYTES", "or: bytes to cut off"),
            (
                "EXTRA_ANNO",
                "whether to note the cut bytes in the extra length annotation, default true",
            ),
        ],
        handlers: &[],
    },
};

struct Truncate {
    most: usize,
    cut: usize,
    note: bool,
}

impl Default for Truncate {
    fn default() -> Self {
        Self { most: usize::MAX, cut: 0, note: true }
    }
}

impl Element for Truncate {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut most = None;
        args.positional("LENGTH", &mut most);
        args.keyword("NBYTES", &mut self.cut);
        args.keyword("EXTRA_ANNO", &mut self.note);
        args.finish();
        self.most = most.unwrap_or(usize::MAX);
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let before = packet.len();
            packet.truncate(self.cut);
            packet.truncate(packet.len().saturating_sub(self.most));
            if self.note {
                let extra = packet.anno_u32(anno::EXTRA_LENGTH);
                let lost = (before - packet.len()) as u32;
                packet.set_anno_u32(anno::EXTRA_LENGTH, extra.wrapping_add(lost));
            }
        }
    }
}

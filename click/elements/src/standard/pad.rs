//! Pad: lengthens packets with zero bytes.

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
    name: "Pad",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<Pad>::default(),
    documentation: Documentation {
        summary: "Lengthens packets with zero bytes.",
        arguments: &[
            (
                "LENGTH",
                "least bytes; without it the extra length annotation says how many are missing",
            ),
            ("ZERO", "whether the new bytes are zero, default true"),
        ],
        handlers: &[],
    },
};

struct Pad {
    least: Option<usize>,
    zero: bool,
}

impl Default for Pad {
    fn default() -> Self {
        Self { least: None, zero: true }
    }
}

/// Most bytes that an annotation may ask for.
const MOST: usize = 1 << 16;

impl Element for Pad {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("LENGTH", &mut self.least);
        args.keyword("ZERO", &mut self.zero);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let old = packet.len();
            let more = match self.least {
                Some(least) => least.saturating_sub(old),
                None => packet.anno_u32(anno::EXTRA_LENGTH) as usize,
            }
            .min(MOST);
            if more > 0 {
                packet.append(more);
                if self.zero {
                    packet.data_mut()[old..].fill(0);
                }
            }
            packet.set_anno_u32(anno::EXTRA_LENGTH, 0);
        }
    }
}

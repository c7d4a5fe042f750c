//! UnstripIPHeader: puts the IP header back.

use alloc::boxed::Box;

use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "UnstripIPHeader",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<UnstripIPHeader>::default(),
    documentation: Documentation {
        summary: "Puts the IP header back.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct UnstripIPHeader;

impl Element for UnstripIPHeader {
    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let offset = packet.network().unwrap_or(0);
            if offset < 0 {
                packet.prepend(offset.unsigned_abs());
            }
        }
    }
}

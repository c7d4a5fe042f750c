//! AlignmentInfo: says how packets at elements are aligned; nothing here depends on it.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Phase;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "AlignmentInfo",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<AlignmentInfo>::default(),
    documentation: Documentation {
        summary: "Says how packets at elements are aligned; nothing here depends on it.",
        arguments: &[("ELEMENT MODULUS OFFSET...", "as click-align writes it")],
        handlers: &[],
    },
};

#[derive(Default)]
struct AlignmentInfo;

impl Element for AlignmentInfo {
    fn phase(&self) -> Phase {
        Phase::Info
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        args.rest();
    }
}

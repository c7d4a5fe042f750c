//! Error: stands for an element that could not be made; never runs.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Error",
    ports: "-/-",
    processing: "a/a",
    flow: "",
    make: || Box::<Error>::default(),
    documentation: Documentation {
        summary: "Stands for an element that could not be made; never runs.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct Error;

impl Element for Error {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.rest();
        args.error("element class not found");
    }
}

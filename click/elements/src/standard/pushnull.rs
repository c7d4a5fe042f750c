//! PushNull: passes packets on unchanged.

use alloc::boxed::Box;

use click_runtime::Class;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "PushNull",
    ports: "1/1",
    processing: "h/h",
    flow: "",
    make: || Box::<PushNull>::default(),
    documentation: Documentation {
        summary: "Passes packets on unchanged.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct PushNull;

impl Element for PushNull {}

//! PullNull: passes packets on unchanged.

use alloc::boxed::Box;

use click_runtime::Class;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "PullNull",
    ports: "1/1",
    processing: "l/l",
    flow: "",
    make: || Box::<PullNull>::default(),
    documentation: Documentation {
        summary: "Passes packets on unchanged.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct PullNull;

impl Element for PullNull {}

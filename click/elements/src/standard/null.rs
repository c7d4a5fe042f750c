//! Null: passes packets on unchanged.

use alloc::boxed::Box;

use click_runtime::Class;
use click_runtime::Documentation;
use click_runtime::Element;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Null",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<Null>::default(),
    documentation: Documentation {
        summary: "Passes packets on unchanged.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct Null;

impl Element for Null {}

//! RangeIPLookup: sends packets where the longest matching route says.

use alloc::boxed::Box;

use click_runtime::Class;
use click_runtime::Documentation;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "RangeIPLookup",
    ports: "1/-",
    processing: "h/h",
    flow: "",
    make: || Box::new(crate::route::Lookup::new(true)),
    documentation: Documentation {
        summary: "Sends packets where the longest matching route says.",
        arguments: &[("ADDR/MASK [GW] OUT...", "routes")],
        handlers: &[
            ("table", "the routes"),
            ("lookup", "output and gateway for an address"),
            ("add", "adds a route"),
            ("set", "adds or changes a route"),
            ("remove", "removes a route"),
            ("ctrl", "several commands, one per line"),
            ("flush", "removes all routes"),
        ],
    },
};

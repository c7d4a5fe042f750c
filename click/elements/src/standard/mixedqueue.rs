//! MixedQueue: first in, first out from input 0; last in, first out from input 1; input 1 goes first.

use alloc::boxed::Box;

use click_runtime::Class;
use click_runtime::Documentation;

use crate::flow;
use crate::flow::Queue;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "MixedQueue",
    ports: "2/1",
    processing: "h/l",
    flow: "",
    make: || Box::new(Queue::new(flow::Notices::MIXED)),
    documentation: Documentation {
        summary: "First in, first out from input 0; last in, first out from input 1; input 1 goes first.",
        arguments: &[("CAPACITY", "most packets, default 1000")],
        handlers: &[
            ("length", "packets in the queue"),
            ("capacity", "most packets"),
            ("drops", "packets dropped"),
        ],
    },
};

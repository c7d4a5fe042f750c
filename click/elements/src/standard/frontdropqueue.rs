//! FrontDropQueue: like Queue, but when it is full the oldest packet goes.

use alloc::boxed::Box;

use click_runtime::Class;
use click_runtime::Documentation;

use crate::flow;
use crate::flow::Queue;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "FrontDropQueue",
    ports: "1/1-2",
    processing: "h/lh",
    flow: "",
    make: || Box::new(Queue::new(flow::Notices::FRONT)),
    documentation: Documentation {
        summary: "Like Queue, but when it is full the oldest packet goes.",
        arguments: &[("CAPACITY", "most packets, default 1000")],
        handlers: &[
            ("length", "packets in the queue"),
            ("capacity", "most packets"),
            ("drops", "packets dropped"),
        ],
    },
};

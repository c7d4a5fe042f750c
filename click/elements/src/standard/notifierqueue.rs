//! NotifierQueue: keeps packets in order until they are pulled, and tells when there are some.

use alloc::boxed::Box;

use click_runtime::Class;
use click_runtime::Documentation;

use crate::flow;
use crate::flow::Queue;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "NotifierQueue",
    ports: "1/1-2",
    processing: "h/lh",
    flow: "",
    make: || Box::new(Queue::new(flow::Notices::EMPTY)),
    documentation: Documentation {
        summary: "Keeps packets in order until they are pulled, and tells when there are some.",
        arguments: &[("CAPACITY", "most packets, default 1000")],
        handlers: &[
            ("length", "packets in the queue"),
            ("highwater_length", "most packets so far"),
            ("capacity", "most packets"),
            ("drops", "packets dropped because the queue was full"),
            ("reset_counts", "sets drops and highwater length anew"),
            ("reset", "drops all packets"),
        ],
    },
};

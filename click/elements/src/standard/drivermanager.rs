//! DriverManager: runs a script whenever the router is about to stop; the router ends when the script does.

use alloc::boxed::Box;

use click_runtime::Class;
use click_runtime::Documentation;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "DriverManager",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::new(super::script::Script::driver()),
    documentation: Documentation {
        summary: "Runs a script whenever the router is about to stop; the router ends when the script does.",
        arguments: &[(
            "INSTRUCTION...",
            "`set`, `init`, `export`, `print`, `read`, `write`, `wait`, `goto`, `label`, `return`, `stop`, `end` and others",
        )],
        handlers: &[("run, step, ...", "as Script has")],
    },
};

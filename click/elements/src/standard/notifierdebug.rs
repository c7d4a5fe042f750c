//! NotifierDebug: shows the notifiers around it.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::notify::Signal;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "NotifierDebug",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<NotifierDebug>::default(),
    documentation: Documentation {
        summary: "Shows the notifiers around it.",
        arguments: &[],
        handlers: &[
            ("signal", "state of the notifiers upstream, or downstream if packets are pushed"),
            ("state", "the same"),
        ],
    },
};

#[derive(Default)]
struct NotifierDebug {
    signal: Signal,
}

impl Element for NotifierDebug {
    fn initialize(&mut self, cx: &mut Context<'_>) {
        self.signal = if cx.input_is_push(0) {
            cx.downstream_signal(0, false)
        } else {
            cx.upstream_signal(0, false)
        };
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("signal"), Handler::read("state")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, cx: &mut Context<'_>) -> Answer {
        Ok(cx.unparse_signal(&self.signal))
    }
}

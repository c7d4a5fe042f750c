//! CheckLength: passes packets up to a length; sends longer ones to output 1.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "CheckLength",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<CheckLength>::default(),
    documentation: Documentation {
        summary: "Passes packets up to a length; sends longer ones to output 1.",
        arguments: &[
            ("LENGTH", "most bytes"),
            ("EXTRA_LENGTH", "whether to count the extra length annotation"),
        ],
        handlers: &[("length", "most bytes")],
    },
};

#[derive(Default)]
struct CheckLength {
    most: usize,
}

impl Element for CheckLength {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut extra = false;
        args.required("LENGTH", &mut self.most);
        args.keyword("EXTRA_LENGTH", &mut extra);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let most = self.most;
        cx.split(batch, 1, |packet| packet.len() <= most);
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("length")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.most.to_string())
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        self.most = common::value(value, cx)?;
        common::done()
    }
}

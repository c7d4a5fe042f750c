//! SimplePullSwitch: pulls from one input, which handlers can change.

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
    name: "SimplePullSwitch",
    ports: "1-/1",
    processing: "l/l",
    flow: "",
    make: || Box::<SimplePullSwitch>::default(),
    documentation: Documentation {
        summary: "Pulls from one input, which handlers can change.",
        arguments: &[("INPUT", "the input, default 0; -1 for none")],
        handlers: &[("switch", "the input"), ("config", "the input")],
    },
};

#[derive(Default)]
struct SimplePullSwitch {
    input: i32,
}

impl Element for SimplePullSwitch {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("INPUT", &mut self.input);
        args.finish();
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        match usize::try_from(self.input) {
            Ok(input) => cx.pull(input, most),
            Err(_) => cx.batch(),
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("switch")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.input.to_string())
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let input: i32 = common::value(value, cx)?;
        self.input = if input >= cx.inputs() as i32 { -1 } else { input };
        common::done()
    }
}

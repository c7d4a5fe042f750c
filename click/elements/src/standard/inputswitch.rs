//! InputSwitch: passes packets from one input and drops others.

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
    name: "InputSwitch",
    ports: "-/1",
    processing: "h/h",
    flow: "",
    make: || Box::<InputSwitch>::default(),
    documentation: Documentation {
        summary: "Passes packets from one input and drops others.",
        arguments: &[("INPUT", "the input, default 0; -1 drops all")],
        handlers: &[("switch", "the input")],
    },
};

#[derive(Default)]
struct InputSwitch {
    input: i32,
}

impl Element for InputSwitch {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("INPUT", &mut self.input);
        args.finish();
    }

    fn push(&mut self, port: usize, batch: Batch, cx: &mut Context<'_>) {
        if usize::try_from(self.input) == Ok(port) {
            cx.push(0, batch);
        } else {
            cx.kill_all(batch);
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

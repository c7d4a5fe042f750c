//! Switch: sends all packets to one output, which handlers can change.

use alloc::boxed::Box;
use alloc::format;
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
    name: "Switch",
    ports: "1/-",
    processing: "h/h",
    flow: "",
    make: || Box::<Switch>::default(),
    documentation: Documentation {
        summary: "Sends all packets to one output, which handlers can change.",
        arguments: &[("OUTPUT", "the output, default 0; -1 discards")],
        handlers: &[
            ("switch", "the output"),
            ("CLICK_LLRPC", "reads or sets the output by number"),
        ],
    },
};

#[derive(Default)]
struct Switch {
    output: i32,
}

impl Element for Switch {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("OUTPUT", &mut self.output);
        args.finish();
        if usize::try_from(self.output).is_ok_and(|output| output >= args.outputs) {
            args.error(&format!("output must be < {}", args.outputs));
        }
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        match usize::try_from(self.output) {
            Ok(output) => cx.push(output, batch),
            Err(_) => cx.kill_all(batch),
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("switch")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.output.to_string())
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let output: i32 = common::value(value, cx)?;
        // An output that is not there discards, as -1 does.
        self.output = if output >= cx.outputs() as i32 { -1 } else { output };
        common::done()
    }
}

//! Bypass: sends packets from input 0 straight to output 0, or around by output 1 and back into input 1.

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
    name: "Bypass",
    ports: "1-2/1-2",
    processing: "a/a",
    flow: "xy/[xy]x",
    make: || Box::<Bypass>::default(),
    documentation: Documentation {
        summary: "Sends packets from input 0 straight to output 0, or around by output 1 and back into input 1.",
        arguments: &[("ACTIVE", "whether to take the way around, default false")],
        handlers: &[("active", "whether to take the way around")],
    },
};

#[derive(Default)]
struct Bypass {
    active: bool,
}

impl Element for Bypass {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("ACTIVE", &mut self.active);
        args.finish();
    }

    fn push(&mut self, port: usize, batch: Batch, cx: &mut Context<'_>) {
        cx.push(usize::from(port == 0 && self.active), batch);
    }

    fn forward(&self, port: usize) -> Option<usize> {
        match (port, self.active) {
            (0, false) | (1, true) => Some(0),
            (0, true) => Some(1),
            // An input that is not there gives nothing.
            _ => Some(usize::MAX),
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::checkbox("active")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.active.to_string())
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        self.active = common::value(value, cx)?;
        common::done()
    }
}

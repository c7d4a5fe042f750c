//! Shaper: lets packets be pulled at a rate at output 0, and the rest at output 1.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use click_language::value as parse;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::args::Raw;

use crate::bucket;
use crate::common;
use crate::gap::Gap;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Shaper",
    ports: "1/1-2",
    processing: "l/l",
    flow: "",
    make: || Box::<Shaper>::default(),
    documentation: Documentation {
        summary: "Lets packets be pulled at a rate at output 0, and the rest at output 1.",
        arguments: &[("RATE", "packets per second")],
        handlers: &[("rate", "the rate"), ("reset", "begins anew")],
    },
};

struct Shaper {
    gap: Gap,
}

impl Default for Shaper {
    fn default() -> Self {
        Self { gap: Gap::new(0) }
    }
}

const BANDWIDTH: bool = false;

impl Element for Shaper {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut text = Raw::default();
        args.required("RATE", &mut text);
        args.finish();
        let rate = if BANDWIDTH { parse::bandwidth(&text.0) } else { parse::unsigned(&text.0) };
        match rate {
            Some(rate) => self.gap = Gap::new(u32::try_from(rate).unwrap_or(u32::MAX)),
            None => args.error("RATE: expected rate"),
        }
    }

    fn pull(&mut self, port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.batch();
        while batch.len() < most {
            let now = cx.now();
            let due = self.gap.is_due(now);
            if due != (port == 0) {
                break;
            }
            let Some(packet) = cx.pull_one(0) else { break };
            if due {
                self.gap.update_with(if BANDWIDTH { packet.len() as i64 } else { 1 });
            }
            batch.push(packet);
        }
        batch
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("rate"), Handler::button("reset")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(bucket::unparse_rate(self.gap.rate(), BANDWIDTH))
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        if handler == "rate" {
            let rate = bucket::parse_rate(value, BANDWIDTH, cx)?;
            let now = cx.now();
            self.gap.set_rate(rate, now);
            common::show_keyword("RATE", value, Some(0), cx);
        } else {
            self.gap.reset();
        }
        common::done()
    }
}

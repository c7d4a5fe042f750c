//! TimedSink: pulls and discards a packet at intervals.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use click_language::value as parse;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::args::Time;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "TimedSink",
    ports: "1/0",
    processing: "l",
    flow: "",
    make: || Box::<TimedSink>::default(),
    documentation: Documentation {
        summary: "Pulls and discards a packet at intervals.",
        arguments: &[("INTERVAL", "time between packets, default 500ms")],
        handlers: &[("interval", "time between packets")],
    },
};

struct TimedSink {
    interval: i64,
}

impl Default for TimedSink {
    fn default() -> Self {
        Self { interval: 500_000_000 }
    }
}

impl Element for TimedSink {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut interval = Time(self.interval);
        args.positional("INTERVAL", &mut interval);
        args.finish();
        if interval.0 <= 0 {
            args.error("INTERVAL must be > 0");
        }
        self.interval = interval.0;
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        cx.set_timer_after(0, self.interval);
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        if let Some(packet) = cx.pull_one(0) {
            cx.kill(packet);
        }
        cx.set_timer_after(0, self.interval);
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("interval")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(parse::unparse_time(self.interval))
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let interval = common::value::<Time>(value, cx)?;
        if interval.0 <= 0 {
            return Err("INTERVAL must be > 0".into());
        }
        self.interval = interval.0;
        common::done()
    }
}

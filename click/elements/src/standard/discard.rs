//! Discard: discards packets, pulling them if it must.

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
use click_runtime::notify::Signal;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Discard",
    ports: "1/0",
    processing: "a/a",
    flow: "",
    make: || Box::<Discard>::default(),
    documentation: Documentation {
        summary: "Discards packets, pulling them if it must.",
        arguments: &[
            ("ACTIVE", "whether to pull packets, default true"),
            ("BURST", "most packets to pull at once, default 1"),
        ],
        handlers: &[
            ("count", "packets discarded"),
            ("active", "whether to pull packets"),
            ("reset_counts", "sets the count to 0"),
        ],
    },
};

struct Discard {
    active: bool,
    burst: usize,
    count: u64,
    signal: Signal,
}

impl Default for Discard {
    fn default() -> Self {
        Self { active: true, burst: 1, count: 0, signal: Signal::busy() }
    }
}

impl Element for Discard {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.keyword("ACTIVE", &mut self.active);
        args.keyword("BURST", &mut self.burst);
        args.finish();
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        if cx.inputs() > 0 && !cx.input_is_push(0) {
            self.signal = cx.upstream_signal(0, true);
            self.burst = self.burst.max(cx.burst());
            if self.active {
                cx.reschedule();
            }
        }
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        self.count += batch.len() as u64;
        cx.kill_all(batch);
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.active {
            return false;
        }
        let batch = cx.pull(0, self.burst);
        let count = batch.len();
        self.count += count as u64;
        cx.kill_all(batch);
        if count == 0 && !cx.is_active(&self.signal) {
            return false;
        }
        cx.reschedule();
        count > 0
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        if self.active {
            cx.reschedule();
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("count"), Handler::checkbox("active"), Handler::button("reset_counts")]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "count" => self.count.to_string(),
            _ => self.active.to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "active" => {
                self.active = common::value(value, cx)?;
                if cx.inputs() > 0 && !cx.input_is_push(0) {
                    if self.active {
                        cx.reschedule();
                    } else {
                        cx.unschedule();
                    }
                }
            }
            _ => self.count = 0,
        }
        common::done()
    }
}

//! RatedUnqueue: pulls packets at a rate and pushes them.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::notify::Signal;

use crate::bucket;
use crate::bucket::Bucket;
use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "RatedUnqueue",
    ports: "1/1",
    processing: "l/h",
    flow: "",
    make: || Box::<RatedUnqueue>::default(),
    documentation: Documentation {
        summary: "Pulls packets at a rate and pushes them.",
        arguments: &[
            ("RATE", "packets per second"),
            ("BURST_DURATION", "time that a burst may make up for, default 20ms"),
            ("BURST_SIZE", "or: size of a burst"),
        ],
        handlers: &[("rate", "the rate"), ("active", "whether to pull")],
    },
};

struct RatedUnqueue {
    bucket: Bucket,
    active: bool,
    signal: Signal,
}

impl Default for RatedUnqueue {
    fn default() -> Self {
        Self { bucket: Bucket::default(), active: true, signal: Signal::busy() }
    }
}

const BANDWIDTH: bool = false;

impl Element for RatedUnqueue {
    fn configure(&mut self, args: &mut Args<'_>) {
        if let Some(bucket) = bucket::configure(args, BANDWIDTH) {
            self.bucket = bucket;
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        self.signal = cx.upstream_signal(0, true);
        cx.reschedule();
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.active {
            return false;
        }
        let now = cx.time();
        self.bucket.refill(now);
        let least = if BANDWIDTH { bucket::BANDWIDTH_SLACK } else { 1 };
        if !self.bucket.contains(least) {
            let delay = self.bucket.delay(least);
            cx.set_timer_after(0, delay);
            return false;
        }
        match cx.pull_one(0) {
            Some(packet) => {
                self.bucket.remove(bucket::cost(packet.len(), BANDWIDTH));
                cx.push_one(0, packet);
                cx.reschedule();
                true
            }
            None => {
                if cx.is_active(&self.signal) {
                    cx.reschedule();
                }
                false
            }
        }
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        cx.reschedule();
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        if self.active {
            cx.reschedule();
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("rate"), Handler::checkbox("active")]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "rate" => bucket::unparse_rate(self.bucket.rate(), BANDWIDTH),
            _ => self.active.to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        if handler == "rate" {
            let rate = bucket::parse_rate(value, BANDWIDTH, cx)?;
            self.bucket = bucket::default_bucket(rate, BANDWIDTH);
            common::show_keyword("RATE", value, Some(0), cx);
        } else {
            self.active = common::value(value, cx)?;
        }
        cx.reschedule();
        common::done()
    }
}

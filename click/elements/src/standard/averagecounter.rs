//! AverageCounter: measures the average rate of packets since the first.

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
use click_runtime::Packet;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "AverageCounter",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<AverageCounter>::default(),
    documentation: Documentation {
        summary: "Measures the average rate of packets since the first.",
        arguments: &[("IGNORE", "seconds at the start that do not count")],
        handlers: &[
            ("count", "packets"),
            ("byte_count", "bytes"),
            ("rate", "packets per second"),
            ("byte_rate", "bytes per second"),
            ("reset", "starts again"),
        ],
    },
};

#[derive(Default)]
struct AverageCounter {
    ignore: i64,
    count: u64,
    bytes: u64,
    first: Option<i64>,
    last: i64,
}

impl AverageCounter {
    fn rate(&self, total: u64) -> f64 {
        let span = self.last - self.first.unwrap_or(self.last) - self.ignore;
        total as f64 * 1e9 / span.max(1_000_000) as f64
    }
}

impl Element for AverageCounter {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut seconds = 0u32;
        args.positional("IGNORE", &mut seconds);
        args.finish();
        self.ignore = i64::from(seconds) * 1_000_000_000;
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let now = cx.coarse_now();
        let first = *self.first.get_or_insert(now);
        if now - first >= self.ignore {
            self.count += batch.len() as u64;
            self.bytes += batch.iter().map(Packet::len).sum::<usize>() as u64;
        }
        self.last = now;
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![
            Handler::read("count"),
            Handler::read("byte_count"),
            Handler::read("rate"),
            Handler::read("byte_rate"),
            Handler::button("reset"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "count" => self.count.to_string(),
            "byte_count" => self.bytes.to_string(),
            "rate" => common::real(self.rate(self.count)),
            _ => common::real(self.rate(self.bytes)),
        })
    }

    fn write(&mut self, _handler: &str, _value: &str, _cx: &mut Context<'_>) -> Answer {
        *self = Self { ignore: self.ignore, ..Self::default() };
        common::done()
    }
}

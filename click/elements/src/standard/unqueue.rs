//! Unqueue: pulls packets and pushes them.

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

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Unqueue",
    ports: "1/1",
    processing: "l/h",
    flow: "",
    make: || Box::<Unqueue>::default(),
    documentation: Documentation {
        summary: "Pulls packets and pushes them.",
        arguments: &[
            ("BURST", "most packets at once, default 1"),
            ("LIMIT", "number of packets, default -1 for no end"),
            ("ACTIVE", "whether to pull, default true"),
        ],
        handlers: &[
            ("active", "whether to pull"),
            ("count", "packets so far"),
            ("burst", "most packets at once"),
            ("limit", "number of packets"),
            ("reset", "makes the count 0"),
        ],
    },
};

struct Unqueue {
    burst: i32,
    limit: i64,
    active: bool,
    count: u64,
    signal: Signal,
}

impl Default for Unqueue {
    fn default() -> Self {
        Self { burst: 1, limit: -1, active: true, count: 0, signal: Signal::busy() }
    }
}

impl Unqueue {
    fn left(&self) -> usize {
        match u64::try_from(self.limit) {
            Ok(limit) => usize::try_from(limit.saturating_sub(self.count)).unwrap_or(usize::MAX),
            Err(_) => usize::MAX,
        }
    }
}

impl Element for Unqueue {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("BURST", &mut self.burst);
        args.keyword("LIMIT", &mut self.limit);
        args.keyword("ACTIVE", &mut self.active);
        args.finish();
        if self.burst == 0 {
            args.error("BURST must not be zero");
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        self.signal = cx.upstream_signal(0, true);
        if self.active {
            cx.reschedule();
        }
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        let left = self.left();
        if !self.active || left == 0 {
            return false;
        }
        let burst =
            usize::try_from(self.burst).map_or(i32::MAX as usize, |burst| burst.max(cx.burst()));
        let batch = cx.pull(0, burst.min(left));
        let count = batch.len();
        self.count += count as u64;
        cx.push(0, batch);
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
        vec![
            Handler::checkbox("active"),
            Handler::read("count"),
            Handler::both("burst"),
            Handler::both("limit"),
            Handler::button("reset"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "active" => self.active.to_string(),
            "count" => self.count.to_string(),
            "burst" => self.burst.to_string(),
            _ => self.limit.to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "active" => self.active = common::value(value, cx)?,
            "burst" => self.burst = common::value(value, cx)?,
            "limit" => self.limit = common::value(value, cx)?,
            _ => self.count = 0,
        }
        if self.active && self.left() > 0 {
            cx.reschedule();
        }
        common::done()
    }
}

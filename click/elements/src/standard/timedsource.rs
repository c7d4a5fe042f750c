//! TimedSource: makes a packet with fixed data at intervals.

use alloc::boxed::Box;
use alloc::string::ToString;
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
use click_runtime::args::Data;
use click_runtime::args::Time;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "TimedSource",
    ports: "0/1",
    processing: "h",
    flow: "",
    make: || Box::<TimedSource>::default(),
    documentation: Documentation {
        summary: "Makes a packet with fixed data at intervals.",
        arguments: &[
            ("INTERVAL", "time between packets, default 500ms"),
            ("DATA", "content of the packets"),
            ("LIMIT", "number of packets, default -1 for no end"),
            ("ACTIVE", "whether to make packets, default true"),
            ("STOP", "whether to stop the router at the limit"),
            ("HEADROOM", "ignored"),
        ],
        handlers: &[
            ("count", "packets made"),
            ("reset", "makes the count 0"),
            ("active", "whether to make packets"),
            ("interval", "time between packets"),
            ("limit", "number of packets"),
        ],
    },
};

struct TimedSource {
    data: Vec<u8>,
    interval: i64,
    limit: i64,
    active: bool,
    stop: bool,
    count: u64,
}

const DATA: &[u8] = b"Random bullshit in a packet, at least 64 bytes long. Well, now it is.";

impl Default for TimedSource {
    fn default() -> Self {
        Self {
            data: DATA.to_vec(),
            interval: 500_000_000,
            limit: -1,
            active: true,
            stop: false,
            count: 0,
        }
    }
}

impl Element for TimedSource {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut data = Data(self.data.clone());
        let (mut interval, mut headroom) = (Time(self.interval), 0u32);
        args.positional("INTERVAL", &mut interval);
        args.positional("DATA", &mut data);
        args.positional("LIMIT", &mut self.limit);
        args.positional("ACTIVE", &mut self.active);
        args.keyword("STOP", &mut self.stop);
        args.keyword("HEADROOM", &mut headroom);
        args.finish();
        if interval.0 <= 0 {
            args.error("INTERVAL must be > 0");
        }
        self.data = data.0;
        self.interval = interval.0;
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        if self.active {
            cx.set_timer_after(0, self.interval);
        }
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        if !self.active {
            return;
        }
        if u64::try_from(self.limit).is_ok_and(|limit| self.count >= limit) {
            if self.stop {
                cx.stop();
            }
            return;
        }
        let mut packet = cx.packet();
        packet.fill(&self.data);
        let now = cx.now();
        packet.set_timestamp(now);
        self.count += 1;
        cx.push_one(0, packet);
        cx.set_timer_after(0, self.interval);
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![
            Handler::read("count"),
            Handler::button("reset"),
            Handler::checkbox("active"),
            Handler::both("interval"),
            Handler::both("limit"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "count" => self.count.to_string(),
            "active" => self.active.to_string(),
            "interval" => parse::unparse_time(self.interval),
            _ => self.limit.to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "reset" => self.count = 0,
            "active" => self.active = common::value(value, cx)?,
            "interval" => self.interval = common::value::<Time>(value, cx)?.0.max(1),
            _ => self.limit = common::value(value, cx)?,
        }
        if self.active && cx.timer(0).is_none() {
            cx.set_timer_after(0, self.interval);
        }
        common::done()
    }
}

//! TimeFilter: passes packets from a span of time; sends others to output 1.

use alloc::boxed::Box;
use alloc::string::String;
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
use click_runtime::Packet;
use click_runtime::args::Time;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "TimeFilter",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<TimeFilter>::default(),
    documentation: Documentation {
        summary: "Passes packets from a span of time; sends others to output 1.",
        arguments: &[
            ("START", "first time, absolute"),
            ("END", "time after the last"),
            ("START_DELAY", "or: delay of the first after the first packet"),
            ("END_DELAY", "or: delay after the first packet"),
            ("END_AFTER", "or: length of the span"),
            ("INTERVAL", "the same"),
            ("STOP", "whether to stop the router at the end"),
            ("END_CALL", "handler to write at the end; $t is the time"),
        ],
        handlers: &[
            ("start", "first time"),
            ("end", "time after the last"),
            ("interval", "length of the span"),
            ("extend_interval", "moves the end"),
        ],
    },
};

#[derive(Default)]
struct TimeFilter {
    start: Option<i64>,
    end: Option<i64>,
    start_delay: Option<i64>,
    end_delay: Option<i64>,
    interval: Option<i64>,
    begun: bool,
    ended: bool,
    call_text: Option<String>,
}

impl TimeFilter {
    fn begin(&mut self, first: i64) {
        self.begun = true;
        let start = self.start.unwrap_or(first + self.start_delay.unwrap_or(0));
        self.start = Some(start);
        if self.end.is_none() {
            self.end = match (self.end_delay, self.interval) {
                (Some(delay), _) => Some(first + delay),
                (None, Some(interval)) => Some(start + interval),
                (None, None) => None,
            };
        }
    }

    fn reaches_end(&self, time: i64) -> bool {
        !self.ended && self.end.is_some_and(|end| time >= end)
    }

    fn filter(&mut self, packet: Packet, kept: &mut Batch, cx: &mut Context<'_>) {
        let time = packet.timestamp();
        if !self.begun {
            self.begin(time);
        }
        if self.reaches_end(time) {
            self.end_reached(time, cx);
        }
        let inside =
            self.start.is_none_or(|start| time >= start) && self.end.is_none_or(|end| time < end);
        if inside {
            kept.push(packet);
        } else {
            cx.push_one(1, packet);
        }
    }

    fn end_reached(&mut self, time: i64, cx: &mut Context<'_>) {
        self.ended = true;
        let Some(text) = self.call_text.clone() else { return };
        let text = text.replace("$t", &parse::unparse_time(time));
        // The handler may move the end, which this element must see at once.
        if let Some(call) = common::resolve(&text, cx)
            && let Err(error) = cx.call_write(&call)
        {
            cx.error(&error);
        }
    }
}

impl Element for TimeFilter {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut times: [Option<Time>; 6] = [None; 6];
        let [start, end, start_delay, end_delay, end_after, interval] = &mut times;
        args.positional("START", start);
        args.positional("END", end);
        args.keyword("START_DELAY", start_delay);
        args.keyword("END_DELAY", end_delay);
        args.keyword("END_AFTER", end_after);
        args.keyword("INTERVAL", interval);
        let mut stop = false;
        args.keyword("STOP", &mut stop);
        self.call_text = common::call_argument("END_CALL", args);
        args.finish();
        if stop {
            if self.call_text.is_some() {
                args.error("specify at most one of 'END_CALL' and 'STOP'");
            }
            self.call_text = Some("stop".into());
        }
        let [start, end, start_delay, end_delay, end_after, interval] =
            times.map(|time| time.map(|time| time.0));
        self.start = start;
        self.end = end;
        self.start_delay = start_delay;
        self.end_delay = end_delay;
        self.interval = end_after.or(interval);
    }

    fn is_exact(&self) -> bool {
        self.call_text.is_some()
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let all = core::mem::take(batch);
        for packet in all {
            self.filter(packet, batch, cx);
        }
    }

    fn push(&mut self, port: usize, mut batch: Batch, cx: &mut Context<'_>) {
        let mut kept = cx.batch();
        while !batch.is_empty() {
            let time = batch[0].timestamp();
            if !self.begun {
                self.begin(time);
            }
            if self.reaches_end(time) {
                // The handler may move the end: go on when it is done.
                self.end_reached(time, cx);
                break;
            }
            let packet = batch.remove(0);
            self.filter(packet, &mut kept, cx);
        }
        cx.push(0, kept);
        cx.redeliver(port, batch);
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![
            Handler::both("start"),
            Handler::both("end"),
            Handler::both("interval"),
            Handler::write("extend_interval"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        let (start, end) = (self.start.unwrap_or(0), self.end.unwrap_or(0));
        Ok(parse::unparse_time(match handler {
            "start" => start,
            "end" => end,
            _ => end - start,
        }))
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let time = common::value::<Time>(value, cx)?.0;
        match handler {
            "start" => self.start = Some(time),
            "end" => self.end = Some(time),
            "interval" => self.end = Some(self.start.unwrap_or(0) + time),
            _ => self.end = self.end.map(|end| end + time),
        }
        self.ended = false;
        common::done()
    }
}

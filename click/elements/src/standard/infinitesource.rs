//! InfiniteSource: makes packets with fixed data as fast as they are taken.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_language::text;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::args::Data;
use click_runtime::element::Notify;
use click_runtime::handler::Call;
use click_runtime::notify::Signal;
use click_runtime::notify::Which;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "InfiniteSource",
    ports: "0/1",
    processing: "a",
    flow: "",
    make: || Box::<InfiniteSource>::default(),
    documentation: Documentation {
        summary: "Makes packets with fixed data as fast as they are taken.",
        arguments: &[
            ("DATA", "content of the packets"),
            ("LIMIT", "number of packets, default -1 for no end"),
            ("BURST", "packets per task, default 1"),
            ("ACTIVE", "whether to make packets, default true"),
            ("TIMESTAMP", "whether to set timestamps, default true"),
            ("LENGTH", "length of the data; it is repeated or cut"),
            ("STOP", "whether to stop the router at the limit"),
            ("END_CALL", "handler to write at the limit"),
        ],
        handlers: &[
            ("count", "packets made"),
            ("reset", "makes the count 0 and starts again"),
            ("active", "whether to make packets"),
            ("data", "content"),
            ("limit", "number of packets"),
            ("burst", "packets per task"),
            ("length", "length of the data"),
        ],
    },
};

struct InfiniteSource {
    data: Vec<u8>,
    length: Option<usize>,
    content: Vec<u8>,
    limit: i64,
    burst: usize,
    active: bool,
    timestamp: bool,
    count: u64,
    end_text: Option<String>,
    end: Option<Call>,
    room: Signal,
}

/// What packets hold if the configuration does not say; users' scripts compare it.
const DATA: &[u8] = b"Random bullshit in a packet, at least 64 bytes long. Well, now it is.";

impl Default for InfiniteSource {
    fn default() -> Self {
        Self {
            data: DATA.to_vec(),
            length: None,
            content: Vec::new(),
            limit: -1,
            burst: 1,
            active: true,
            timestamp: true,
            count: 0,
            end_text: None,
            end: None,
            room: Signal::busy(),
        }
    }
}

/// Longest data that a length may ask for.
const LONGEST: usize = 1 << 16;

impl InfiniteSource {
    fn prepare(&mut self) {
        let length = self.length.unwrap_or(self.data.len()).min(LONGEST);
        self.content = self.data.iter().copied().cycle().take(length).collect();
        self.content.resize(length, 0);
    }

    /// Packets that may still be made.
    fn left(&self) -> usize {
        match u64::try_from(self.limit) {
            Ok(limit) => usize::try_from(limit.saturating_sub(self.count)).unwrap_or(usize::MAX),
            Err(_) => usize::MAX,
        }
    }

    fn make(&mut self, count: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.fill(count, &self.content);
        if self.timestamp {
            let now = cx.coarse_now();
            for packet in &mut batch {
                packet.set_timestamp(now);
            }
        }
        self.count += count as u64;
        batch
    }

    fn resume(&mut self, cx: &mut Context<'_>) {
        if self.active && self.left() > 0 {
            if cx.output_is_push(0) {
                cx.reschedule();
            } else {
                cx.notify(Which::Empty, true);
            }
        }
    }
}

impl Element for InfiniteSource {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut data = Data(self.data.clone());
        args.positional("DATA", &mut data);
        args.positional("LIMIT", &mut self.limit);
        args.positional("BURST", &mut self.burst);
        args.positional("ACTIVE", &mut self.active);
        args.keyword("TIMESTAMP", &mut self.timestamp);
        args.keyword("LENGTH", &mut self.length);
        args.keyword("DATASIZE", &mut self.length);
        let mut stop = false;
        args.keyword("STOP", &mut stop);
        self.end_text = common::call_argument("END_CALL", args);
        args.finish();
        if self.burst < 1 {
            args.error("burst size must be >= 1");
        }
        if stop {
            if self.end_text.is_some() {
                args.error("END_CALL and STOP are mutually exclusive");
            }
            self.end_text = Some("stop".into());
        }
        self.data = data.0;
        self.prepare();
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        if let Some(text) = &self.end_text {
            self.end = common::resolve(text, cx);
        }
        if cx.output_is_push(0) {
            self.room = cx.downstream_signal(0, true);
            self.burst = self.burst.max(cx.burst());
            if self.active {
                cx.reschedule();
            }
        }
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.active || !cx.is_active(&self.room) {
            return false;
        }
        let mut count = self.burst.min(self.left());
        if count > 1 {
            count = count.min(cx.room(&self.room)).max(1);
        }
        if count > 0 {
            let batch = self.make(count, cx);
            cx.push(0, batch);
            cx.reschedule();
        } else {
            common::call(self.end.as_ref(), cx);
        }
        count > 0
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        if self.active {
            cx.reschedule();
        }
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let count = if self.active { self.left().min(most) } else { 0 };
        if count == 0 {
            if self.active {
                common::call(self.end.as_ref(), cx);
            }
            cx.notify(Which::Empty, false);
        }
        self.make(count, cx)
    }

    fn notifier(&self, full: bool, _port: usize) -> Option<Notify> {
        (!full).then_some(Notify::Stop)
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![
            Handler::read("count"),
            Handler::button("reset"),
            Handler::checkbox("active"),
            Handler::both("data").raw(),
            Handler::both("limit"),
            Handler::both("burst"),
            Handler::both("length"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "count" => self.count.to_string(),
            "active" => self.active.to_string(),
            "data" => text::from_bytes(&self.data),
            "limit" => self.limit.to_string(),
            "burst" => self.burst.to_string(),
            _ => self.content.len().to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "reset" => self.count = 0,
            "active" => self.active = common::value(value, cx)?,
            "data" => {
                self.data = text::to_bytes(value);
                self.prepare();
            }
            "limit" => self.limit = common::value(value, cx)?,
            "burst" => {
                let burst: usize = common::value(value, cx)?;
                if burst < 1 {
                    return Err("burstsize parameter must be integer >= 1".into());
                }
                self.burst = burst;
            }
            _ => {
                self.length = Some(common::value(value, cx)?);
                self.prepare();
            }
        }
        self.resume(cx);
        common::done()
    }
}

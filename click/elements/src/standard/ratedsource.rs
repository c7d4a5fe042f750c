//! RatedSource: makes packets with fixed data at a rate.

use alloc::boxed::Box;
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
use click_runtime::Packet;
use click_runtime::args::Bandwidth;
use click_runtime::args::Data;

use crate::bucket::Bucket;
use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "RatedSource",
    ports: "0/1",
    processing: "a",
    flow: "",
    make: || Box::<RatedSource>::default(),
    documentation: Documentation {
        summary: "Makes packets with fixed data at a rate.",
        arguments: &[
            ("DATA", "content of the packets"),
            ("RATE", "packets per second, default 10"),
            ("LIMIT", "number of packets, default -1 for no end"),
            ("ACTIVE", "whether to make packets, default true"),
            ("LENGTH", "length of the data; it is repeated or cut"),
            ("STOP", "whether to stop the router at the limit"),
            ("BANDWIDTH", "or: rate as bandwidth"),
        ],
        handlers: &[
            ("count", "packets made"),
            ("reset", "makes the count 0 and starts again"),
            ("active", "whether to make packets"),
            ("rate", "packets per second"),
            ("data", "content"),
            ("limit", "number of packets"),
        ],
    },
};

struct RatedSource {
    data: Vec<u8>,
    length: Option<usize>,
    content: Vec<u8>,
    bucket: Bucket,
    limit: i64,
    active: bool,
    stop: bool,
    count: u64,
}

const DATA: &[u8] = b"Random bullshit in a packet, at least 64 bytes long. Well, now it is.";

/// Longest data that a length may ask for.
const LONGEST: usize = 1 << 16;

impl Default for RatedSource {
    fn default() -> Self {
        Self {
            data: DATA.to_vec(),
            length: None,
            content: Vec::new(),
            bucket: Bucket::default(),
            limit: -1,
            active: true,
            stop: false,
            count: 0,
        }
    }
}

impl RatedSource {
    fn prepare(&mut self) {
        let length = self.length.unwrap_or(self.data.len()).min(LONGEST);
        self.content = self.data.iter().copied().cycle().take(length).collect();
        self.content.resize(length, 0);
    }

    fn set_rate(&mut self, rate: u32, cx_now: i64) {
        let burst = if rate < 200 { 2 } else { rate / 100 };
        self.bucket.assign(rate, burst);
        self.bucket.refill(cx_now);
    }

    fn is_done(&self) -> bool {
        u64::try_from(self.limit).is_ok_and(|limit| self.count >= limit)
    }

    fn make(&mut self, cx: &mut Context<'_>) -> Option<Packet> {
        let now = cx.time();
        self.bucket.refill(now);
        if !self.bucket.remove_if(1) {
            return None;
        }
        let mut packet = cx.packet();
        packet.fill(&self.content);
        let now = cx.now();
        packet.set_timestamp(now);
        self.count += 1;
        Some(packet)
    }
}

impl Element for RatedSource {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut data = Data(self.data.clone());
        let (mut rate, mut bandwidth) = (10u32, Bandwidth::default());
        args.positional("DATA", &mut data);
        args.positional("RATE", &mut rate);
        args.positional("LIMIT", &mut self.limit);
        args.positional("ACTIVE", &mut self.active);
        args.keyword("LENGTH", &mut self.length);
        args.keyword("DATASIZE", &mut self.length);
        args.keyword("STOP", &mut self.stop);
        args.keyword("BANDWIDTH", &mut bandwidth);
        args.finish();
        self.data = data.0;
        self.prepare();
        if bandwidth.0 > 0 {
            let per_second = bandwidth.0 / self.content.len().max(1) as u64;
            rate = u32::try_from(per_second).unwrap_or(u32::MAX);
        }
        self.set_rate(rate, 0);
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        let now = cx.time();
        self.bucket.refill(now);
        self.bucket.set(1);
        if cx.output_is_push(0) && self.active {
            cx.reschedule();
        }
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.active {
            return false;
        }
        if self.is_done() {
            if self.stop {
                cx.stop();
            }
            return false;
        }
        match self.make(cx) {
            Some(packet) => {
                cx.push_one(0, packet);
                cx.reschedule();
                true
            }
            None => {
                let delay = self.bucket.delay(1);
                cx.set_timer_after(0, delay);
                false
            }
        }
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        cx.reschedule();
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.batch();
        while self.active && batch.len() < most {
            if self.is_done() {
                if self.stop && batch.is_empty() {
                    cx.stop();
                }
                break;
            }
            let Some(packet) = self.make(cx) else { break };
            batch.push(packet);
        }
        batch
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![
            Handler::read("count"),
            Handler::button("reset"),
            Handler::checkbox("active"),
            Handler::both("rate"),
            Handler::both("data").raw(),
            Handler::both("limit"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "count" => self.count.to_string(),
            "active" => self.active.to_string(),
            "rate" => self.bucket.rate().to_string(),
            "data" => text::from_bytes(&self.data),
            _ => self.limit.to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "reset" => {
                self.count = 0;
                self.bucket.set(1);
            }
            "active" => self.active = common::value(value, cx)?,
            "rate" => {
                let rate = common::value(value, cx)?;
                let now = cx.time();
                self.set_rate(rate, now);
            }
            "data" => {
                self.data = text::to_bytes(value);
                self.prepare();
            }
            _ => self.limit = common::value(value, cx)?,
        }
        if self.active && !self.is_done() && cx.output_is_push(0) {
            cx.reschedule();
        }
        common::done()
    }
}

//! LinkUnqueue: pulls packets and pushes them as a link with a latency and a bandwidth would.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
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
use click_runtime::Packet;
use click_runtime::anno;
use click_runtime::args::Bandwidth;
use click_runtime::args::Time;
use click_runtime::notify::Signal;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "LinkUnqueue",
    ports: "1/1",
    processing: "l/h",
    flow: "",
    make: || Box::<LinkUnqueue>::default(),
    documentation: Documentation {
        summary: "Pulls packets and pushes them as a link with a latency and a bandwidth would.",
        arguments: &[("LATENCY", "time a packet takes"), ("BANDWIDTH", "bandwidth of the link")],
        handlers: &[
            ("latency", "time a packet takes"),
            ("bandwidth", "bandwidth of the link"),
            ("size", "packets on the link"),
        ],
    },
};

struct LinkUnqueue {
    latency: i64,
    bandwidth: u64,
    line: VecDeque<Packet>,
    back_to_back: bool,
    signal: Signal,
}

impl Default for LinkUnqueue {
    fn default() -> Self {
        Self {
            latency: 0,
            bandwidth: 1,
            line: VecDeque::new(),
            back_to_back: false,
            signal: Signal::busy(),
        }
    }
}

impl LinkUnqueue {
    /// When the packet has left the link, if its first bit enters at `start`.
    fn end(&self, packet: &Packet, start: i64) -> i64 {
        let length = packet.len() as u64 + u64::from(packet.anno_u32(anno::EXTRA_LENGTH));
        start + (length * 1_000_000 / self.bandwidth) as i64 * 1000
    }
}

impl Element for LinkUnqueue {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut latency, mut bandwidth) = (Time::default(), Bandwidth::default());
        args.required("LATENCY", &mut latency);
        args.required("BANDWIDTH", &mut bandwidth);
        args.finish();
        if bandwidth.0 < 100 {
            args.error("bandwidth too small, minimum 100Bps");
            return;
        }
        self.latency = latency.0;
        self.bandwidth = bandwidth.0;
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        self.signal = cx.upstream_signal(0, true);
        cx.reschedule();
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        let now = cx.now();
        let delayed = now + self.latency;
        // The line has room as long as its last packet ends before a new one could.
        while self.line.back().is_none_or(|last| last.timestamp() <= delayed) {
            let Some(mut packet) = cx.pull_one(0) else {
                self.back_to_back = false;
                break;
            };
            let start = match self.line.back() {
                Some(last) if self.back_to_back => last.timestamp(),
                _ => delayed,
            };
            packet.set_timestamp(self.end(&packet, start));
            self.line.push_back(packet);
            self.back_to_back = true;
            worked = true;
        }
        while self.line.front().is_some_and(|first| first.timestamp() <= now) {
            if let Some(packet) = self.line.pop_front() {
                cx.push_one(0, packet);
                worked = true;
            }
        }
        let active = cx.is_active(&self.signal);
        match (self.line.front(), self.line.back()) {
            (Some(first), Some(last)) => {
                let mut expiry = first.timestamp();
                if active {
                    expiry = expiry.min(last.timestamp() - self.latency);
                }
                if expiry <= now {
                    cx.reschedule();
                } else {
                    cx.set_timer_after(0, expiry - now);
                }
            }
            _ if active => cx.reschedule(),
            _ => {}
        }
        worked
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        cx.reschedule();
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("latency"), Handler::both("bandwidth"), Handler::read("size")]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "latency" => parse::unparse_time(self.latency),
            "bandwidth" => format!("{}Bps", self.bandwidth),
            _ => self.line.len().to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        if handler == "latency" {
            self.latency = common::value::<Time>(value, cx)?.0;
        } else {
            let bandwidth: Bandwidth = common::value(value, cx)?;
            if bandwidth.0 < 100 {
                return Err("bandwidth too small, minimum 100Bps".into());
            }
            self.bandwidth = bandwidth.0;
        }
        common::done()
    }
}

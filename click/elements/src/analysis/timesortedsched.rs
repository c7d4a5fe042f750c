//! TimeSortedSched: pulls the packet with the earliest timestamp from its inputs.

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
use click_runtime::element::Notify;
use click_runtime::notify::Signal;
use click_runtime::notify::Which;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "TimeSortedSched",
    ports: "-/1-2",
    processing: "l/lh",
    flow: "",
    make: || Box::<TimeSortedSched>::default(),
    documentation: Documentation {
        summary: "Pulls the packet with the earliest timestamp from its inputs.",
        arguments: &[
            ("STOP", "whether to stop the router when all inputs are empty"),
            ("BUFFER", "packets per input that may be out of order, default 1"),
        ],
        handlers: &[("well_ordered", "whether packets came out in order")],
    },
};

struct TimeSortedSched {
    stop: bool,
    buffer: usize,
    signals: Vec<Signal>,
    /// Packets waiting: time, order of arrival, input.
    waiting: Vec<(i64, u64, usize, Packet)>,
    held: Vec<usize>,
    arrivals: u64,
    last: i64,
    well_ordered: bool,
}

impl Default for TimeSortedSched {
    fn default() -> Self {
        Self {
            stop: false,
            buffer: 1,
            signals: Vec::new(),
            waiting: Vec::new(),
            held: Vec::new(),
            arrivals: 0,
            last: i64::MIN,
            well_ordered: true,
        }
    }
}

impl TimeSortedSched {
    /// Fills the buffer of each input. Says whether some input may have more later.
    fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        let mut more = false;
        for input in 0..self.signals.len() {
            let mut active = cx.is_active(&self.signals[input]);
            while active && self.held[input] < self.buffer {
                let Some(packet) = cx.pull_one(input) else { break };
                self.arrivals += 1;
                self.held[input] += 1;
                self.waiting.push((packet.timestamp(), self.arrivals, input, packet));
                active = cx.is_active(&self.signals[input]);
            }
            more |= self.held[input] > 0 || cx.is_active(&self.signals[input]);
        }
        more
    }

    fn take(&mut self) -> Option<Packet> {
        let key = |(time, order, ..): &(i64, u64, usize, Packet)| (*time, *order);
        let first = (0..self.waiting.len()).min_by_key(|&at| key(&self.waiting[at]))?;
        let (time, _, input, packet) = self.waiting.swap_remove(first);
        self.held[input] -= 1;
        self.well_ordered &= time >= self.last;
        self.last = time;
        Some(packet)
    }
}

impl Element for TimeSortedSched {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.keyword("STOP", &mut self.stop);
        args.keyword("BUFFER", &mut self.buffer);
        args.finish();
        if !(1..=1 << 16).contains(&self.buffer) {
            args.error("BUFFER: out of range");
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        for port in 0..cx.inputs() {
            let signal = cx.upstream_signal(port, true);
            self.signals.push(signal);
        }
        self.held = vec![0; cx.inputs()];
    }

    fn pull(&mut self, _port: usize, _most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.batch();
        let more = self.fill(cx);
        match self.take() {
            Some(packet) => batch.push(packet),
            None if !more => {
                cx.notify(Which::Empty, false);
                if self.stop {
                    cx.stop();
                }
            }
            None => {}
        }
        batch
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        cx.notify(Which::Empty, true);
    }

    fn notifier(&self, full: bool, _port: usize) -> Option<Notify> {
        (!full).then_some(Notify::Stop)
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("well_ordered")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.well_ordered.to_string())
    }
}

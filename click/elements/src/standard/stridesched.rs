//! StrideSched: pulls from its inputs in proportion to their tickets.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::string::ToString;
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
use click_runtime::notify::Signal;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "StrideSched",
    ports: "1-/1",
    processing: "l/l",
    flow: "",
    make: || Box::<StrideSched>::default(),
    documentation: Documentation {
        summary: "Pulls from its inputs in proportion to their tickets.",
        arguments: &[("TICKETS...", "tickets of each input")],
        handlers: &[("tickets", "tickets of all inputs")],
    },
};

#[derive(Default)]
struct StrideSched {
    tickets: Vec<u32>,
    signals: Vec<Signal>,
    /// Inputs with their passes, lowest first.
    order: Vec<(u64, usize)>,
}

const STRIDE_ONE: u64 = 1 << 16;
const MOST_TICKETS: u32 = 1 << 15;

impl StrideSched {
    fn stride(&self, input: usize) -> u64 {
        STRIDE_ONE / u64::from(self.tickets[input].max(1))
    }

    fn place(&mut self, pass: u64, input: usize) {
        let at = self.order.partition_point(|(other, _)| *other < pass);
        self.order.insert(at, (pass, input));
    }

    fn pull_one(&mut self, cx: &mut Context<'_>) -> Option<Packet> {
        for at in 0..self.order.len() {
            let (pass, input) = self.order[at];
            if !cx.is_active(&self.signals[input]) {
                continue;
            }
            if let Some(packet) = cx.pull_one(input) {
                // Inputs passed over because they had nothing move up, too.
                let passed: Vec<(u64, usize)> = self.order.drain(..=at).collect();
                for &(old, skipped) in &passed[..at] {
                    let stride = self.stride(skipped);
                    self.place(old + stride, skipped);
                }
                let stride = self.stride(input);
                self.place(pass + stride, input);
                return Some(packet);
            }
        }
        None
    }
}

impl Element for StrideSched {
    fn configure(&mut self, args: &mut Args<'_>) {
        for argument in args.rest() {
            match parse::integer(&argument) {
                Some(tickets @ 0..) => {
                    self.tickets
                        .push(u32::try_from(tickets).map_or(MOST_TICKETS, |t| t.min(MOST_TICKETS)));
                }
                _ => args.error("bad tickets"),
            }
        }
        if self.tickets.is_empty() {
            self.tickets.resize(args.inputs, 1);
        }
        if self.tickets.len() != args.inputs {
            args.error("number of tickets differs from number of inputs");
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        for port in 0..cx.inputs() {
            let signal = cx.upstream_signal(port, false);
            self.signals.push(signal);
            if self.tickets[port] > 0 {
                let stride = self.stride(port);
                let at = self.order.partition_point(|(other, _)| *other <= stride);
                self.order.insert(at, (stride, port));
            }
        }
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.batch();
        while batch.len() < most {
            match self.pull_one(cx) {
                Some(packet) => batch.push(packet),
                None => break,
            }
        }
        batch
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("tickets")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        let list: Vec<String> = self.tickets.iter().map(ToString::to_string).collect();
        Ok(list.join(", "))
    }
}

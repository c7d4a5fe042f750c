//! DelayShaper: lets each packet be pulled after a delay.

use alloc::boxed::Box;
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
use click_runtime::element::Notify;
use click_runtime::notify::Signal;
use click_runtime::notify::Which;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "DelayShaper",
    ports: "1/1",
    processing: "l/l",
    flow: "",
    make: || Box::<DelayShaper>::default(),
    documentation: Documentation {
        summary: "Lets each packet be pulled after a delay.",
        arguments: &[("DELAY", "the delay")],
        handlers: &[("delay", "the delay")],
    },
};

struct DelayShaper {
    delay: i64,
    waiting: Option<Packet>,
    signal: Signal,
}

impl Default for DelayShaper {
    fn default() -> Self {
        Self { delay: 0, waiting: None, signal: Signal::busy() }
    }
}

impl Element for DelayShaper {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut delay = Time::default();
        args.required("DELAY", &mut delay);
        args.finish();
        self.delay = delay.0;
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        self.signal = cx.upstream_signal(0, true);
    }

    fn pull(&mut self, _port: usize, _most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.batch();
        if self.waiting.is_none()
            && let Some(mut packet) = cx.pull_one(0)
        {
            if packet.timestamp() < 1_000_000_000 {
                let now = cx.now();
                packet.set_timestamp(now);
            }
            packet.set_timestamp(packet.timestamp() + self.delay);
            self.waiting = Some(packet);
        }
        match self.waiting.take() {
            Some(mut packet) => {
                let now = cx.now();
                if packet.timestamp() <= now {
                    packet.set_timestamp(now);
                    batch.push(packet);
                } else {
                    cx.set_timer_after(0, packet.timestamp() - now);
                    cx.notify(Which::Empty, false);
                    self.waiting = Some(packet);
                }
            }
            None if !cx.is_active(&self.signal) => cx.notify(Which::Empty, false),
            None => {}
        }
        batch
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        cx.notify(Which::Empty, true);
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        if self.waiting.is_none() {
            cx.notify(Which::Empty, true);
        }
    }

    fn notifier(&self, full: bool, _port: usize) -> Option<Notify> {
        (!full).then_some(Notify::Stop)
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("delay")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(parse::unparse_time(self.delay))
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        self.delay = common::value::<Time>(value, cx)?.0;
        common::done()
    }
}

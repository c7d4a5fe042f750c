//! PullSwitch: pulls from one input, which handlers can change, and tells when that input has packets.

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
use click_runtime::element::Notify;
use click_runtime::notify::Signal;
use click_runtime::notify::Which;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "PullSwitch",
    ports: "1-/1",
    processing: "l/l",
    flow: "",
    make: || Box::<PullSwitch>::default(),
    documentation: Documentation {
        summary: "Pulls from one input, which handlers can change, and tells when that input has packets.",
        arguments: &[("INPUT", "the input, default 0; -1 for none")],
        handlers: &[("switch", "the input")],
    },
};

#[derive(Default)]
struct PullSwitch {
    input: i32,
    signals: Vec<Signal>,
}

impl PullSwitch {
    fn chosen(&self) -> Option<&Signal> {
        self.signals.get(usize::try_from(self.input).ok()?)
    }

    fn tell(&self, cx: &mut Context<'_>) {
        let active = self.chosen().is_some_and(|signal| cx.is_active(signal));
        cx.notify(Which::Empty, active);
    }
}

impl Element for PullSwitch {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("INPUT", &mut self.input);
        args.finish();
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        for port in 0..cx.inputs() {
            let signal = cx.upstream_signal(port, true);
            self.signals.push(signal);
        }
        cx.notify(Which::Empty, self.input >= 0);
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let Ok(input) = usize::try_from(self.input) else {
            cx.notify(Which::Empty, false);
            return cx.batch();
        };
        let batch = cx.pull(input, most);
        if !batch.is_empty() {
            cx.notify(Which::Empty, true);
        } else if self.chosen().is_some_and(|signal| !cx.is_active(signal)) {
            cx.notify(Which::Empty, false);
        }
        batch
    }

    fn woken(&mut self, cx: &mut Context<'_>) {
        self.tell(cx);
    }

    fn notifier(&self, full: bool, _port: usize) -> Option<Notify> {
        (!full).then_some(Notify::Stop)
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::both("switch")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.input.to_string())
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let input: i32 = common::value(value, cx)?;
        self.input = if input >= cx.inputs() as i32 { -1 } else { input };
        self.tell(cx);
        common::done()
    }
}

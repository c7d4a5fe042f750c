//! Idle: discards what is pushed to it and never gives a packet.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::element::Notify;
use click_runtime::notify::Which;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Idle",
    ports: "-/-",
    processing: "a/a",
    flow: "x/y",
    make: || Box::<Idle>::default(),
    documentation: Documentation {
        summary: "Discards what is pushed to it and never gives a packet.",
        arguments: &[],
        handlers: &[],
    },
};

#[derive(Default)]
struct Idle;

impl Element for Idle {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.rest();
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        cx.notify(Which::Empty, false);
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        cx.kill_all(batch);
    }

    fn pull(&mut self, _port: usize, _most: usize, cx: &mut Context<'_>) -> Batch {
        cx.batch()
    }

    fn notifier(&self, full: bool, _port: usize) -> Option<Notify> {
        (!full).then_some(Notify::Stop)
    }
}

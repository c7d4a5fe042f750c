//! BlockThread: blocks its thread when it is told to.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::args::Time;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "BlockThread",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<BlockThread>::default(),
    documentation: Documentation {
        summary: "Blocks its thread when it is told to.",
        arguments: &[],
        handlers: &[("block", "blocks for the time that is written")],
    },
};

#[derive(Default)]
struct BlockThread;

impl Element for BlockThread {
    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::write("block")]
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let time: Time = common::value(value, cx)?;
        let end = cx.host().steady().saturating_add(time.0);
        loop {
            let left = end - cx.host().steady();
            if left <= 0 {
                return common::done();
            }
            cx.host().wait(&[], Some(left));
        }
    }
}

//! SetTimestampDelta: makes timestamps relative to that of the first packet.

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

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "SetTimestampDelta",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<SetTimestampDelta>::default(),
    documentation: Documentation {
        summary: "Makes timestamps relative to that of the first packet.",
        arguments: &[("TYPE", "`RANGE`, `NOW` or `FIRST`")],
        handlers: &[("first", "timestamp of the first packet"), ("reset", "begins anew")],
    },
};

#[derive(Default)]
struct SetTimestampDelta {
    first: Option<i64>,
}

impl Element for SetTimestampDelta {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut kind = String::new();
        args.keyword("TYPE", &mut kind);
        args.finish();
        if !matches!(kind.as_str(), "" | "RANGE" | "NOW" | "FIRST") {
            args.error("bad TYPE");
        }
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let first = *self.first.get_or_insert(packet.timestamp());
            packet.set_timestamp(packet.timestamp() - first);
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("first"), Handler::button("reset")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(parse::unparse_time(self.first.unwrap_or(0)))
    }

    fn write(&mut self, _handler: &str, _value: &str, _cx: &mut Context<'_>) -> Answer {
        self.first = None;
        common::done()
    }
}

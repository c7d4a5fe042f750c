//! Counter: counts packets and bytes and measures their rates.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_language::config;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::Packet;
use click_runtime::element::downcast;
use click_runtime::handler::Call;

use crate::common;
use crate::common::Rate;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Counter",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<Counter>::default(),
    documentation: Documentation {
        summary: "Counts packets and bytes and measures their rates.",
        arguments: &[
            ("COUNT_CALL", "`N HANDLER`: write the handler when N packets have passed"),
            ("BYTE_COUNT_CALL", "`N HANDLER`: write the handler when N bytes have passed"),
        ],
        handlers: &[
            ("count", "packets so far"),
            ("byte_count", "bytes so far"),
            ("rate", "packets per second, lately"),
            ("bit_rate", "bits per second, lately"),
            ("byte_rate", "bytes per second, lately"),
            ("reset", "sets the counts to 0"),
            ("reset_counts", "the same"),
            ("count_call", "changes COUNT_CALL"),
            ("byte_count_call", "changes BYTE_COUNT_CALL"),
        ],
    },
};

#[derive(Default)]
struct Counter {
    count: u64,
    bytes: u64,
    rate: Rate,
    byte_rate: Rate,
    texts: [Option<String>; 2],
    /// What to write at which number of packets and of bytes.
    calls: [Option<(u64, Call)>; 2],
}

fn trigger(text: &str, cx: &mut Context<'_>) -> Result<(u64, Call), String> {
    let mut rest: String = text.into();
    let number = config::shift_word(&mut rest);
    let number: u64 = common::value(&number, cx)?;
    Ok((number, cx.resolve_call(&rest, true)?))
}

impl Counter {
    fn count_one(&mut self, length: usize, cx: &mut Context<'_>) {
        self.count += 1;
        self.bytes += length as u64;
        for (at, reached) in [self.count, self.bytes].into_iter().enumerate() {
            if self.calls[at].as_ref().is_some_and(|(number, _)| *number <= reached) {
                let call = self.calls[at].take().map(|(_, call)| call);
                common::call(call.as_ref(), cx);
            }
        }
    }
}

impl Element for Counter {
    fn configure(&mut self, args: &mut Args<'_>) {
        self.texts[0] = common::call_argument("COUNT_CALL", args);
        self.texts[1] = common::call_argument("BYTE_COUNT_CALL", args);
        args.finish();
    }

    fn is_exact(&self) -> bool {
        self.texts.iter().any(Option::is_some)
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        for at in 0..2 {
            if let Some(text) = self.texts[at].take() {
                match trigger(&text, cx) {
                    Ok(call) => self.calls[at] = Some(call),
                    Err(error) => cx.error(&error),
                }
            }
        }
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let now = cx.coarse_now();
        self.rate.update(now, batch.len() as u64);
        if self.calls[0].is_none() && self.calls[1].is_none() {
            let bytes: usize = batch.iter().map(Packet::len).sum();
            self.count += batch.len() as u64;
            self.bytes += bytes as u64;
            self.byte_rate.update(now, bytes as u64);
            return;
        }
        for packet in batch.iter() {
            self.byte_rate.update(now, packet.len() as u64);
            self.count_one(packet.len(), cx);
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![
            Handler::read("count"),
            Handler::read("byte_count"),
            Handler::read("rate"),
            Handler::read("bit_rate"),
            Handler::read("byte_rate"),
            Handler::button("reset"),
            Handler::button("reset_counts"),
            Handler::write("count_call"),
            Handler::write("byte_count_call"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, cx: &mut Context<'_>) -> Answer {
        let now = cx.coarse_now();
        Ok(match handler {
            "count" => self.count.to_string(),
            "byte_count" => self.bytes.to_string(),
            "rate" => common::real(self.rate.per_second(now)),
            "bit_rate" => common::real(self.byte_rate.per_second(now) * 8.0),
            _ => common::real(self.byte_rate.per_second(now)),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "count_call" => self.calls[0] = Some(trigger(value, cx)?),
            "byte_count_call" => self.calls[1] = Some(trigger(value, cx)?),
            _ => {
                self.count = 0;
                self.bytes = 0;
                self.rate = Rate::default();
                self.byte_rate = Rate::default();
            }
        }
        common::done()
    }

    fn take_state(&mut self, old: &mut dyn Element, _cx: &mut Context<'_>) {
        if let Some(old) = downcast::<Self>(old) {
            self.count = old.count;
            self.bytes = old.bytes;
        }
    }
}

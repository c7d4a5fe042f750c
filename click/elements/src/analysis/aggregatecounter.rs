//! AggregateCounter: counts packets or bytes per aggregate number.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
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
use click_runtime::anno;
use click_runtime::host::Open;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "AggregateCounter",
    ports: "1-2/1-2",
    processing: "a/ah",
    flow: "#/#",
    make: || Box::<AggregateCounter>::default(),
    documentation: Documentation {
        summary: "Counts packets or bytes per aggregate number.",
        arguments: &[
            ("BYTES", "whether to count bytes"),
            ("IP_BYTES", "whether to count IP bytes"),
            (
                "MULTIPACKET",
                "whether to count packets that stand for several as such, default true",
            ),
            ("EXTRA_LENGTH", "whether to count bytes that are not there, default true"),
        ],
        handlers: &[
            ("write_text_file", "writes the counts to a file"),
            ("write_file", "the same"),
            ("clear", "sets all counts to 0"),
            ("count", "packets in all"),
            ("nagg", "aggregates seen"),
        ],
    },
};

struct AggregateCounter {
    bytes: bool,
    multipacket: bool,
    extra: bool,
    counts: BTreeMap<u32, u64>,
}

impl Default for AggregateCounter {
    fn default() -> Self {
        Self { bytes: false, multipacket: true, extra: true, counts: BTreeMap::new() }
    }
}

/// Aggregates that are counted at most.
const MOST: usize = 1 << 22;

impl Element for AggregateCounter {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut ip_bytes = false;
        args.keyword("BYTES", &mut self.bytes);
        args.keyword("IP_BYTES", &mut ip_bytes);
        args.keyword("MULTIPACKET", &mut self.multipacket);
        args.keyword("EXTRA_LENGTH", &mut self.extra);
        args.finish();
        self.bytes |= ip_bytes;
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let aggregate = packet.anno_u32(anno::AGGREGATE);
            let mut amount = 1;
            if self.multipacket {
                amount += u64::from(packet.anno_u32(anno::EXTRA_PACKETS));
            }
            if self.bytes {
                let extra = if self.extra { packet.anno_u32(anno::EXTRA_LENGTH) } else { 0 };
                amount = packet.len() as u64 + u64::from(extra);
            }
            if self.counts.len() < MOST || self.counts.contains_key(&aggregate) {
                *self.counts.entry(aggregate).or_insert(0) += amount;
            }
        }
    }

    fn push(&mut self, port: usize, mut batch: Batch, cx: &mut Context<'_>) {
        self.process(&mut batch, cx);
        cx.push(port, batch);
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![
            Handler::write("write_text_file"),
            Handler::write("write_file"),
            Handler::write("write_ascii_file"),
            Handler::button("clear"),
            Handler::read("count"),
            Handler::read("nagg"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "count" => self.counts.values().sum::<u64>().to_string(),
            _ => self.counts.len().to_string(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        if handler == "clear" {
            self.counts.clear();
            return common::done();
        }
        let name: String = common::value(value, cx)?;
        let file =
            cx.host().open(&name, Open::Write).map_err(|error| format!("{name}: {error}"))?;
        let mut text = format!("!num_nonzero {}\n", self.counts.len());
        for (aggregate, count) in &self.counts {
            text.push_str(&format!("{aggregate} {count}\n"));
        }
        let written = cx.host().write(file, text.as_bytes());
        cx.host().close(file);
        written.map(|()| String::new())
    }
}

//! ToDump: writes packets to a capture file.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
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
use click_runtime::anno;
use click_runtime::args::Raw;
use click_runtime::host::{Handle, Open};
use click_runtime::notify::Signal;

use crate::common;
use crate::dump::pcap::{self, Link, Record};

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ToDump",
    ports: "1/0-1",
    processing: "a/a",
    flow: "",
    make: || Box::<ToDump>::default(),
    documentation: Documentation {
        summary: "Writes packets to a capture file, as tcpdump does.",
        arguments: &[
            ("FILENAME", "the file; - is standard output"),
            ("SNAPLEN", "most bytes of a packet, default 2000; 0 for all"),
            ("ENCAP", "what packets begin with: ETHER (default), IP, NULL, SLL or PPP"),
            ("EXTRA_LENGTH", "whether to count bytes that were cut off before, default true"),
            ("NANO", "whether times are in nanoseconds, default false"),
            ("UNBUFFERED", "ignored: the host decides when to write"),
        ],
        handlers: &[
            ("count", "packets written"),
            ("reset_counts", "sets the count to 0"),
            ("filename", "the file"),
        ],
    },
};

struct ToDump {
    name: String,
    snap_length: usize,
    link: Link,
    extra_length: bool,
    nanoseconds: bool,
    file: Option<Handle>,
    count: u64,
    signal: Signal,
    /// The bytes of a batch, written at once.
    bytes: Vec<u8>,
}

impl Default for ToDump {
    fn default() -> Self {
        Self {
            name: String::new(),
            snap_length: 2000,
            link: Link::Ethernet,
            extra_length: true,
            nanoseconds: false,
            file: None,
            count: 0,
            signal: Signal::busy(),
            bytes: Vec::new(),
        }
    }
}

impl ToDump {
    fn put(&mut self, packet: &Packet, now: i64) {
        let data = packet.data();
        let captured = data.len().min(self.snap_length);
        let extra = if self.extra_length { packet.anno_u32(anno::EXTRA_LENGTH) } else { 0 };
        let time = if packet.timestamp() == 0 { now } else { packet.timestamp() };
        let record = Record { time, captured, length: data.len() + extra as usize };
        self.bytes.extend_from_slice(&pcap::record_header(record, self.nanoseconds));
        self.bytes.extend_from_slice(&data[..captured]);
        self.count += 1;
    }

    fn write_out(&mut self, cx: &mut Context<'_>) {
        if let Some(file) = self.file
            && let Err(error) = cx.host().write(file, &self.bytes)
        {
            cx.error(&format!("{}: {error}", self.name));
            self.file = None;
        }
        self.bytes.clear();
    }

    fn put_all(&mut self, batch: &Batch, cx: &mut Context<'_>) {
        if batch.is_empty() {
            return;
        }
        let now = cx.coarse_now();
        for packet in batch {
            self.put(packet, now);
        }
        self.write_out(cx);
    }
}

impl Element for ToDump {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut link, mut unbuffered) = (Raw::default(), false);
        args.required("FILENAME", &mut self.name);
        args.positional("SNAPLEN", &mut self.snap_length);
        args.positional("ENCAP", &mut link);
        args.keyword("EXTRA_LENGTH", &mut self.extra_length);
        args.keyword("NANO", &mut self.nanoseconds);
        args.keyword("UNBUFFERED", &mut unbuffered);
        args.finish();
        if self.snap_length == 0 {
            self.snap_length = usize::MAX;
        }
        if !link.0.is_empty() {
            match Link::from_name(&link.0) {
                Some(link) => self.link = link,
                None => args.error(&format!("ENCAP: unknown encapsulation type '{}'", link.0)),
            }
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        match cx.host().open(&self.name, Open::Write) {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                cx.error(&format!("{}: {error}", self.name));
                return;
            }
        }
        let snap_length = u32::try_from(self.snap_length).unwrap_or(1 << 18);
        let header = pcap::file_header(self.link, snap_length, self.nanoseconds);
        self.bytes.extend_from_slice(&header);
        self.write_out(cx);
        if !cx.input_is_push(0) {
            self.signal = cx.upstream_signal(0, true);
            cx.reschedule();
        }
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        self.put_all(&batch, cx);
        cx.push(0, batch);
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let batch = cx.pull(0, most);
        self.put_all(&batch, cx);
        batch
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        let batch = cx.pull(0, cx.burst());
        let worked = !batch.is_empty();
        self.put_all(&batch, cx);
        cx.push(0, batch);
        if worked || cx.is_active(&self.signal) {
            cx.reschedule();
        }
        worked
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("count"), Handler::button("reset_counts"), Handler::read("filename")]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "count" => self.count.to_string(),
            _ => self.name.clone(),
        })
    }

    fn write(&mut self, _handler: &str, _value: &str, _cx: &mut Context<'_>) -> Answer {
        self.count = 0;
        common::done()
    }

    fn cleanup(&mut self, cx: &mut Context<'_>) {
        if let Some(file) = self.file.take() {
            cx.host().close(file);
        }
    }
}

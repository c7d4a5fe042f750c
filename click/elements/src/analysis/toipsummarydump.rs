//! ToIPSummaryDump: writes packets to an IP summary dump.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use click_language::config;
use click_language::text;
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
use click_runtime::host::Handle;
use click_runtime::host::Open;
use click_runtime::notify::Signal;

use crate::common;
use crate::dump;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ToIPSummaryDump",
    ports: "1/0-1",
    processing: "a/ah",
    flow: "",
    make: || Box::<ToIPSummaryDump>::default(),
    documentation: Documentation {
        summary: "Writes packets to an IP summary dump.",
        arguments: &[
            ("FILENAME", "the dump; - is standard output"),
            ("FIELDS", "fields of each line"),
            ("CONTENTS", "the same"),
            ("HEADER", "whether to write the header, default true"),
            ("VERBOSE", "whether the header says more"),
            ("BANNER", "text for the header"),
            ("MULTIPACKET", "whether to write packets that stand for several several times"),
            ("BAD_PACKETS", "whether to note bad packets"),
            ("BINARY", "not supported"),
            ("CAREFUL_TRUNC", "whether to note truncated packets"),
            ("EXTRA_LENGTH", "whether the length includes bytes that are not there"),
        ],
        handlers: &[("flush", "writes out what is buffered")],
    },
};

#[derive(Default)]
struct ToIPSummaryDump {
    name: String,
    fields: Vec<dump::Field>,
    banner: String,
    header: bool,
    multipacket: bool,
    file: Option<Handle>,
    signal: Signal,
    line: String,
}

impl ToIPSummaryDump {
    fn write_packet(&mut self, packet: &Packet, cx: &mut Context<'_>) {
        let view = dump::show::View::new(packet);
        self.line.clear();
        for (number, field) in self.fields.iter().enumerate() {
            if number > 0 {
                self.line.push(' ');
            }
            match view.show(*field) {
                Some(value) => self.line.push_str(&value),
                None => self.line.push('-'),
            }
        }
        self.line.push('\n');
        if let Some(file) = self.file {
            let bytes = text::to_bytes(&self.line);
            if let Err(error) = cx.host().write(file, &bytes) {
                cx.error(&error);
                self.file = None;
            }
        }
    }

    fn write_all(&mut self, batch: &Batch, cx: &mut Context<'_>) {
        for packet in batch {
            let extra = packet.anno_u32(anno::EXTRA_PACKETS);
            let times = if self.multipacket { extra.min(1 << 16) } else { 0 };
            for _ in 0..=times {
                self.write_packet(packet, cx);
            }
        }
    }
}

impl Element for ToIPSummaryDump {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut fields, mut header) = (Raw::default(), true);
        args.required("FILENAME", &mut self.name);
        if !args.keyword("FIELDS", &mut fields) && !args.keyword("CONTENTS", &mut fields) {
            args.keyword("DATA", &mut fields);
        }
        args.keyword("HEADER", &mut header);
        args.keyword("BANNER", &mut self.banner);
        args.keyword("MULTIPACKET", &mut self.multipacket);
        let mut ignored = false;
        for name in ["VERBOSE", "BAD_PACKETS", "CAREFUL_TRUNC", "EXTRA_LENGTH"] {
            args.keyword(name, &mut ignored);
        }
        let mut binary = false;
        args.keyword("BINARY", &mut binary);
        if binary {
            args.error("BINARY dumps are not supported");
        }
        args.finish();
        self.header = header;
        let words = config::split_words(&fields.0);
        for word in &words {
            let name = config::unquote(word);
            match dump::find(&name) {
                Some(field) => self.fields.push(field),
                None => args.error(&format!("unknown content type '{name}'")),
            }
        }
        if words.is_empty() {
            // What dumps hold if nobody says otherwise: one address per line.
            self.fields.push(dump::Field::Source);
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
        if cx.inputs() > 0 && !cx.input_is_push(0) {
            self.signal = cx.upstream_signal(0, true);
            cx.reschedule();
        }
        if !self.header {
            return;
        }
        let mut text = format!("!IPSummaryDump {}\n", dump::VERSION);
        if !self.banner.is_empty() {
            text.push_str(&format!("!creator {}\n", config::quote(&self.banner)));
        }
        let names: Vec<&str> = self.fields.iter().map(|field| field.name()).collect();
        text.push_str(&format!("!data {}\n", names.join(" ")));
        if let Some(file) = self.file
            && let Err(error) = cx.host().write(file, &text::to_bytes(&text))
        {
            cx.error(&error);
        }
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        self.write_all(&batch, cx);
        cx.push(0, batch);
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        let batch = cx.pull(0, cx.burst());
        let worked = !batch.is_empty();
        self.write_all(&batch, cx);
        cx.push(0, batch);
        if worked || cx.is_active(&self.signal) {
            cx.reschedule();
        }
        worked
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::button("flush")]
    }

    fn write(&mut self, _handler: &str, _value: &str, _cx: &mut Context<'_>) -> Answer {
        common::done()
    }

    fn cleanup(&mut self, cx: &mut Context<'_>) {
        if let Some(file) = self.file.take() {
            cx.host().close(file);
        }
    }
}

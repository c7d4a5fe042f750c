//! FromIPSummaryDump: reads packets from an IP summary dump.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_language::config;
use click_language::text;
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
use click_runtime::anno;
use click_runtime::args::Data;
use click_runtime::args::Raw;
use click_runtime::element::Notify;
use click_runtime::notify::Signal;
use click_runtime::notify::Which;

use crate::common;
use crate::dump;
use crate::lines::Lines;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "FromIPSummaryDump",
    ports: "0/1",
    processing: "a",
    flow: "",
    make: || Box::<FromIPSummaryDump>::default(),
    documentation: Documentation {
        summary: "Reads packets from an IP summary dump.",
        arguments: &[
            ("FILENAME", "the dump; - is standard input"),
            ("DATA", "or: the text of a dump"),
            ("STOP", "whether to stop the router at the end"),
            ("ACTIVE", "whether to read, default true"),
            ("ZERO", "ignored: unknown data is always zero"),
            ("TIMING", "whether packets come at the times of the dump"),
            ("CHECKSUM", "whether to set checksums"),
            ("SAMPLE", "probability that a packet is taken"),
            ("PROTO", "protocol of packets whose lines do not say"),
            ("FIELDS", "fields of lines before any !data line"),
            ("FLOWID", "addresses and ports of lines that do not say"),
            ("MULTIPACKET", "whether a line with a count makes so many packets"),
            ("ALLOW_NONEXISTENT", "whether the file may be missing"),
        ],
        handlers: &[("active", "whether to read"), ("stop", "ends reading"), ("encap", "IP")],
    },
};

struct FromIPSummaryDump {
    name: String,
    data: Option<String>,
    stop: bool,
    active: bool,
    timing: bool,
    multipacket: bool,
    allow_missing: bool,
    sample: u32,
    defaults: dump::draft::Defaults,
    fields: Vec<Option<dump::Field>>,
    lines: Lines,
    open: bool,
    offset: Option<i64>,
    waiting: Option<Packet>,
    repeats: Option<(Packet, u32)>,
    complained: bool,
    room: Signal,
}

/// Probability 1 for SAMPLE.
const CERTAIN: u32 = 1 << 28;

impl Default for FromIPSummaryDump {
    fn default() -> Self {
        Self {
            name: String::new(),
            data: None,
            stop: false,
            active: true,
            timing: false,
            multipacket: false,
            allow_missing: false,
            sample: CERTAIN,
            defaults: dump::draft::Defaults { protocol: wire::TCP, ..Default::default() },
            fields: Vec::new(),
            lines: Lines::default(),
            open: false,
            offset: None,
            waiting: None,
            repeats: None,
            complained: false,
            room: Signal::busy(),
        }
    }
}

/// The words of a line; quoted ones may hold spaces.
fn words(line: &str) -> Vec<&str> {
    let bytes = line.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let start = at;
        while at < bytes.len() && !bytes[at].is_ascii_whitespace() {
            if bytes[at] == b'"' {
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
            }
            at += 1;
        }
        at = at.min(bytes.len());
        found.push(&line[start..at]);
    }
    found
}

impl FromIPSummaryDump {
    fn warn(&self, text: &str, cx: &mut Context<'_>) {
        let line = format!("{}: warning: {text}", self.name);
        cx.message(&line);
    }

    fn set_fields(&mut self, names: &[&str]) -> Vec<String> {
        let mut unknown = Vec::new();
        self.fields.clear();
        for name in names {
            let name = config::unquote(name);
            let field = dump::find(&name);
            if field.is_none() {
                unknown.push(format!("unknown content type '{name}'"));
            }
            self.fields.push(field);
        }
        unknown
    }

    fn set_flow(&mut self, parts: &[&str]) -> Option<()> {
        let [source, sport, destination, dport, more @ ..] = parts else { return None };
        let port = |text: &str| match text {
            "-" => Some(0),
            _ => u16::try_from(parse::unsigned(text)?).ok(),
        };
        let address = |text: &str| match text {
            "-" => Some([0; 4]),
            _ => parse::ip_address(text),
        };
        self.defaults.flow =
            Some((address(source)?, port(sport)?, address(destination)?, port(dport)?));
        if let [protocol] = more {
            self.defaults.protocol = dump::draft::protocol(protocol)?;
        }
        Some(())
    }

    /// Takes a line that begins with an exclamation mark.
    fn directive(&mut self, line: &str, cx: &mut Context<'_>) {
        let parts = words(line);
        let (first, rest) = parts.split_first().map_or(("", &[][..]), |(f, r)| (*f, r));
        let fine = match (first, rest) {
            ("!data" | "!contents", names) => {
                for problem in self.set_fields(names) {
                    self.warn(&problem, cx);
                }
                true
            }
            ("!proto", [protocol]) => {
                let found = dump::draft::protocol(protocol);
                self.defaults.protocol = found.unwrap_or(self.defaults.protocol);
                found.is_some()
            }
            ("!flowid", parts) => self.set_flow(parts).is_some(),
            ("!aggregate", [number]) => {
                let number = parse::unsigned(number).and_then(|number| u32::try_from(number).ok());
                self.defaults.aggregate = number;
                number.is_some()
            }
            ("!IPSummaryDump", [version, ..]) => {
                self.defaults.old_offsets = *version == "1.0";
                true
            }
            ("!binary", _) => {
                self.warn("binary dumps are not supported", cx);
                self.lines.close(cx);
                true
            }
            _ => true,
        };
        if !fine {
            self.warn(&format!("bad {first} specification"), cx);
        }
    }

    /// The next packet of the dump; none at its end.
    fn next(&mut self, cx: &mut Context<'_>) -> Option<Packet> {
        while self.open {
            let Some(line) = self.lines.line(cx) else {
                self.lines.close(cx);
                self.open = false;
                break;
            };
            if line.starts_with('!') {
                self.directive(&line, cx);
                continue;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut draft = dump::draft::Draft::default();
            let mut count = 0;
            for (field, word) in self.fields.iter().zip(words(&line)) {
                if let Some(field) = field
                    && word != "-"
                    && draft.read(*field, word, &self.defaults)
                {
                    count += 1;
                }
            }
            if count == 0 {
                if !self.complained && !line.trim().is_empty() {
                    let what = if self.fields.is_empty() {
                        "no '!data' provided"
                    } else {
                        "packet parse error"
                    };
                    self.warn(what, cx);
                    self.complained = true;
                }
                continue;
            }
            let mut packet = cx.packet();
            draft.build(&self.defaults, &mut packet);
            return Some(packet);
        }
        None
    }

    /// The next packet to send: repeated as its count says, if that is asked for.
    fn next_single(&mut self, cx: &mut Context<'_>) -> Option<Packet> {
        if let Some((packet, left)) = self.repeats.take() {
            let copy = cx.copy(&packet);
            if left > 1 {
                self.repeats = Some((packet, left - 1));
            } else {
                cx.kill(packet);
            }
            return Some(copy);
        }
        loop {
            let mut packet = self.next(cx)?;
            if self.sample < CERTAIN && cx.random() % CERTAIN >= self.sample {
                cx.kill(packet);
                continue;
            }
            let extra = packet.anno_u32(anno::EXTRA_PACKETS);
            if self.multipacket && extra > 0 {
                packet.set_anno_u32(anno::EXTRA_PACKETS, 0);
                let copy = cx.copy(&packet);
                self.repeats = Some((packet, extra));
                return Some(copy);
            }
            return Some(packet);
        }
    }

    /// A packet whose time has come; sets a timer for one whose time has not.
    fn due(&mut self, cx: &mut Context<'_>) -> Option<Packet> {
        let packet = match self.waiting.take() {
            Some(packet) => packet,
            None => self.next_single(cx)?,
        };
        if self.timing {
            let now = cx.time();
            let offset = *self.offset.get_or_insert(now - packet.timestamp());
            let at = packet.timestamp() + offset;
            if now < at {
                cx.set_timer(0, at);
                self.waiting = Some(packet);
                return None;
            }
        }
        Some(packet)
    }
}

impl Element for FromIPSummaryDump {
    fn configure(&mut self, args: &mut Args<'_>) {
        let (mut zero, mut sample) = (true, 1.0f64);
        let (mut fields, mut flow, mut protocol) = (Raw::default(), Raw::default(), None::<u8>);
        let mut data = None::<Data>;
        let named = args.positional("FILENAME", &mut self.name);
        args.keyword("STOP", &mut self.stop);
        args.keyword("ACTIVE", &mut self.active);
        args.keyword("ZERO", &mut zero);
        args.keyword("TIMING", &mut self.timing);
        args.keyword("CHECKSUM", &mut self.defaults.checksum);
        args.keyword("SAMPLE", &mut sample);
        args.keyword("PROTO", &mut protocol);
        args.keyword("MULTIPACKET", &mut self.multipacket);
        for name in ["DEFAULT_CONTENTS", "DEFAULT_FIELDS", "CONTENTS", "FIELDS"] {
            args.keyword(name, &mut fields);
        }
        for name in ["DEFAULT_FLOWID", "FLOWID"] {
            args.keyword(name, &mut flow);
        }
        args.keyword("ALLOW_NONEXISTENT", &mut self.allow_missing);
        args.keyword("DATA", &mut data);
        args.finish();
        self.data = data.map(|data| text::from_bytes(&data.0));
        match (named, &self.data) {
            (true, Some(_)) => args.error("FILENAME and DATA conflict"),
            (false, None) => args.error("FILENAME: required argument missing"),
            _ => {}
        }
        if !(0.0..=1.0).contains(&sample) {
            args.warning("SAMPLE probability reduced to 1");
        }
        self.sample = (sample.clamp(0.0, 1.0) * f64::from(CERTAIN)) as u32;
        self.defaults.protocol = protocol.unwrap_or(self.defaults.protocol);
        for problem in self.set_fields(&words(&fields.0)) {
            args.warning(&problem);
        }
        if !flow.0.is_empty() && self.set_flow(&words(&flow.0)).is_none() {
            args.error("bad FLOWID");
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        self.open = true;
        match &self.data {
            Some(data) => {
                self.lines.set_text(data);
                self.name = "<data>".into();
            }
            None => {
                if let Err(error) = self.lines.open(&self.name, cx) {
                    self.open = false;
                    if !self.allow_missing {
                        cx.error(&format!("{}: {error}", self.name));
                        return;
                    }
                }
                if self.name == "-" {
                    self.name = "<stdin>".into();
                }
            }
        }
        if cx.output_is_push(0) {
            self.room = cx.downstream_signal(0, false);
            if self.active {
                cx.reschedule();
            }
        }
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.active {
            return false;
        }
        let mut batch = cx.batch();
        let burst = cx.burst().min(cx.room(&self.room)).max(1);
        while batch.len() < burst {
            let Some(packet) = self.due(cx) else { break };
            batch.push(packet);
        }
        let worked = !batch.is_empty();
        cx.push(0, batch);
        if worked {
            cx.reschedule();
        } else if !self.open && self.stop {
            cx.stop();
        }
        worked
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        if cx.output_is_push(0) {
            cx.reschedule();
        } else {
            cx.notify(Which::Empty, true);
        }
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.batch();
        while self.active && batch.len() < most {
            let Some(packet) = self.due(cx) else { break };
            batch.push(packet);
        }
        if batch.is_empty() && self.active {
            cx.notify(Which::Empty, false);
            if !self.open && self.stop {
                cx.stop();
            }
        }
        batch
    }

    fn notifier(&self, full: bool, _port: usize) -> Option<Notify> {
        (!full).then_some(Notify::Stop)
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::checkbox("active"), Handler::read("encap"), Handler::button("stop")]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(if handler == "encap" { "IP".into() } else { self.active.to_string() })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        if handler == "stop" {
            self.active = false;
            cx.stop();
            return common::done();
        }
        self.active = common::value(value, cx)?;
        if self.active {
            if cx.output_is_push(0) {
                cx.reschedule();
            } else {
                cx.notify(Which::Empty, true);
            }
        }
        common::done()
    }

    fn cleanup(&mut self, cx: &mut Context<'_>) {
        self.lines.close(cx);
    }
}

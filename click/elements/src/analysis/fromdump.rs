//! FromDump: reads packets from a capture file.

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
use click_runtime::args::Time;
use click_runtime::element::Notify;
use click_runtime::handler::Call;
use click_runtime::host::{Handle, Open};
use click_runtime::notify::{Signal, Which};

use crate::common;
use crate::dump::pcap::{FILE_HEADER, Format};
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "FromDump",
    ports: "0/1",
    processing: "a",
    flow: "",
    make: || Box::<FromDump>::default(),
    documentation: Documentation {
        summary: "Reads packets from a capture file that tcpdump wrote.",
        arguments: &[
            ("FILENAME", "the file; - is standard input"),
            ("TIMING", "whether packets come at the intervals of the file, default false"),
            ("STOP", "whether to stop the router at the end"),
            ("ACTIVE", "whether to read, default true"),
            ("SAMPLE", "probability that a packet is taken, default 1"),
            ("FORCE_IP", "whether to take IP packets only, and to mark their headers"),
            ("START, START_AFTER", "time of the first packet, and relative to that in the file"),
            ("END, END_AFTER, INTERVAL", "time of the end, relative to the first packet, to the start"),
            ("END_CALL", "handler to write at the end"),
            ("EXTRA_LENGTH", "whether to note bytes that were cut off, default true"),
        ],
        handlers: &[
            ("active", "whether to read"),
            ("count", "packets so far"),
            ("reset_counts", "sets the count to 0"),
            ("encap", "what packets begin with"),
            ("filename", "the file"),
            ("filepos", "bytes read so far"),
            ("stop", "ends reading and stops the router"),
        ],
    },
};

/// Probability 1 for SAMPLE.
const CERTAIN: u32 = 1 << 28;

/// Bytes to read at once.
const CHUNK: usize = 1 << 16;

struct FromDump {
    name: String,
    timing: bool,
    active: bool,
    force_ip: bool,
    extra_length: bool,
    sample: u32,
    start: Option<i64>,
    start_after: i64,
    end: Option<i64>,
    end_after: Option<i64>,
    interval: Option<i64>,
    end_text: Option<String>,
    end_call: Option<Call>,
    file: Option<Handle>,
    format: Option<Format>,
    /// Bytes that were read but not used yet begin at `at`.
    buffer: Vec<u8>,
    at: usize,
    position: u64,
    count: u64,
    /// No packets are left.
    ended: bool,
    /// Time of the first packet was seen.
    begun: bool,
    /// The router's time minus the file's.
    offset: Option<i64>,
    waiting: Option<Packet>,
    room: Signal,
}

impl Default for FromDump {
    fn default() -> Self {
        Self {
            name: String::new(),
            timing: false,
            active: true,
            force_ip: false,
            extra_length: true,
            sample: CERTAIN,
            start: None,
            start_after: 0,
            end: None,
            end_after: None,
            interval: None,
            end_text: None,
            end_call: None,
            file: None,
            format: None,
            buffer: Vec::new(),
            at: 0,
            position: 0,
            count: 0,
            ended: false,
            begun: false,
            offset: None,
            waiting: None,
            room: Signal::busy(),
        }
    }
}

impl FromDump {
    /// Takes the next bytes of the file; none if so many are not left.
    fn take(&mut self, count: usize, cx: &mut Context<'_>) -> Result<Option<usize>, String> {
        while self.buffer.len() - self.at < count {
            let Some(file) = self.file else { return Ok(None) };
            self.buffer.drain(..self.at);
            self.at = 0;
            let start = self.buffer.len();
            self.buffer.resize(start + CHUNK.max(count), 0);
            let read = cx.host().read(file, &mut self.buffer[start..]);
            self.buffer.truncate(start + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                cx.host().close(file);
                self.file = None;
            }
        }
        let start = self.at;
        self.at += count;
        self.position += count as u64;
        Ok(Some(start))
    }

    fn left(&self) -> usize {
        self.buffer.len() - self.at
    }

    /// The next packet of the file, as it is there.
    fn next(&mut self, cx: &mut Context<'_>) -> Result<Option<Packet>, String> {
        let Some(format) = self.format else { return Ok(None) };
        let header = format.record_header();
        let Some(at) = self.take(header, cx)? else {
            if self.left() > 0 {
                return Err("the file ends within a packet header".into());
            }
            return Ok(None);
        };
        let record = format.record(&self.buffer[at..at + header])?;
        let Some(at) = self.take(record.captured, cx)? else {
            return Err("the file ends within a packet".into());
        };
        let mut packet = cx.packet();
        packet.fill(&self.buffer[at..at + record.captured]);
        packet.set_timestamp(record.time);
        packet.set_mac(0);
        if self.extra_length {
            let extra = record.length.saturating_sub(record.captured);
            packet.set_anno_u32(anno::EXTRA_LENGTH, u32::try_from(extra).unwrap_or(u32::MAX));
        }
        Ok(Some(packet))
    }

    /// Whether a packet lies within the times asked for; none behind their end.
    fn is_in_time(&mut self, time: i64) -> Option<bool> {
        if !self.begun {
            self.begun = true;
            let start = *self.start.get_or_insert(time + self.start_after);
            let after = self.end_after.map(|after| time + after);
            self.end = self.end.or(after).or(self.interval.map(|interval| start + interval));
        }
        if self.end.is_some_and(|end| time >= end) {
            return None;
        }
        Some(self.start.is_none_or(|start| time >= start))
    }

    /// The next packet to send.
    fn next_wanted(&mut self, cx: &mut Context<'_>) -> Option<Packet> {
        while !self.ended {
            let mut packet = match self.next(cx) {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(error) => {
                    let line = format!("{}: warning: {error}", self.name);
                    cx.message(&line);
                    break;
                }
            };
            let inside = self.is_in_time(packet.timestamp());
            if inside.is_none() {
                cx.kill(packet);
                break;
            }
            let sampled = self.sample >= CERTAIN || cx.random() % CERTAIN < self.sample;
            let fits = inside == Some(true) && sampled && (!self.force_ip || self.mark(&mut packet));
            if fits {
                return Some(packet);
            }
            cx.kill(packet);
        }
        self.ended = true;
        None
    }

    /// Marks the headers of an IP packet; false for other packets.
    fn mark(&self, packet: &mut Packet) -> bool {
        let Some(format) = self.format else { return false };
        let Some(offset) = format.link.ip_offset(packet.data()) else { return false };
        let length = wire::header_length(&packet.data()[offset..]);
        packet.set_network(offset, length);
        let destination = wire::ip_at(packet.data(), offset + 16);
        packet.set_dst_ip(destination);
        true
    }

    /// A packet whose time has come; sets a timer for one whose time has not.
    fn due(&mut self, cx: &mut Context<'_>) -> Option<Packet> {
        let packet = match self.waiting.take() {
            Some(packet) => packet,
            None => self.next_wanted(cx)?,
        };
        if self.timing {
            let now = cx.time();
            let at = packet.timestamp() + *self.offset.get_or_insert(now - packet.timestamp());
            if now < at {
                cx.set_timer(0, at);
                self.waiting = Some(packet);
                return None;
            }
        }
        self.count += 1;
        Some(packet)
    }

    fn batch(&mut self, most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.batch();
        while self.active && batch.len() < most {
            let Some(packet) = self.due(cx) else { break };
            batch.push(packet);
        }
        if batch.is_empty() && self.ended && self.active {
            self.active = false;
            common::call(self.end_call.as_ref(), cx);
        }
        batch
    }

    fn resume(&mut self, cx: &mut Context<'_>) {
        if cx.output_is_push(0) {
            cx.reschedule();
        } else {
            cx.notify(Which::Empty, true);
        }
    }
}

impl Element for FromDump {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut sample = 1.0f64;
        let mut times: [Option<Time>; 5] = [None; 5];
        let mut stop = false;
        args.required("FILENAME", &mut self.name);
        args.keyword("TIMING", &mut self.timing);
        args.keyword("STOP", &mut stop);
        args.keyword("ACTIVE", &mut self.active);
        args.keyword("SAMPLE", &mut sample);
        args.keyword("FORCE_IP", &mut self.force_ip);
        for (name, time) in
            ["START", "START_AFTER", "END", "END_AFTER", "INTERVAL"].into_iter().zip(&mut times)
        {
            args.keyword(name, time);
        }
        args.keyword("EXTRA_LENGTH", &mut self.extra_length);
        let mut mapped = false;
        args.keyword("MMAP", &mut mapped);
        self.end_text = common::call_argument("END_CALL", args);
        args.finish();
        if !(0.0..=1.0).contains(&sample) {
            args.error("SAMPLE: must be between 0 and 1");
        }
        self.sample = (sample.clamp(0.0, 1.0) * f64::from(CERTAIN)) as u32;
        let [start, start_after, end, end_after, interval] = times.map(|time| time.map(|t| t.0));
        (self.start, self.start_after) = (start, start_after.unwrap_or(0));
        (self.end, self.end_after, self.interval) = (end, end_after, interval);
        if start.is_some() && start_after.is_some() {
            args.error("'START' and 'START_AFTER' are mutually exclusive");
        }
        if [end, end_after, interval].iter().flatten().count() > 1 {
            args.error("'END', 'END_AFTER' and 'INTERVAL' are mutually exclusive");
        }
        if stop {
            if self.end_text.is_some() {
                args.error("'END_CALL' and 'STOP' are mutually exclusive");
            }
            self.end_text = Some("stop".into());
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        if let Some(text) = &self.end_text {
            self.end_call = common::resolve(text, cx);
        }
        let opened = cx.host().open(&self.name, Open::Read).and_then(|file| {
            self.file = Some(file);
            let at = self.take(FILE_HEADER, cx)?;
            let end = if at.is_some() { self.at } else { self.buffer.len() };
            Format::read(&self.buffer[at.unwrap_or(0)..end])
        });
        match opened {
            Ok(format) => self.format = Some(format),
            Err(error) => cx.error(&format!("{}: {error}", self.name)),
        }
        if self.force_ip
            && let Some(format) = self.format
            && matches!(format.link, crate::dump::pcap::Link::Other(_))
        {
            let text = format!("{}: unknown linktype {}; can't force IP packets", self.name, format.link.name());
            cx.error(&text);
        }
        if cx.output_is_push(0) {
            self.room = cx.downstream_signal(0, true);
            if self.active {
                cx.reschedule();
            }
        }
    }

    fn task(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.active || !cx.is_active(&self.room) {
            return false;
        }
        let burst = cx.burst().min(cx.room(&self.room)).max(1);
        let batch = self.batch(burst, cx);
        let worked = !batch.is_empty();
        cx.push(0, batch);
        if worked {
            cx.reschedule();
        }
        worked
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        self.resume(cx);
    }

    fn pull(&mut self, _port: usize, most: usize, cx: &mut Context<'_>) -> Batch {
        let batch = self.batch(most, cx);
        if batch.is_empty() {
            cx.notify(Which::Empty, false);
        }
        batch
    }

    fn notifier(&self, full: bool, _port: usize) -> Option<Notify> {
        (!full).then_some(Notify::Stop)
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![
            Handler::checkbox("active"),
            Handler::read("count"),
            Handler::button("reset_counts"),
            Handler::read("encap"),
            Handler::read("filename"),
            Handler::read("filepos"),
            Handler::button("stop"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "active" => self.active.to_string(),
            "count" => self.count.to_string(),
            "encap" => self.format.map_or_else(String::new, |format| format.link.name()),
            "filepos" => self.position.to_string(),
            _ => self.name.clone(),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        match handler {
            "active" => {
                self.active = common::value(value, cx)?;
                if self.active {
                    self.resume(cx);
                }
            }
            "stop" => {
                self.active = false;
                cx.stop();
            }
            _ => self.count = 0,
        }
        common::done()
    }

    fn cleanup(&mut self, cx: &mut Context<'_>) {
        if let Some(file) = self.file.take() {
            cx.host().close(file);
        }
    }
}

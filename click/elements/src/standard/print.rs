//! Print: prints packets.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
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
use click_runtime::Packet;
use click_runtime::packet::Kind as PacketKind;

use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Print",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<Print>::default(),
    documentation: Documentation {
        summary: "Prints packets.",
        arguments: &[
            ("LABEL", "text before each line"),
            ("MAXLENGTH", "most bytes to print, default 24, -1 for all"),
            ("CONTENTS", "`HEX`, `ASCII` or `NONE`"),
            ("TIMESTAMP", "whether to print the time"),
            ("PRINTANNO", "whether to print annotations"),
            ("HEADROOM", "whether to print the room before the data"),
            ("BCAST", "whether to print the link-level kind"),
            ("ACTIVE", "whether to print"),
        ],
        handlers: &[("active", "whether to print")],
    },
};

struct Print {
    label: String,
    most: usize,
    contents: Contents,
    timestamp: bool,
    annotations: bool,
    headroom: bool,
    kind: bool,
    active: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contents {
    None,
    Hex,
    Ascii,
}

impl Default for Print {
    fn default() -> Self {
        Self {
            label: String::new(),
            most: 24,
            contents: Contents::Hex,
            timestamp: false,
            annotations: false,
            headroom: false,
            kind: false,
            active: true,
        }
    }
}

impl Print {
    fn line(&self, packet: &Packet) -> String {
        let mut line = self.label.clone();
        if !line.is_empty() {
            line.push_str(": ");
        }
        if self.kind {
            line.push_str(match packet.kind() {
                PacketKind::Broadcast => "B ",
                PacketKind::Multicast => "M ",
                PacketKind::OtherHost => "O ",
                PacketKind::Outgoing => "X ",
                PacketKind::Host => "H ",
            });
        }
        if self.timestamp {
            line.push_str(&parse::unparse_time(packet.timestamp()));
            line.push_str(": ");
        }
        line.push_str(&format!("{:4}", packet.len()));
        if self.headroom {
            line.push_str(&format!(" (h{} t{})", packet.headroom(), packet.tailroom()));
        }
        if self.annotations {
            line.push_str(" | ");
            for byte in packet.annotations() {
                line.push_str(&format!("{byte:02x}"));
            }
        }
        let shown = &packet.data()[..packet.len().min(self.most)];
        if self.contents != Contents::None && !shown.is_empty() {
            line.push_str(" | ");
            common::contents(shown, self.contents == Contents::Ascii, &mut line);
        }
        line
    }
}

impl Element for Print {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut most = 24i32;
        let mut contents = String::new();
        args.positional("LABEL", &mut self.label);
        args.positional("MAXLENGTH", &mut most);
        args.keyword("LENGTH", &mut most);
        args.keyword("NBYTES", &mut most);
        args.keyword("CONTENTS", &mut contents);
        args.keyword("TIMESTAMP", &mut self.timestamp);
        args.keyword("PRINTANNO", &mut self.annotations);
        args.keyword("HEADROOM", &mut self.headroom);
        args.keyword("BCAST", &mut self.kind);
        args.keyword("ACTIVE", &mut self.active);
        let mut cpu = false;
        args.keyword("CPU", &mut cpu);
        args.finish();
        self.most = usize::try_from(most).unwrap_or(usize::MAX);
        self.contents = match contents.to_ascii_uppercase().as_str() {
            "" | "HEX" | "TRUE" | "YES" | "1" => Contents::Hex,
            "NONE" | "FALSE" | "NO" | "0" => Contents::None,
            "ASCII" => Contents::Ascii,
            _ => {
                args.error("bad contents value; should be 'NONE', 'HEX', or 'ASCII'");
                Contents::None
            }
        };
    }

    fn is_exact(&self) -> bool {
        self.active
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        if !self.active {
            return;
        }
        for packet in batch.iter() {
            let line = self.line(packet);
            cx.message(&line);
        }
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::checkbox("active")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.active.to_string())
    }

    fn write(&mut self, _handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        self.active = common::value(value, cx)?;
        common::done()
    }
}

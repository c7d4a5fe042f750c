//! PortInfo: gives names to TCP and UDP ports.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use click_language::config;
use click_language::value as parse;
use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Phase;
use click_runtime::names::Kind;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "PortInfo",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<PortInfo>::default(),
    documentation: Documentation {
        summary: "Gives names to TCP and UDP ports.",
        arguments: &[("NAME PORT[/PROTOCOL]", "a name and its port; further names may follow")],
        handlers: &[],
    },
};

#[derive(Default)]
struct PortInfo {
    names: Vec<(Kind, String, Vec<u8>)>,
}

impl Element for PortInfo {
    fn phase(&self) -> Phase {
        Phase::Info
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        for argument in args.rest() {
            // Lines may come from /etc/services, comments and all.
            let plain = argument.split('#').next().unwrap_or_default();
            let words = config::split_words(plain);
            let [name, port, more @ ..] = words.as_slice() else {
                if !words.is_empty() {
                    args.error("expected 'NAME PORT/PROTO'");
                }
                continue;
            };
            let (number, protocol) = port.split_once('/').unwrap_or((port, ""));
            let Some(number) = parse::unsigned(number).and_then(|n| u16::try_from(n).ok()) else {
                args.error(&format!("expected 'NAME PORT/PROTO', not '{argument}'"));
                continue;
            };
            for name in core::iter::once(name).chain(more) {
                for (kind, label) in [(Kind::TcpPort, "tcp"), (Kind::UdpPort, "udp")] {
                    if protocol.is_empty() || protocol == label {
                        self.names.push((kind, name.clone(), number.to_be_bytes().to_vec()));
                    }
                }
            }
        }
    }

    fn definitions(&mut self) -> Vec<(Kind, String, Vec<u8>)> {
        core::mem::take(&mut self.names)
    }
}

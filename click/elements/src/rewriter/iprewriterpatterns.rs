//! IPRewriterPatterns: gives names to patterns for rewriters.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use click_language::config;
use click_language::text;
use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Phase;
use click_runtime::names::Kind;

use crate::nat;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "IPRewriterPatterns",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<IPRewriterPatterns>::default(),
    documentation: Documentation {
        summary: "Gives names to patterns for rewriters.",
        arguments: &[("NAME SADDR SPORT DADDR DPORT...", "name and pattern")],
        handlers: &[],
    },
};

#[derive(Default)]
struct IPRewriterPatterns {
    names: Vec<(Kind, String, Vec<u8>)>,
}

impl Element for IPRewriterPatterns {
    fn phase(&self) -> Phase {
        Phase::Info
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        for argument in args.rest() {
            let words = config::split_words(&argument);
            let Some((name, pattern)) = words.split_first() else { continue };
            match nat::Pattern::parse(pattern, nat::Flavor::Ports, &args.scope) {
                Ok(_) => {
                    let text = pattern.join(" ");
                    self.names.push((Kind::Pattern, name.clone(), text::to_bytes(&text)));
                }
                Err(error) => args.error(&format!("pattern '{name}': {error}")),
            }
        }
    }

    fn definitions(&mut self) -> Vec<(Kind, String, Vec<u8>)> {
        core::mem::take(&mut self.names)
    }
}

//! ScheduleInfo: sets the tickets of tasks.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use click_language::config;
use click_language::value as parse;
use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Phase;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ScheduleInfo",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<ScheduleInfo>::default(),
    documentation: Documentation {
        summary: "Sets the tickets of tasks.",
        arguments: &[("ELEMENT PARAMETER", "element and its share relative to the default 1")],
        handlers: &[],
    },
};

#[derive(Default)]
struct ScheduleInfo {
    tickets: Vec<(usize, u32)>,
}

const DEFAULT_TICKETS: f64 = 1024.0;

impl Element for ScheduleInfo {
    fn phase(&self) -> Phase {
        Phase::Info
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        for argument in args.rest() {
            let words = config::split_words(&argument);
            let [name, share] = words.as_slice() else {
                if !words.is_empty() {
                    args.error("expected 'ELEMENTNAME PARAM'");
                }
                continue;
            };
            match (args.element(name), parse::real(share)) {
                (Some(element), Some(share)) if share >= 0.0 => {
                    self.tickets.push((element, (share * DEFAULT_TICKETS) as u32));
                }
                (None, _) => args.error(&format!("'{name}' does not name an element")),
                _ => args.error("expected 'ELEMENTNAME PARAM'"),
            }
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        for &(element, tickets) in &self.tickets {
            cx.set_tickets(element, tickets);
        }
    }
}

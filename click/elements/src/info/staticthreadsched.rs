//! StaticThreadSched: assigns elements to threads.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
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
    name: "StaticThreadSched",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<StaticThreadSched>::default(),
    documentation: Documentation {
        summary: "Assigns elements to threads.",
        arguments: &[("ELEMENT THREAD", "element, or compound, and thread")],
        handlers: &[],
    },
};

#[derive(Default)]
struct StaticThreadSched {
    assignments: Vec<(String, u32)>,
}

impl Element for StaticThreadSched {
    fn phase(&self) -> Phase {
        Phase::Info
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        for argument in args.rest() {
            let words = config::split_words(&argument);
            match words.as_slice() {
                [] => {}
                [name, thread] => match parse::integer(thread) {
                    Some(thread @ 0..) => self.assignments.push((name.clone(), thread as u32)),
                    Some(_) => {}
                    None => args.error(&format!("bad thread '{thread}'")),
                },
                _ => args.error("expected 'ELEMENT THREAD'"),
            }
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        let own = cx.name();
        let scope = own.rfind('/').map_or("", |slash| &own[..=slash]);
        for (name, thread) in &self.assignments {
            let full = format!("{scope}{name}");
            let inside = format!("{full}/");
            for element in 0..cx.router().len() {
                let known = cx.router().name(element);
                let exact = known == full;
                // What is said about the element itself, or nearer to it, counts.
                if exact || (known.starts_with(&inside) && !cx.has_thread(element)) {
                    cx.set_thread(element, *thread);
                }
            }
        }
    }
}

//! IPFilter: filters IP packets by rules.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_language::config;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;

use crate::filter;
use crate::filter::Jump;
use crate::filter::Matcher;
use crate::filter::Program;
use crate::filter::Scratch;
use crate::flow;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "IPFilter",
    ports: "1/-",
    processing: "h/h",
    flow: "",
    make: || Box::<IPFilter>::default(),
    documentation: Documentation {
        summary: "Filters IP packets by rules.",
        arguments: &[("ACTION PATTERN...", "`allow`, `deny` or an output, and a pattern")],
        handlers: &[("program", "the decision tree"), ("pattern_count", "number of patterns")],
    },
};

#[derive(Default)]
struct IPFilter {
    program: Program,
    matcher: Matcher,
    scratch: Scratch,
    patterns: usize,
}

impl Element for IPFilter {
    fn configure(&mut self, args: &mut Args<'_>) {
        let arguments = args.rest();

        let mut patterns = Vec::new();
        for (number, argument) in arguments.iter().enumerate() {
            let pattern = config::unquote(argument);
            let (word, rest) =
                pattern.trim().split_once(char::is_whitespace).unwrap_or((pattern.trim(), ""));
            let target = filter::language::slot(word, args.outputs);
            let rest = rest.trim();
            let target = target.map(|slot| slot.map_or(Jump::Drop, Jump::Output));
            if word.is_empty() {
                args.error(&format!("empty pattern {number}"));
                continue;
            }

            let found =
                target.and_then(|target| Ok((filter::language::parse(rest, &args.scope)?, target)));
            match found {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => args.error(&format!("pattern {number}: {error}")),
            }
        }
        if !args.is_fine() {
            return;
        }
        self.patterns = patterns.len();
        self.program = Program::new(&patterns, filter::language::ORDER);
        self.matcher = Matcher::new(&self.program, &patterns, true);
        for output in self.program.unused_outputs(args.outputs) {
            args.warning(&format!("output {output} matches no packets"));
        }
    }

    fn can_reconfigure(&self) -> bool {
        true
    }

    fn push(&mut self, _port: usize, batch: Batch, cx: &mut Context<'_>) {
        let outputs = self.matcher.classify(&batch, &mut self.scratch);
        flow::distribute_to(batch, outputs, cx);
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("program"), Handler::read("pattern_count")]
    }

    fn read(&mut self, handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(match handler {
            "program" => self.program.unparse(),
            _ => self.patterns.to_string(),
        })
    }
}

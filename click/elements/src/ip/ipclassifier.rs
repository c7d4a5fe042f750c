//! IPClassifier: sends each IP packet to the output of the first pattern that matches.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
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
    name: "IPClassifier",
    ports: "1/-",
    processing: "h/h",
    flow: "",
    make: || Box::<IPClassifier>::default(),
    documentation: Documentation {
        summary: "Sends each IP packet to the output of the first pattern that matches.",
        arguments: &[("PATTERN...", "one per output; `-` matches all")],
        handlers: &[("program", "the decision tree"), ("pattern_count", "number of patterns")],
    },
};

#[derive(Default)]
struct IPClassifier {
    program: Program,
    matcher: Matcher,
    scratch: Scratch,
    patterns: usize,
}

impl Element for IPClassifier {
    fn configure(&mut self, args: &mut Args<'_>) {
        let arguments = args.rest();

        if arguments.len() != args.outputs {
            args.error(&format!("need {} arguments, one per output port", args.outputs));
            return;
        }

        let mut patterns = Vec::new();
        for (number, argument) in arguments.iter().enumerate() {
            let pattern = config::unquote(argument);
            let rest = pattern.trim();
            let target: Result<Jump, String> = Ok(Jump::Output(number));

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

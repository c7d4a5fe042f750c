//! Classifier: sends each packet to the output of the first pattern that matches its bytes.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::string::ToString;
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

use crate::filter;
use crate::filter::Expression;
use crate::filter::Jump;
use crate::filter::Matcher;
use crate::filter::Program;
use crate::filter::Scratch;
use crate::filter::Test;
use crate::flow;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Classifier",
    ports: "1/-",
    processing: "h/h",
    flow: "",
    make: || Box::<Classifier>::default(),
    documentation: Documentation {
        summary: "Sends each packet to the output of the first pattern that matches its bytes.",
        arguments: &[(
            "PATTERN...",
            "`OFFSET/VALUE%MASK` clauses in hexadecimal, `?` for any digit, `!` for not; `-` matches all",
        )],
        handlers: &[("program", "the decision tree"), ("pattern_count", "number of patterns")],
    },
};

#[derive(Default)]
struct Classifier {
    program: Program,
    matcher: Matcher,
    scratch: Scratch,
    patterns: usize,
}

/// Furthest byte that a pattern may test.
const FURTHEST: usize = 1 << 16;

/// Value and mask of a hexadecimal digit, or of a question mark.
fn digit(byte: u8) -> Option<(u8, u8)> {
    match byte {
        b'?' => Some((0, 0)),
        _ => char::from(byte).to_digit(16).map(|digit| (digit as u8, 15)),
    }
}

/// Pairs of digits as bytes: value and mask of each.
fn bytes(text: &str) -> Option<Vec<(u8, u8)>> {
    let digits: Vec<(u8, u8)> = text.bytes().map(digit).collect::<Option<_>>()?;
    let join = |pair: &[(u8, u8)]| (pair[0].0 << 4 | pair[1].0, pair[0].1 << 4 | pair[1].1);
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(join).collect())
}

fn clause(text: &str) -> Result<Expression, String> {
    let (negated, text) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (offset, rest) = text.split_once('/').ok_or("expected '/'")?;
    let offset: usize = offset.parse().map_err(|_| "expected a digit")?;
    if offset > FURTHEST {
        return Err("offset too large".into());
    }
    let (value, mask) = match rest.split_once('%') {
        Some((value, mask)) => (value, Some(mask)),
        None => (rest, None),
    };
    if value.len() < 2 {
        return Err("value has less than 2 hex digits".into());
    }
    let mut wanted = bytes(value).ok_or("value has odd number of hex digits")?;
    if let Some(mask) = mask {
        if mask.len() != value.len() {
            let how = if mask.len() > value.len() { "many" } else { "few" };
            return Err(format!("mask has too {how} hex digits"));
        }
        let mask = bytes(mask).ok_or("mask has odd number of hex digits")?;
        for (byte, (mask, known)) in wanted.iter_mut().zip(mask) {
            byte.1 &= mask & known;
        }
    }
    let mut tests: Vec<Test> = Vec::new();
    for (at, (value, mask)) in wanted.into_iter().enumerate() {
        let at = offset + at;
        let word = (at / 4 * 4) as u32;
        let shift = 24 - at as u32 % 4 * 8;
        if tests.last().is_none_or(|test| test.offset != word) {
            tests.push(Test { offset: word, mask: 0, value: 0 });
        }
        if let Some(test) = tests.last_mut() {
            test.mask |= u32::from(mask) << shift;
            test.value |= u32::from(value & mask) << shift;
        }
    }
    let all = Expression::And(tests.into_iter().map(Expression::Test).collect());
    Ok(if negated { all.not(false) } else { all })
}

/// A pattern: all its clauses must hold. A lone exclamation mark belongs to what follows.
fn pattern(text: &str) -> Result<Expression, String> {
    if text == "-" {
        return Ok(Expression::Test(Test::ALWAYS));
    }
    let joined = text.replace("! ", "!");
    let clauses: Vec<Expression> =
        joined.split_whitespace().map(clause).collect::<Result<_, _>>()?;
    if clauses.is_empty() {
        return Ok(Expression::Test(Test::ALWAYS));
    }
    Ok(Expression::And(clauses))
}

impl Element for Classifier {
    fn configure(&mut self, args: &mut Args<'_>) {
        let arguments = args.rest();
        if arguments.len() != args.outputs {
            args.error(&format!("need {} arguments, one per output port", args.outputs));
            return;
        }
        let mut patterns = Vec::new();
        for (slot, text) in arguments.iter().enumerate() {
            match pattern(text) {
                Ok(condition) => patterns.push((condition, Jump::Output(slot))),
                Err(error) => args.error(&format!("pattern {slot}: {error}")),
            }
        }
        if !args.is_fine() {
            return;
        }
        let order = filter::program::Order { rank: |offset| offset };
        self.patterns = patterns.len();
        self.program = Program::new(&patterns, order);
        self.matcher = Matcher::new(&self.program, &patterns, false);
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

//! Running a script.

use alloc::format;
use alloc::string::{String, ToString};

use click_language::expand::{Expander, Form, expand};
use click_language::{config, text, value};
use click_runtime::Context;
use click_runtime::handler::{Answer, Call};
use click_runtime::host::Open;

use super::{Op, Script, ScriptKind, Target, functions};
use crate::common;

/// What makes a script take steps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum StepKind {
    /// A handler.
    Normal,
    /// The router is about to stop.
    Router,
    /// A wait is over.
    Timer,
    /// Execution begins elsewhere.
    Jump,
}

/// How a run ended.
pub(super) struct End {
    pub(super) value: String,
    pub(super) stopped: bool,
    pub(super) failed: bool,
}

/// Jumps without a wait after which a script is taken to be in an endless loop.
const MOST_JUMPS: u32 = 1_000_000;

struct Names<'a, 'b> {
    script: &'a mut Script,
    cx: &'a mut Context<'b>,
}

impl Expander for Names<'_, '_> {
    fn value(&mut self, name: &str, form: Form, _depth: u32) -> Option<String> {
        if form == Form::Parentheses {
            let mut parameter = name.to_string();
            let handler = config::shift_word(&mut parameter);
            return match self.script.read_by_name(&handler, parameter, self.cx) {
                Ok(value) => Some(value),
                Err(error) => {
                    self.cx.error(&error.text);
                    // A handler that failed has no value; one that is not there leaves the
                    // text as it is.
                    error.found.then(String::new)
                }
            };
        }
        self.script.named_value(name, self.cx)
    }
}

/// Why a handler could not be called.
pub(super) struct CallError {
    text: String,
    /// The handler exists.
    found: bool,
}

impl Script {
    pub(super) fn expand(&mut self, text: &str, quote: bool, cx: &mut Context<'_>) -> String {
        expand(text, &mut Names { script: self, cx }, quote, 0)
    }

    fn named_value(&mut self, name: &str, cx: &mut Context<'_>) -> Option<String> {
        if let Some((_, value)) = self.variables.iter().find(|(known, _)| known == name) {
            return Some(value.clone());
        }
        Some(match name {
            "?" => self.write_status.to_string(),
            "args" => self.arguments.clone(),
            "$" => cx.host().process().to_string(),
            "0" => self.handler.clone(),
            "#" => config::split_words(&self.arguments).len().to_string(),
            "write" => self.writing.to_string(),
            _ => {
                let number: usize = name.parse().ok().filter(|number| *number > 0)?;
                let words = config::split_words(&self.arguments);
                words.get(number - 1).cloned().unwrap_or_default()
            }
        })
    }

    /// Reads a handler by the name that it has for this script.
    fn read_by_name(
        &mut self,
        name: &str,
        parameter: String,
        cx: &mut Context<'_>,
    ) -> Result<String, CallError> {
        let call = self.resolve(name, parameter, false, cx)?;
        let answer = if call.element == Some(cx.id()) {
            self.own_read(&call.handler, &call.value, cx)
        } else {
            cx.call_read(&call)
        };
        answer.map_err(|text| CallError { text, found: true })
    }

    fn resolve(
        &mut self,
        name: &str,
        value: String,
        write: bool,
        cx: &mut Context<'_>,
    ) -> Result<Call, CallError> {
        cx.resolve_named(name, value, write).map_err(|text| CallError { text, found: false })
    }

    pub(super) fn enter_context(&self, cx: &mut Context<'_>) {
        let heading = format!("While executing '{}':", cx.described(cx.id()));
        cx.report().enter(None, &heading);
    }

    /// Sets the timer for the wait at `at`.
    pub(super) fn wait(&mut self, at: usize, cx: &mut Context<'_>) {
        let text = self.instructions[at].text.clone();
        let text = self.expand(&text, false, cx);
        match value::time(&text) {
            Some(delay) => cx.set_timer_after(0, delay),
            None => cx.error("syntax error at 'wait'"),
        }
    }

    /// Takes steps until a wait, the end, or a jump too many.
    pub(super) fn run(&mut self, count: i64, kind: StepKind, cx: &mut Context<'_>) {
        self.running = true;
        let (mut count, mut kind) = (count, kind);
        let mut jumps = 0;
        while count >= 0 {
            self.more_steps = -1;
            self.run_once(count, kind, &mut jumps, cx);
            count = self.more_steps;
            kind = StepKind::Normal;
        }
        self.running = false;
    }

    fn run_once(&mut self, count: i64, kind: StepKind, jumps: &mut u32, cx: &mut Context<'_>) {
        let target = self.steps + count;
        while target >= self.steps && self.position < self.instructions.len() {
            if *jumps >= MOST_JUMPS {
                let line = format!("{}: too many jumps, giving up", cx.described(cx.id()));
                cx.message(&line);
                self.position = self.instructions.len();
                cx.clear_timer(0);
                return;
            }
            // Advance first: the instruction may call `goto` on its own script.
            let at = self.position;
            self.position += 1;
            if !self.instruction_at(at, target, kind, cx) {
                *jumps += 1;
                return;
            }
            if self.position != at + 1 {
                *jumps += 1;
            }
        }
    }

    /// Carries out one instruction. False if the run ends there.
    fn instruction_at(
        &mut self,
        at: usize,
        target: i64,
        kind: StepKind,
        cx: &mut Context<'_>,
    ) -> bool {
        let instruction = self.instructions[at].clone();
        let text = &instruction.text;
        match instruction.op {
            Op::Stop => {
                self.steps += 1;
                self.position = at;
                if kind != StepKind::Router {
                    cx.stop();
                }
                return false;
            }
            Op::WaitStep => {
                let mut progress = instruction.progress;
                while self.steps < target && progress < instruction.argument {
                    progress += 1;
                    self.steps += 1;
                }
                self.instructions[at].progress = progress;
                if self.steps == target && progress < instruction.argument {
                    self.position = at;
                    return false;
                }
            }
            Op::WaitTime => {
                if self.steps == target {
                    self.position = at;
                    self.wait(at, cx);
                    return false;
                }
                self.steps += 1;
                cx.clear_timer(0);
            }
            Op::Initial => {
                if instruction.argument > 0 {
                    self.steps += 1;
                    self.instructions[at].argument = 0;
                }
            }
            Op::Print { line, quoted } => self.print(text, line, quoted, cx),
            Op::Read { quoted } => self.show(text, quoted, cx),
            Op::Write { quoted } => self.write_out(text, quoted, cx),
            Op::Set { quoted } | Op::Return { quoted } => {
                let value = self.expand(text, false, cx);
                let value = if quoted { config::unquote(&value) } else { value };
                self.variables[instruction.argument].1 = value;
                if matches!(instruction.op, Op::Return { .. }) && self.position == at + 1 {
                    self.position = at;
                    return false;
                }
            }
            Op::Goto => return self.jump(at, instruction.target, text, cx),
            Op::Error { quoted } => {
                let message = self.expand(text, false, cx);
                let message = if quoted { config::unquote(&message) } else { message };
                if !message.is_empty() {
                    cx.error(&message);
                }
                self.position = at;
                return false;
            }
            Op::End | Op::Exit => {
                self.position = at;
                return false;
            }
            Op::Init { .. } | Op::Label | Op::Save { .. } => {}
        }
        true
    }

    fn jump(&mut self, at: usize, target: Target, condition: &str, cx: &mut Context<'_>) -> bool {
        let condition = self.expand(condition, false, cx);
        let go = if condition.is_empty() { Some(true) } else { value::boolean(&condition) };
        match (go, target) {
            (None, _) => cx.error(&format!("bad condition '{condition}'")),
            (Some(false), _) => {}
            (Some(true), Target::Op(_)) => {
                self.position = at;
                return false;
            }
            (Some(true), Target::Instruction(target)) => {
                // Waits that are passed again wait again.
                for instruction in self.instructions.iter_mut().take(at).skip(target) {
                    instruction.progress = 0;
                }
                self.position = target;
            }
        }
        true
    }

    fn print(&mut self, text: &str, line: bool, quoted: bool, cx: &mut Context<'_>) {
        let mut text = text.to_string();
        let mut file = None;
        if let Some(rest) = text.strip_prefix('>') {
            let (how, rest) = match rest.strip_prefix('>') {
                Some(rest) => (Open::Append, rest),
                None => (Open::Write, rest),
            };
            let mut rest = rest.to_string();
            let name = config::shift_word(&mut rest);
            let name = self.expand(&name, false, cx);
            let name = config::unquote(&name);
            text = rest;
            if name != "-" && !name.is_empty() {
                match cx.host().open(&name, how) {
                    Ok(handle) => file = Some(handle),
                    Err(error) => {
                        cx.error(&format!("{name}: {error}"));
                        return;
                    }
                }
            }
        }
        let named = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '@' || c == '_');
        let mut result = if named {
            match self.call(&text, quoted, cx) {
                Some((_, result)) => result,
                None => {
                    if let Some(file) = file {
                        cx.host().close(file);
                    }
                    return;
                }
            }
        } else {
            let value = self.expand(&text, true, cx);
            config::unquote(&value)
        };
        if line && !result.ends_with('\n') {
            result.push('\n');
        }
        let bytes = text::to_bytes(&result);
        match file {
            None => cx.host().output(&bytes),
            Some(file) => {
                if let Err(error) = cx.host().write(file, &bytes) {
                    cx.error(&error);
                }
                cx.host().close(file);
            }
        }
    }

    /// Calls a read handler, `name parameter` in text. Gives its full name and its value;
    /// none after an error.
    fn call(&mut self, text: &str, quoted: bool, cx: &mut Context<'_>) -> Option<(String, String)> {
        let text = self.expand(text, false, cx);
        let mut parameter = text.clone();
        let name = config::shift_word(&mut parameter);
        if quoted {
            parameter = config::unquote(&parameter);
        }
        let shown = text.trim_end().to_string();
        let own = cx.name();
        let full = match cx.resolve_call(&name, false) {
            Ok(call) if call.element == Some(cx.id()) => format!("{own}.{}", call.handler),
            _ => name.clone(),
        };
        match self.read_by_name(&name, parameter, cx) {
            Ok(value) => Some((full, value)),
            Err(error) if error.found => {
                cx.report().enter(None, &format!("While calling '{shown}':"));
                cx.error(&error.text);
                cx.report().leave();
                Some((full, String::new()))
            }
            Err(error) => {
                cx.error(&error.text);
                None
            }
        }
    }

    fn show(&mut self, text: &str, quoted: bool, cx: &mut Context<'_>) {
        if let Some((name, value)) = self.call(text, quoted, cx) {
            let line = format!("{name}:\n{value}\n");
            for line in line.trim_end_matches('\n').split('\n') {
                cx.message(line);
            }
            cx.message("");
        }
    }

    fn write_out(&mut self, text: &str, quoted: bool, cx: &mut Context<'_>) {
        let text = self.expand(text, false, cx);
        let mut value = text.clone();
        let name = config::shift_word(&mut value);
        if quoted {
            value = config::unquote(&value);
        }
        let call = match self.resolve(&name, String::new(), true, cx) {
            Ok(call) => Call { value, ..call },
            Err(error) => {
                cx.error(&error.text);
                return;
            }
        };
        cx.report().enter(None, &format!("While calling '{}':", text.trim_end()));
        let answer = if call.element == Some(cx.id()) {
            self.own_write(&call.handler, &call.value, cx)
        } else {
            cx.call_write(&call)
        };
        self.write_status = 0;
        if let Err(error) = answer {
            self.write_status = -1;
            cx.error(&error);
        }
        cx.report().leave();
    }

    /// What the run gave.
    pub(super) fn finish_run(&mut self, cx: &mut Context<'_>) -> End {
        let last = self.instructions.get(self.position).map(|instruction| {
            match (instruction.op, instruction.target) {
                (Op::Goto, Target::Op(op)) => op,
                (op, _) => op,
            }
        });
        if last == Some(Op::End) && self.kind == Some(ScriptKind::Signal) {
            for signal in self.signals.clone() {
                cx.watch_signal(signal);
            }
        }
        let value = match last {
            Some(Op::Return { .. }) => self.named_value("_", cx).unwrap_or_default(),
            Some(Op::End) if self.kind == Some(ScriptKind::Packet) => "0".into(),
            _ => String::new(),
        };
        End {
            value,
            stopped: last == Some(Op::Stop),
            failed: matches!(last, Some(Op::Error { .. })),
        }
    }

    /// Runs the script for a packet: the output that it returns.
    pub(super) fn choose_output(&mut self, port: usize, cx: &mut Context<'_>) -> Option<usize> {
        self.enter_context(cx);
        let input = self.variable("input");
        self.variables[input].1 = port.to_string();
        self.position = 0;
        self.run(0, StepKind::Jump, cx);
        let end = self.finish_run(cx);
        cx.report().leave();
        value::integer(&end.value).and_then(|output| usize::try_from(output).ok())
    }

    fn run_handler(
        &mut self,
        handler: &str,
        value: &str,
        write: bool,
        cx: &mut Context<'_>,
    ) -> Answer {
        self.handler = handler.to_string();
        self.writing = write;
        let plain = config::uncomment(value);
        let (count, kind) = match handler {
            "goto" => match self.label(&plain) {
                Some(Target::Instruction(target)) => {
                    for instruction in self.instructions.iter_mut().skip(target) {
                        instruction.progress = 0;
                    }
                    self.position = target;
                    (0, StepKind::Jump)
                }
                _ => return Err("jump to nonexistent label".into()),
            },
            "step" if plain == "router" => (1, StepKind::Router),
            "step" if plain.is_empty() => (1, StepKind::Normal),
            "step" => (value::integer(&plain).ok_or("syntax error")?, StepKind::Normal),
            _ => {
                self.position = 0;
                self.arguments = value.to_string();
                (0, StepKind::Jump)
            }
        };
        if self.running {
            // The script calls itself: what runs goes on from the new place.
            if handler == "step" {
                self.more_steps += count;
            }
            return common::done();
        }
        self.run(count, kind, cx);
        let end = self.finish_run(cx);
        if end.failed { Err(String::new()) } else { Ok(end.value) }
    }

    pub(super) fn own_read(
        &mut self,
        handler: &str,
        parameter: &str,
        cx: &mut Context<'_>,
    ) -> Answer {
        match handler {
            "run" => self.run_handler("run", parameter, false, cx),
            "get" | "shift" => self.variable_handler(handler, parameter),
            _ => {
                if let Some(answer) = functions::call(handler, parameter, cx) {
                    return answer;
                }
                let found = self.variables.iter().find(|(name, _)| name == handler);
                found.map(|(_, value)| value.clone()).ok_or_else(|| "unknown handler".into())
            }
        }
    }

    pub(super) fn own_write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        if handler == "set" {
            let mut value = value.to_string();
            let name = config::shift_word(&mut value);
            if name.is_empty() {
                return Err("no variable".into());
            }
            if name == "args" {
                self.arguments = value;
            } else {
                let at = self.variable(&name);
                self.variables[at].1 = value;
            }
            return common::done();
        }
        self.run_handler(handler, value, true, cx)
    }

    fn variable_handler(&mut self, handler: &str, parameter: &str) -> Answer {
        let mut rest = parameter.to_string();
        let mut name = config::shift_word(&mut rest);
        if name.is_empty() && handler == "shift" {
            name = "args".into();
        }
        if name.is_empty() {
            return Err("no variable".into());
        }
        if !rest.is_empty() {
            return Err("too many arguments".into());
        }
        let value = if name == "args" {
            &mut self.arguments
        } else {
            let found = self.variables.iter_mut().find(|(known, _)| *known == name);
            &mut found.ok_or_else(|| format!("undefined variable '{name}'"))?.1
        };
        Ok(if handler == "get" { value.clone() } else { config::shift_word(value) })
    }
}

//! Script: runs a script of handler calls.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use click_language::config;
use click_language::value as parse;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::args::Raw;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "Script",
    ports: "-/-",
    processing: "a/a",
    flow: "",
    make: || Box::<Script>::default(),
    documentation: Documentation {
        summary: "Runs a script of handler calls.",
        arguments: &[
            (
                "INSTRUCTION...",
                "`set`, `init`, `export`, `print`, `read`, `write`, `wait`, `goto`, `label`, `return`, `stop`, `end` and others",
            ),
            (
                "TYPE",
                "`ACTIVE`, `PASSIVE`, `PACKET`, `DRIVER`, `PROXY` or `SIGNAL` with signal names",
            ),
        ],
        handlers: &[
            ("run", "runs the script with arguments and gives what it returns"),
            ("step", "takes steps"),
            ("goto", "goes on at a label"),
            ("get", "value of a variable"),
            ("set", "sets a variable"),
            ("shift", "takes the first word off a variable"),
            ("add, sub, mul, div, idiv, mod, rem, min, max, neg, abs", "arithmetic"),
            ("eq, ne, lt, le, gt, ge", "comparisons"),
            ("not, and, or, nand, nor, if, in", "logic"),
            ("sprintf, first, length, unquote", "text"),
            (
                "now, random, cat, catq, kill, readable, writable, htons, htonl, ntohs, ntohl",
                "the world outside",
            ),
        ],
    },
};

mod functions;
mod run;

/// What an instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// Marks the beginning of scripts that start at once.
    Initial,
    WaitStep,
    WaitTime,
    Print {
        line: bool,
        quoted: bool,
    },
    Read {
        quoted: bool,
    },
    Write {
        quoted: bool,
    },
    Set {
        quoted: bool,
    },
    /// Set once, when the router starts; with `export` there is a handler, too.
    Init {
        quoted: bool,
        export: bool,
    },
    Return {
        quoted: bool,
    },
    Save {
        append: bool,
    },
    Goto,
    Label,
    End,
    Exit,
    Stop,
    Error {
        quoted: bool,
    },
}

/// Where a `goto` leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Instruction(usize),
    /// As if that instruction stood here.
    Op(Op),
}

#[derive(Clone, Debug)]
struct Instruction {
    op: Op,
    text: String,
    /// Steps to wait, or index of the variable.
    argument: usize,
    /// Steps waited so far.
    progress: usize,
    target: Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ScriptKind {
    Active,
    Passive,
    Packet,
    Proxy,
    Driver,
    Signal,
}

/// A script.
#[derive(Default)]
pub(crate) struct Script {
    kind: Option<ScriptKind>,
    instructions: Vec<Instruction>,
    variables: Vec<(String, String)>,
    signals: Vec<u32>,
    position: usize,
    steps: i64,
    arguments: String,
    /// Name of the handler that runs the script, and whether it is a write.
    handler: String,
    writing: bool,
    write_status: i64,
    running: bool,
    /// Steps that the script asked itself to take while it ran.
    more_steps: i64,
}

const SIGNALS: &[(&str, u32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ABRT", 6),
    ("USR1", 10),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("TSTP", 20),
    ("IO", 29),
];

/// The number of a signal, by name or number.
fn signal_number(text: &str) -> Option<u32> {
    let known = SIGNALS.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
    known.or_else(|| u32::try_from(parse::unsigned(text)?).ok().filter(|number| *number < 32))
}

fn operation(name: &str) -> Option<Op> {
    Some(match name {
        "append" => Op::Save { append: true },
        "save" => Op::Save { append: false },
        "end" => Op::End,
        "error" => Op::Error { quoted: false },
        "errorq" => Op::Error { quoted: true },
        "exit" => Op::Exit,
        "export" => Op::Init { quoted: false, export: true },
        "exportq" => Op::Init { quoted: true, export: true },
        "goto" | "loop" => Op::Goto,
        "init" => Op::Init { quoted: false, export: false },
        "initq" => Op::Init { quoted: true, export: false },
        "label" => Op::Label,
        "pause" | "wait_step" | "wait_stop" => Op::WaitStep,
        "print" => Op::Print { line: true, quoted: false },
        "printn" => Op::Print { line: false, quoted: false },
        "printnq" => Op::Print { line: false, quoted: true },
        "printq" => Op::Print { line: true, quoted: true },
        "read" => Op::Read { quoted: false },
        "readq" => Op::Read { quoted: true },
        "return" => Op::Return { quoted: false },
        "returnq" => Op::Return { quoted: true },
        "set" => Op::Set { quoted: false },
        "setq" => Op::Set { quoted: true },
        "stop" => Op::Stop,
        "wait" | "wait_for" | "wait_time" => Op::WaitTime,
        "write" => Op::Write { quoted: false },
        "writeq" => Op::Write { quoted: true },
        _ => return None,
    })
}

impl Script {
    /// A script that is the router's driver.
    pub(crate) fn driver() -> Self {
        Self { kind: Some(ScriptKind::Driver), ..Self::default() }
    }

    fn add(&mut self, op: Op, argument: usize, text: String) {
        // A script begins with a wait of some kind.
        let waits = matches!(op, Op::Initial | Op::WaitStep | Op::WaitTime);
        if self.instructions.is_empty() && !waits {
            self.add(Op::Initial, 0, String::new());
        }
        let target = Target::Instruction(0);
        self.instructions.push(Instruction { op, text, argument, progress: 0, target });
    }

    fn variable(&mut self, name: &str) -> usize {
        if let Some(at) = self.variables.iter().position(|(known, _)| known == name) {
            return at;
        }
        self.variables.push((name.into(), String::new()));
        self.variables.len() - 1
    }

    fn label(&self, name: &str) -> Option<Target> {
        let labelled =
            |instruction: &Instruction| instruction.op == Op::Label && instruction.text == name;
        if let Some(at) = self.instructions.iter().position(labelled) {
            return Some(Target::Instruction(at));
        }
        match operation(name) {
            Some(op @ (Op::End | Op::Exit | Op::Stop | Op::Error { .. })) => Some(Target::Op(op)),
            _ => matches!(name, "begin" | "loop").then_some(Target::Instruction(0)),
        }
    }

    fn read_kind(&mut self, text: &str, args: &mut Args<'_>) {
        let words = config::split_words(text);
        let (first, rest) = words.split_first().map_or(("", &[][..]), |(f, r)| (f.as_str(), r));
        let kind = match (first, rest) {
            ("ACTIVE", []) => ScriptKind::Active,
            ("PASSIVE", []) => ScriptKind::Passive,
            ("PACKET" | "PUSH", []) => ScriptKind::Packet,
            ("PROXY", []) => ScriptKind::Proxy,
            ("DRIVER", []) => ScriptKind::Driver,
            ("SIGNAL", names) => {
                match names.iter().map(|name| signal_number(name)).collect::<Option<Vec<u32>>>() {
                    Some(signals) if !signals.is_empty() => self.signals = signals,
                    _ => args.error("bad signal number"),
                }
                ScriptKind::Signal
            }
            _ => {
                args.error("bad TYPE");
                return;
            }
        };
        self.kind = Some(kind);
    }

    /// Reads one instruction. False if it makes no sense.
    fn instruction(&mut self, name: &str, mut text: String) -> bool {
        let Some(mut op) = operation(name) else { return false };
        if name == "wait" && text.is_empty() {
            op = Op::WaitStep;
        }
        let mut argument = 0;
        match op {
            Op::WaitStep => {
                argument = 1;
                if !text.is_empty() {
                    match parse::unsigned(&text).and_then(|steps| usize::try_from(steps).ok()) {
                        Some(steps) => argument = steps,
                        None => return false,
                    }
                }
            }
            Op::Return { .. } => argument = self.variable("_"),
            Op::Init { .. } | Op::Set { .. } => {
                let word = config::shift_word(&mut text);
                if word.is_empty() || (matches!(op, Op::Set { .. }) && text.is_empty()) {
                    return false;
                }
                argument = self.variable(&word);
            }
            Op::Label => {
                let word = config::shift_word(&mut text);
                if word.is_empty() || !text.is_empty() {
                    return false;
                }
                text = word;
            }
            Op::Save { append } => {
                // `save handler file` prints to the file.
                let word = config::shift_word(&mut text);
                let file = if text.is_empty() { "-" } else { &text };
                let sign = if append { ">>" } else { ">" };
                text = format!("{sign}{file} {word}");
                op = Op::Print { line: true, quoted: false };
            }
            Op::End | Op::Exit | Op::Stop if !text.is_empty() => return false,
            Op::Goto if name == "loop" => {
                if !text.is_empty() {
                    return false;
                }
                text = "begin".into();
            }
            _ => {}
        }
        self.add(op, argument, text);
        true
    }

    fn resolve_gotos(&mut self, args: &mut Args<'_>) {
        for at in 0..self.instructions.len() {
            if self.instructions[at].op != Op::Goto {
                continue;
            }
            let word = config::shift_word(&mut self.instructions[at].text);
            match self.label(&word) {
                Some(target) => self.instructions[at].target = target,
                None => args.error(&format!("no such label '{word}'")),
            }
        }
    }
}

impl Element for Script {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut kind = Raw::default();
        if args.keyword("TYPE", &mut kind) {
            self.read_kind(&kind.0, args);
        }
        let ports = args.inputs > 0 || args.outputs > 0;
        let kind =
            *self.kind.get_or_insert(if ports { ScriptKind::Packet } else { ScriptKind::Active });
        if kind == ScriptKind::Packet && args.inputs == 0 {
            args.error("PACKET script must have inputs");
        } else if kind != ScriptKind::Packet && ports {
            args.error("ports allowed only on PACKET scripts");
        }
        for mut text in args.rest() {
            let name = config::shift_word(&mut text);
            if !name.is_empty() && !self.instruction(&name, text) {
                args.error(&format!("syntax error at '{name}'"));
            }
        }
        self.resolve_gotos(args);
        if self.instructions.is_empty() && kind == ScriptKind::Driver {
            self.add(Op::WaitStep, 1, String::new());
        }
        self.add(if kind == ScriptKind::Driver { Op::Stop } else { Op::End }, 0, String::new());
    }

    fn is_exact(&self) -> bool {
        self.kind == Some(ScriptKind::Packet)
    }

    fn is_driver(&self) -> bool {
        self.kind == Some(ScriptKind::Driver)
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        for at in 0..self.instructions.len() {
            if let Op::Init { quoted, .. } = self.instructions[at].op {
                let text = self.instructions[at].text.clone();
                let value = self.expand(&text, false, cx);
                let variable = self.instructions[at].argument;
                self.variables[variable].1 = if quoted { config::unquote(&value) } else { value };
            }
        }
        match (self.kind, self.instructions.first().map(|first| first.op)) {
            (Some(ScriptKind::Signal), _) => {
                for signal in self.signals.clone() {
                    cx.watch_signal(signal);
                }
            }
            (Some(ScriptKind::Active | ScriptKind::Driver), Some(Op::WaitTime)) => self.wait(0, cx),
            (Some(ScriptKind::Driver), Some(Op::Initial)) => {
                // Run at once, not only when something stops the router.
                self.instructions[0].argument = 1;
                cx.stop();
            }
            (Some(ScriptKind::Active), Some(Op::Initial)) => {
                self.instructions[0].argument = 1;
                cx.set_timer_after(0, 0);
            }
            _ => {}
        }
    }

    fn timer(&mut self, _number: u32, cx: &mut Context<'_>) {
        self.enter_context(cx);
        self.run(1, run::StepKind::Timer, cx);
        self.finish_run(cx);
        cx.report().leave();
    }

    fn signal(&mut self, _signal: u32, cx: &mut Context<'_>) {
        self.enter_context(cx);
        self.position = 0;
        self.arguments.clear();
        self.run(0, run::StepKind::Jump, cx);
        self.finish_run(cx);
        cx.report().leave();
    }

    fn driver_step(&mut self, cx: &mut Context<'_>) -> bool {
        self.run(1, run::StepKind::Router, cx);
        !self.finish_run(cx).stopped
    }

    fn push(&mut self, port: usize, batch: Batch, cx: &mut Context<'_>) {
        for packet in batch {
            match self.choose_output(port, cx) {
                Some(output) => cx.push_one(output, packet),
                None => cx.kill(packet),
            }
        }
    }

    fn pull(&mut self, _port: usize, _most: usize, cx: &mut Context<'_>) -> Batch {
        let mut batch = cx.batch();
        if let Some(packet) = cx.pull_one(0) {
            match self.choose_output(0, cx) {
                Some(0) => batch.push(packet),
                Some(output) => cx.push_one(output, packet),
                None => cx.kill(packet),
            }
        }
        batch
    }

    fn handlers(&self) -> Vec<Handler> {
        let mut list = functions::handlers();
        for instruction in &self.instructions {
            if let Op::Init { export: true, .. } = instruction.op {
                let name = self.variables[instruction.argument].0.clone();
                list.push(Handler::read("").named(name));
            }
        }
        list
    }

    fn read(&mut self, handler: &str, parameter: &str, cx: &mut Context<'_>) -> Answer {
        self.own_read(handler, parameter, cx)
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        self.own_write(handler, value, cx)
    }
}

//! Programs: steps that test a word of the packet and lead to others.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Where a step leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Jump {
    /// Another step, always a later one.
    Step(usize),
    /// Out of the program.
    Output(usize),
    /// The packet is dropped.
    Drop,
}

impl Jump {
    fn text(self) -> String {
        match self {
            Self::Step(step) => format!("step {step}"),
            Self::Output(output) => format!("[{output}]"),
            Self::Drop => "[X]".into(),
        }
    }
}

/// A test of the four bytes at an offset, as a number in network order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Test {
    pub(crate) offset: u32,
    pub(crate) mask: u32,
    pub(crate) value: u32,
}

impl Test {
    /// The test that always holds.
    pub(crate) const ALWAYS: Self = Self { offset: 0, mask: 0, value: 0 };

    /// Bytes that the packet must have for the test.
    pub(crate) fn length(self) -> u32 {
        match self.mask {
            0 => 0,
            mask => self.offset + 4 - mask.trailing_zeros() / 8,
        }
    }
}

/// A step: a test, where it leads, and how it comes out for packets that are too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Step {
    pub(crate) test: Test,
    pub(crate) yes: Jump,
    pub(crate) no: Jump,
    pub(crate) short: bool,
}

impl Step {
    pub(crate) fn jump(&self, yes: bool) -> Jump {
        if yes { self.yes } else { self.no }
    }

    pub(crate) fn set_jump(&mut self, yes: bool, jump: Jump) {
        if yes {
            self.yes = jump;
        } else {
            self.no = jump;
        }
    }

    /// A test of one bit can be turned around.
    pub(crate) fn is_flippable(&self) -> bool {
        self.test.mask.is_power_of_two()
    }

    pub(crate) fn flip(&mut self) {
        self.test.value ^= self.test.mask;
        core::mem::swap(&mut self.yes, &mut self.no);
        self.short = !self.short;
    }
}

/// A condition on a packet.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    Test(Test),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    /// The opposite. With `true`, packets too short for a test count as passing.
    Not(alloc::boxed::Box<Expression>, bool),
    /// If the first holds, the second, else the third.
    Choice(alloc::boxed::Box<[Expression; 3]>),
}

impl Expression {
    /// The opposite.
    pub(crate) fn not(self, flip_short: bool) -> Self {
        Self::Not(alloc::boxed::Box::new(self), flip_short)
    }

    fn size(&self) -> usize {
        match self {
            Self::Test(_) => 1,
            Self::And(list) | Self::Or(list) => list.iter().map(Self::size).sum(),
            Self::Not(inner, _) => inner.size(),
            Self::Choice(parts) => parts.iter().map(Self::size).sum(),
        }
    }

    fn compile(&self, yes: Jump, no: Jump, flip: bool, steps: &mut Vec<Step>) {
        match self {
            Self::Test(test) => steps.push(Step { test: *test, yes, no, short: flip }),
            Self::Not(inner, flip_short) => inner.compile(no, yes, flip != *flip_short, steps),
            Self::And(list) | Self::Or(list) => {
                let all = matches!(self, Self::And(_));
                for (at, part) in list.iter().enumerate() {
                    let next = Jump::Step(steps.len() + part.size());
                    let last = at + 1 == list.len();
                    let (to_yes, to_no) = match (last, all) {
                        (true, _) => (yes, no),
                        (false, true) => (next, no),
                        (false, false) => (yes, next),
                    };
                    part.compile(to_yes, to_no, flip, steps);
                }
            }
            Self::Choice(parts) => {
                let [condition, then, other] = &**parts;
                let second = steps.len() + condition.size();
                let third = second + then.size();
                condition.compile(Jump::Step(second), Jump::Step(third), flip, steps);
                then.compile(yes, no, flip, steps);
                other.compile(yes, no, flip, steps);
            }
        }
    }
}

/// A classifier's program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    /// Where everything goes, if there are no steps.
    pub(crate) everything: Option<Jump>,
    safe_length: u32,
}

/// How to put tests in order when their order does not matter.
#[derive(Clone, Copy)]
pub(crate) struct Order {
    /// Rank of a word by its offset.
    pub(crate) rank: fn(u32) -> u32,
}

impl Program {
    /// The program that sends packets where the first condition that holds says.
    pub(crate) fn new(patterns: &[(Expression, Jump)], order: Order) -> Self {
        let mut steps = Vec::new();
        for (at, (condition, target)) in patterns.iter().enumerate() {
            let next = steps.len() + condition.size();
            let other = if at + 1 == patterns.len() { Jump::Drop } else { Jump::Step(next) };
            condition.compile(*target, other, false, &mut steps);
        }
        let mut program = Self { steps, everything: None, safe_length: 0 };
        if program.steps.is_empty() {
            program.everything = Some(Jump::Drop);
        } else {
            super::simplify::simplify(&mut program, order);
        }
        program.safe_length =
            program.steps.iter().map(|step| step.test.length()).max().unwrap_or(0);
        program
    }

    /// Outputs up to `count` that no packet takes.
    pub(crate) fn unused_outputs(&self, count: usize) -> Vec<usize> {
        let leads = |output: usize| {
            let jump = Jump::Output(output);
            self.everything == Some(jump)
                || self.steps.iter().any(|step| step.yes == jump || step.no == jump)
        };
        (0..count).filter(|&output| !leads(output)).collect()
    }

    /// The program as text.
    pub(crate) fn unparse(&self) -> String {
        let mut out = String::new();
        for (number, step) in self.steps.iter().enumerate() {
            let Test { offset, mask, value } = step.test;
            let short = if step.short { "  short->yes" } else { "" };
            out.push_str(&format!(
                "{number:2} {offset:3}/{value:08x}%{mask:08x}  yes->{}  no->{}{short}\n",
                step.yes.text(),
                step.no.text()
            ));
        }
        if let Some(everything) = self.everything {
            out.push_str(&format!("all->{}\n", everything.text()));
        }
        out.push_str(&format!("safe length {}\nalignment offset 0\n", self.safe_length));
        out
    }
}

//! `drupe syscalls`.

use std::io::{self, BufWriter, Write};

use abi_linux::{CALLS, State, absent};
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::values::Format;

/// List the system calls that guests have, and what is missing
#[derive(Args)]
pub struct Syscalls {
    /// Show only the calls that are this far
    #[arg(long, value_enum)]
    state: Option<Wanted>,

    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,

    /// Show only these calls, by name or number
    names: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Wanted {
    Full,
    Partial,
    Absent,
}

/// A line of the list.
struct Line {
    number: u16,
    name: &'static str,
    state: Wanted,
    missing: &'static str,
}

impl Wanted {
    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Absent => "absent",
        }
    }
}

/// All calls by number.
fn lines() -> Vec<Line> {
    let there = CALLS.iter().map(|call| {
        let (state, missing) = match call.state {
            State::Full => (Wanted::Full, ""),
            State::Partial(missing) => (Wanted::Partial, missing),
        };
        Line { number: call.number, name: call.name, state, missing }
    });
    let absent = absent::NAMES.iter().map(|&(number, name)| {
        let missing = "fails with ENOSYS";
        Line { number, name, state: Wanted::Absent, missing }
    });
    let mut lines: Vec<Line> = there.chain(absent).collect();
    lines.sort_by_key(|line| line.number);
    lines
}

impl Syscalls {
    /// Prints the table.
    pub fn execute(self) -> Result<u8> {
        let all = lines();
        let is_named =
            |line: &Line, name: &String| name == line.name || name.parse() == Ok(line.number);
        for name in &self.names {
            if !all.iter().any(|line| is_named(line, name)) {
                bail!("Linux has no system call {name} on x86-64 that drupe knows of");
            }
        }
        let shown: Vec<&Line> = all
            .iter()
            .filter(|line| self.state.is_none_or(|state| state == line.state))
            .filter(|line| {
                self.names.is_empty() || self.names.iter().any(|name| is_named(line, name))
            })
            .collect();
        let mut output = BufWriter::new(io::stdout().lock());
        let printed = match self.output {
            Format::Text => print(&shown, self.names.is_empty(), &mut output),
            Format::Json => print_json(&shown, &mut output),
        };
        match printed.and_then(|()| output.flush()) {
            // A reader such as head may leave early.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
            result => result.map(|()| 0).context("cannot print the list"),
        }
    }
}

fn print(lines: &[&Line], sum: bool, output: &mut dyn Write) -> io::Result<()> {
    for line in lines {
        let text = format!(
            "{:>3}  {:<24} {:<8} {}",
            line.number,
            line.name,
            line.state.word(),
            line.missing
        );
        writeln!(output, "{}", text.trim_end())?;
    }
    if sum {
        let count = |state| lines.iter().filter(|line| line.state == state).count();
        let [full, partial, absent] = [Wanted::Full, Wanted::Partial, Wanted::Absent].map(count);
        writeln!(output, "{full} full, {partial} partial, {absent} absent")?;
    }
    Ok(())
}

fn print_json(lines: &[&Line], output: &mut dyn Write) -> io::Result<()> {
    let calls: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| {
            serde_json::json!({
                "number": line.number,
                "name": line.name,
                "state": line.state.word(),
                "missing": line.missing,
            })
        })
        .collect();
    serde_json::to_writer_pretty(&mut *output, &calls)?;
    writeln!(output)
}

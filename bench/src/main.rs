//! Figures of whole systems: `cargo xtask bench [NAME…]`.
//!
//! Principles:
//! - A figure is a ratio against a peer measured in the same run, or a time over a floor that
//!   is measured in the same run; peers take turns, and medians are compared.
//! - The peers are strong: Linux without mitigations, native code without tracing, a stub guest
//!   that does nothing but print.
//! - It says what it could not measure and why. It is no test: other work on the machine
//!   changes what comes out.
#![forbid(unsafe_code)]

mod boot;
mod build;
mod calls;
mod figures;
mod guest;
mod linux;
mod nested;
mod start;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use figures::{Figures, Format};

/// What a group of benchmarks needs.
struct Settings {
    /// How often each side of a comparison has its turn.
    rounds: usize,
}

/// A group: its name, what it measures, and how.
type Group = (&'static str, &'static str, fn(&Settings, &mut Figures) -> Result<()>);

const GROUPS: &[Group] = &[
    ("boot", "a virtual machine under TCG, to the output of a static hello", boot::time),
    ("size", "the kernels' sizes, and the least memory of a virtual machine", boot::size),
    ("start", "processes: `drupe run`, and the hosted kernel alone", start::start),
    ("process", "system calls, threads and processes against native Linux", calls::process),
    ("python", "python3 as processes against native Linux", start::python),
    (
        "guest",
        "system calls, threads and processes against a Linux guest, both under TCG",
        calls::guest,
    ),
];

fn usage() -> String {
    let mut text = "usage: cargo xtask bench [NAME...] [--output json] [--rounds N]\n\n".to_owned();
    for (name, what, _) in GROUPS {
        text += &format!("  {name:10}{what}\n");
    }
    text
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut settings = Settings { rounds: 5 };
    let mut format = Format::Table;
    let mut names = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--output" => format = Format::named(value()?)?,
            "--rounds" => {
                settings.rounds = value()?.parse().context("--rounds takes a number")?;
                if settings.rounds == 0 {
                    bail!("--rounds must be at least 1");
                }
            }
            "--help" | "-h" | "help" => {
                print!("{}", usage());
                return Ok(());
            }
            "nested" => return nested::run(),
            name if GROUPS.iter().any(|(group, ..)| *group == name) => names.push(name),
            other => bail!("there is no benchmark `{other}`\n\n{}", usage()),
        }
    }
    let mut figures = Figures::default();
    for (name, what, group) in GROUPS {
        if names.is_empty() || names.contains(name) {
            eprintln!("bench: {name}: {what}");
            figures.group(name);
            if let Err(error) = group(&settings, &mut figures) {
                figures.unmeasured(&format!("{error:#}"));
            }
        }
    }
    figures.print(format);
    Ok(())
}

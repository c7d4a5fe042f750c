//! `cargo xtask suite`: the differential suite of the Linux personality.
//!
//! C cases observe what system calls do, one line each. The same static binary runs on native
//! Linux, which is the oracle, and on drupe's providers; the lines must be equal. A case that
//! hangs or brings the whole runner down is recorded as such, and the run goes on behind it.

mod build;
mod compare;
mod run;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use self::build::Variant;
use self::run::{Outcome, Selection};
use crate::process::{cargo, check};
use crate::setup::is_root;
use crate::test::Counts;

/// How the command is used.
pub const USAGE: &str = "\
  suite [native|process|qemu] [filter] [--variant static|pie|musl] [--no-fork]
        [--without fork,threads,...] [--deadline SECONDS]
                    run the differential suite: native checks the cases against
                    themselves, the others compare a provider with native
";

/// Where a run takes place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// This machine, with the cases' files below the given directory.
    Native(&'static str),
    /// A provider of `drupe run`.
    Provider(&'static str),
}

impl Place {
    /// The command that runs the suite's `binary` with `arguments` at this place, its standard
    /// output passed through.
    fn command(self, binary: &Path, arguments: &[String]) -> Command {
        let mut command = match self {
            Self::Native(directory) => {
                let mut command = Command::new(binary);
                command.env_clear().env("PATH", "/usr/bin:/bin").env("TMPDIR", directory);
                command
            }
            Self::Provider(provider) => {
                let mut command = Command::new("target/release/drupe");
                // The suite keeps its own deadlines; this one only ends what was left behind.
                command.args(["run", "--provider", provider, "--timeout", "3600", "--cpus", "2"]);
                command.args(["-e", "PATH=/usr/bin:/bin", "-e", "TMPDIR=/tmp"]).arg(binary);
                command
            }
        };
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    fn name(self) -> &'static str {
        match self {
            Self::Native(_) => "native",
            Self::Provider(provider) => provider,
        }
    }
}

/// Runs `cargo xtask suite` with `arguments`.
pub fn command(arguments: &[&str]) -> Result<()> {
    let mut variant = Variant::Static;
    let mut selection = Selection::default();
    let mut words = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
        match *argument {
            "--variant" => variant = Variant::named(value()?)?,
            "--without" => selection.without.push((*value()?).to_owned()),
            "--deadline" => selection.deadline = value()?.parse().context("--deadline")?,
            "--no-fork" => selection.no_fork = true,
            word if word.starts_with('-') => bail!("unknown option {word}\n\n{USAGE}"),
            word => words.push(word),
        }
    }
    let place = words.first().copied().unwrap_or("native");
    selection.filter = words.get(1).map(|filter| (*filter).to_owned());
    let counts = match place {
        "native" => native(variant, &selection)?,
        "process" => provider("process", variant, &selection)?,
        "qemu" => provider("qemu", variant, &selection)?,
        other => bail!("no such place `{other}`\n\n{USAGE}"),
    };
    println!("{} agree, {} differ, {} skipped", counts.passed, counts.failed, counts.skipped);
    if counts.failed > 0 {
        bail!("{} cases differ", counts.failed);
    }
    Ok(())
}

/// The static runner, built if need be.
pub fn runner() -> Result<std::path::PathBuf> {
    build::runner(Variant::Static)
}

/// A stage of `cargo xtask test`. `native`: every variant that can be built, against itself.
/// A provider: the static variant, against native.
pub fn stage(place: &'static str) -> Result<Counts> {
    // Emulated processors take their time.
    let deadline = if place == "qemu" { 40 } else { Selection::default().deadline };
    let selection = Selection { deadline, ..Selection::default() };
    if place != "native" {
        return provider(place, Variant::Static, &selection);
    }
    let mut counts = Counts::default();
    for variant in Variant::available() {
        counts += native(variant, &selection)?;
    }
    Ok(counts)
}

/// Runs the cases natively twice, on different file systems where there are two, and lists
/// those that do not agree with themselves: they could not tell a right kernel from a wrong one.
pub fn native(variant: Variant, selection: &Selection) -> Result<Counts> {
    let binary = build::runner(variant)?;
    let selection = with_rights(selection);
    let first = run::all(Place::Native("/tmp"), &binary, &selection)?;
    let second = run::all(Place::Native(memory_directory()), &binary, &selection)?;
    print!("{}: ", variant.name());
    Ok(report(&first, &second, ["once", "again"], &BTreeMap::new()))
}

/// Runs the cases natively and on `provider` and lists those that differ.
pub fn provider(provider: &'static str, variant: Variant, selection: &Selection) -> Result<Counts> {
    let binary = build::runner(variant)?;
    let selection = with_rights(selection);
    let known = compare::known_failures(provider)?;
    check(cargo().args(["build", "--release", "-q", "-p", "drupe"]))?;
    let linux = run::all(Place::Native(memory_directory()), &binary, &selection)?;
    let drupe = run::all(Place::Provider(provider), &binary, &selection)?;
    print!("{} on {provider}: ", variant.name());
    Ok(report(&linux, &drupe, ["linux", "drupe"], &known))
}

/// Compares two runs and prints the differences and a summary.
fn report(
    expected: &Outcome,
    actual: &Outcome,
    labels: [&str; 2],
    known: &BTreeMap<String, String>,
) -> Counts {
    let differences = compare::differences(expected, actual);
    let mut counts = Counts { skipped: expected.left_out, ..Counts::default() };
    counts.passed = expected.lines.len().saturating_sub(differences.len());
    println!("{} cases, {} agree", expected.lines.len(), counts.passed);
    for difference in &differences {
        if let Some(reason) = known.get(&difference.case) {
            println!("known failure {}: {reason}", difference.case);
            continue;
        }
        counts.failed += 1;
        println!("{}", difference.shown(labels));
    }
    let always = known.iter().filter(|(_, reason)| !reason.starts_with("sometimes"));
    for (case, _) in always {
        if expected.lines.contains_key(case) && differences.iter().all(|d| d.case != *case) {
            println!("{case} is in the list of known failures, and agrees: remove it");
            counts.failed += 1;
        }
    }
    counts
}

/// Cases for root are left out when the oracle cannot run them.
fn with_rights(selection: &Selection) -> Selection {
    let mut selection = selection.clone();
    if !is_root() {
        println!("not root: cases that need root are skipped");
        selection.without.push("root".to_owned());
    }
    selection
}

/// A directory in memory, the nearest relative of a guest's root; the ordinary one otherwise.
fn memory_directory() -> &'static str {
    if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }
}

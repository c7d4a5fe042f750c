//! `cargo xtask test`: the stages of the three test tiers.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, check};
use crate::{bench, escape, fuzz, guest, kernels, setup, suite, tidy};

/// How much to run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Under three minutes; before every commit.
    Quick,
    /// What CI runs.
    Default,
    /// Adds the long suites and the soak runs.
    Full,
}

/// What the tests of a stage came to.
#[derive(Default, Clone, Copy)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

type Stage = (&'static str, Tier, fn(Tier) -> Result<Counts>);

const STAGES: &[Stage] = &[
    ("tidy", Tier::Quick, |_| once(tidy::run())),
    ("format", Tier::Quick, |_| once(check(cargo().args(["fmt", "--all", "--check"])))),
    ("clippy", Tier::Default, |_| {
        once(check(cargo().args([
            "clippy",
            "-q",
            "--workspace",
            "--all-targets",
            "--",
            "-Dwarnings",
        ])))
    }),
    ("unit tests", Tier::Quick, |_| unit_tests()),
    ("suite on native Linux", Tier::Default, |_| suite::stage("native")),
    ("suite on process", Tier::Default, |_| suite::stage("process")),
    ("suite on qemu", Tier::Default, |_| suite::stage("qemu")),
    ("escapes", Tier::Default, |tier| escape::stage(tier == Tier::Full)),
    ("programs on all providers", Tier::Default, guest::stage),
    ("models of sleeping and waking", Tier::Full, |_| models()),
    ("kernels that check themselves", Tier::Full, |_| kernels::checked()),
    ("depth of kernel stacks", Tier::Full, |_| kernels::stacks()),
    ("KVM under nesting", Tier::Full, |_| bench::nested()),
    ("fuzzing", Tier::Full, |_| fuzz::stage()),
];

/// Runs the stages of `tier` and prints the counts of each and of all.
pub fn run(tier: Tier) -> Result<()> {
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    if ci {
        setup::run()?;
    }
    let mut total = Counts::default();
    let missing = setup::missing();
    if !missing.is_empty() {
        println!("skipped for want of packages (cargo xtask setup): {}", missing.join(" "));
        total.skipped += missing.len();
    }
    let mut broken = false;
    for (name, least, stage) in STAGES {
        if tier < *least {
            continue;
        }
        println!("== {name}");
        let start = Instant::now();
        let counts = match stage(tier) {
            Ok(counts) => counts,
            Err(error) => {
                eprintln!("{name}: {error:#}");
                broken = true;
                Counts { failed: 1, ..Counts::default() }
            }
        };
        println!(
            "== {name}: {} passed, {} failed, {} skipped in {:.1} s",
            counts.passed,
            counts.failed,
            counts.skipped,
            start.elapsed().as_secs_f64()
        );
        total += counts;
    }
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    if broken || total.failed > 0 {
        bail!("some tests failed");
    }
    if ci && total.skipped > 0 {
        bail!("under CI nothing may be skipped");
    }
    Ok(())
}

fn once(result: Result<()>) -> Result<Counts> {
    result.map(|()| Counts { passed: 1, ..Counts::default() })
}

fn unit_tests() -> Result<Counts> {
    cargo_test(cargo().args(["test", "--workspace", "--no-fail-fast"]))
}

/// Every interleaving of what the scheduler's primitives do, by loom.
fn models() -> Result<Counts> {
    let arguments = ["test", "--release", "-p", "parking", "--target-dir", "target/loom"];
    cargo_test(cargo().env("RUSTFLAGS", "--cfg loom").args(arguments))
}

/// Runs a `cargo test` command, shows its output and adds up its result lines.
pub fn cargo_test(command: &mut Command) -> Result<Counts> {
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has a standard output")?;
    let mut counts = Counts::default();
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some(result) = line.strip_prefix("test result: ") {
            counts += parse_result(result);
        } else if !line.is_empty() && !line.starts_with("running ") && !line.ends_with("... ok") {
            println!("{line}");
        }
    }
    let status = child.wait()?;
    if !status.success() && counts.failed == 0 {
        bail!("cargo test ended with {status}");
    }
    Ok(counts)
}

/// Reads `ok. 3 passed; 0 failed; 1 ignored; …`.
fn parse_result(line: &str) -> Counts {
    let count = |word: &str| {
        line.split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
            .unwrap_or(0)
    };
    Counts { passed: count("passed"), failed: count("failed"), skipped: count("ignored") }
}

#[cfg(test)]
mod tests {
    use super::parse_result;

    #[test]
    fn result_lines_are_counted() {
        let counts =
            parse_result("FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out");
        assert_eq!((counts.passed, counts.failed, counts.skipped), (3, 2, 1));
    }
}

//! The guest stage: programs run by `drupe run`, on every provider, as the README shows.

mod build;
mod cases;
mod cpython;

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use self::cases::{CASES, Case, Program};
use crate::process::{cargo, check, on_path, root};
use crate::test::{Counts, Tier};

/// How the command is used.
pub const USAGE: &str = "\
  programs [process|qemu] [filter]
                    run the programs whose names contain the filter, the long ones as well
  cpython [process|qemu] [module...]
                    compare CPython's own tests with native Linux
";

/// The providers.
const PROVIDERS: [&str; 2] = ["process", "qemu"];

/// Runs `cargo xtask programs` with `arguments`.
pub fn command(arguments: &[&str]) -> Result<()> {
    let (providers, words) = places(arguments);
    let filter = words.join(" ");
    let counts = run(&providers, Tier::Full, &filter)?;
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    if counts.failed > 0 {
        bail!("{} programs failed", counts.failed);
    }
    Ok(())
}

/// Runs `cargo xtask cpython` with `arguments`.
pub fn cpython_command(arguments: &[&str]) -> Result<()> {
    let (providers, modules) = places(arguments);
    build_drupe()?;
    let counts = cpython::run(&providers, modules)?;
    println!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped);
    if counts.failed > 0 {
        bail!("{} modules differ too much", counts.failed);
    }
    Ok(())
}

/// The providers that the first word names, and the other words.
fn places<'a>(arguments: &'a [&'a str]) -> (Vec<&'static str>, &'a [&'a str]) {
    let named = arguments.first().and_then(|word| PROVIDERS.into_iter().find(|name| name == word));
    match named {
        Some(provider) => (vec![provider], &arguments[1..]),
        None => (PROVIDERS.to_vec(), arguments),
    }
}

/// Runs the programs of a tier on all providers, and CPython's tests as far as they belong to it.
pub fn stage(tier: Tier) -> Result<Counts> {
    let mut counts = run(&PROVIDERS, tier, "")?;
    counts += cpython::stage(tier)?;
    Ok(counts)
}

fn build_drupe() -> Result<()> {
    check(cargo().args(["build", "--quiet", "--release", "--package", "drupe"]))
}

fn run(providers: &[&str], tier: Tier, filter: &str) -> Result<Counts> {
    build_drupe()?;
    let mut counts = Counts::default();
    for provider in providers {
        for case in CASES {
            if case.tier(provider) > tier || !case.name.contains(filter) {
                continue;
            }
            let missing = case.needs.iter().find(|program| !on_path(program));
            if let Some(program) = missing {
                println!("{provider}: {} skipped: no {program}", case.name);
                counts.skipped += 1;
            } else if run_case(provider, case)? {
                counts.passed += 1;
            } else {
                counts.failed += 1;
            }
        }
    }
    if counts.passed + counts.failed == 0 {
        bail!("no program ran");
    }
    Ok(counts)
}

/// `drupe run` on a provider with two virtual CPUs.
fn drupe_run(provider: &str, timeout: &str) -> Command {
    let mut command = Command::new(root().join("target/release/drupe"));
    command.args(["run", "--provider", provider, "--cpus", "2", "--timeout", timeout]);
    command.stdin(Stdio::null());
    command
}

fn run_case(provider: &str, case: &Case) -> Result<bool> {
    let program = match &case.program {
        Program::Path(path) => (*path).into(),
        Program::Built(command) => build::program(case.name, command)?,
    };
    let start = Instant::now();
    let output = drupe_run(provider, "600")
        .args(case.options)
        .arg(program)
        .args(case.arguments)
        .output()
        .context("cannot start drupe")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let ok = printed == case.output && output.status.code() == Some(case.status);
    if ok {
        println!("{provider}: {} ({:.1} s)", case.name, start.elapsed().as_secs_f64());
    } else {
        eprintln!(
            "{provider}: {} failed: {:?} instead of {}, printed {printed:?} instead of {:?}\n{}",
            case.name,
            output.status,
            case.status,
            case.output,
            String::from_utf8_lossy(&output.stderr),
        );
    }
    Ok(ok)
}

//! The fuzz stage: every target of `fuzz/*` for a short time, from its seeds.
//!
//! The targets are those of `cargo fuzz`; here they are built with coverage but without
//! sanitizers (the parsers are safe code), so that the pinned toolchain is enough.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, check, root};
use crate::test::Counts;

/// How the command is used.
pub const USAGE: &str = "\
  fuzz [TARGET] [--seconds N]
                    run the fuzz targets, each for N seconds (20)
";

const SECONDS: u32 = 20;

/// What libFuzzer needs of the code that it drives.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Runs `cargo xtask fuzz` with `arguments`.
pub fn command(arguments: &[&str]) -> Result<()> {
    let (mut wanted, mut seconds) = (None, SECONDS);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            "--seconds" => {
                let value = rest.next().context("--seconds needs a value")?;
                seconds = value.parse().context("--seconds takes a number")?;
            }
            word if word.starts_with('-') => bail!("unknown option {word}\n\n{USAGE}"),
            word => wanted = Some(word),
        }
    }
    let counts = run(wanted, seconds)?;
    if counts.failed > 0 {
        bail!("{} targets failed", counts.failed);
    }
    if counts.passed == 0 {
        bail!("there is no such target");
    }
    Ok(())
}

/// The stage of `cargo xtask test --full`.
pub fn stage() -> Result<Counts> {
    run(None, SECONDS)
}

fn run(wanted: Option<&str>, seconds: u32) -> Result<Counts> {
    let mut counts = Counts::default();
    for folder in entries(&root().join("fuzz"))? {
        let targets: Vec<String> = entries(&folder.join("fuzz_targets"))?
            .iter()
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .filter(|name| wanted.is_none_or(|wanted| wanted == name))
            .collect();
        if targets.is_empty() {
            continue;
        }
        let mut build = cargo();
        build.current_dir(&folder).env("RUSTFLAGS", FLAGS);
        build.args(["build", "--quiet", "--release", "--target", TRIPLE]);
        build.arg("--target-dir").arg(root().join("target/fuzz"));
        check(&mut build)?;
        for target in targets {
            match one(&folder, &target, seconds) {
                Ok(()) => counts.passed += 1,
                Err(error) => {
                    eprintln!("{target}: {error:#}");
                    counts.failed += 1;
                }
            }
        }
    }
    Ok(counts)
}

/// Runs one target; what it finds is kept, and starts the next run.
fn one(folder: &Path, target: &str, seconds: u32) -> Result<()> {
    let corpus = root().join("target/fuzz/corpus").join(target);
    fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let crash = root().join("target/fuzz").join(format!("{target}-"));
    let program = root().join("target/fuzz").join(TRIPLE).join("release").join(target);
    let mut command = Command::new(program);
    command.arg(format!("-max_total_time={seconds}")).arg("-rss_limit_mb=1024");
    command.arg("-timeout=10").arg(format!("-artifact_prefix={}", crash.display()));
    command.arg(&corpus);
    let seeds = folder.join("seeds").join(target);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let tail: Vec<&str> = text.lines().rev().take(30).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        bail!("ended with {}:\n{}", output.status, tail.join("\n"));
    }
    let last = text.lines().rev().find(|line| line.starts_with("Done")).unwrap_or("");
    println!("{target}: {last}");
    Ok(())
}

/// What is in a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = read.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

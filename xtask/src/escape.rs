//! `cargo xtask escape`: attempts to get past the seal of the provider `process` or to break its
//! kernel, each with the outcome that the design promises.
//!
//! A guest can do to itself what it likes. What must hold: it reaches nothing outside, and it ends
//! with a report instead of a hang.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{cargo, check, root};
use crate::test::Counts;

/// How the command is used.
pub const USAGE: &str = "\
  escape [filter]   try to escape from the provider `process`, and to break its kernel
";

/// What has to come of an attempt.
enum Outcome {
    /// The program goes on; this is all that it prints.
    Output(&'static str),
    /// Either of these, as the host is configured.
    OneOf(&'static str, &'static str),
    /// It is ended by a signal of this number.
    Signal(i32),
    /// drupe reports the guest's death.
    Report,
    /// One of the last two: what the attempt hits is not the same each time.
    ReportOrSignal,
}

struct Attempt {
    arguments: &'static [&'static str],
    outcome: Outcome,
}

const fn attempt(arguments: &'static [&'static str], outcome: Outcome) -> Attempt {
    Attempt { arguments, outcome }
}

const ATTEMPTS: &[Attempt] = &[
    // System calls that no patched site makes are the guest's, like all others.
    attempt(&["jit"], Outcome::Output("wrong=0\nunknown=-38\nopen=-2\n")),
    attempt(&["int80"], Outcome::Output("getpid=-38\n")),
    attempt(&["vsyscall"], Outcome::OneOf("near=1\n", "signal=11\n")),
    attempt(&["unaligned"], Outcome::Output("behind=1\nalive=1\n")),
    // The guest's kernel refuses its window.
    attempt(
        &["map-over"],
        Outcome::Output("mmap=-12\nmprotect=-12\nmunmap=0\nmremap=-22\nmadvise=-22\nalive=1\n"),
    ),
    // The seal refuses it, and all else that the kernel would not ask of the host.
    attempt(&["map-gateway", "mmap"], Outcome::Report),
    attempt(&["map-gateway", "mmap-into"], Outcome::Report),
    attempt(&["map-gateway", "mmap-anywhere"], Outcome::Report),
    attempt(&["map-gateway", "mprotect"], Outcome::Report),
    attempt(&["map-gateway", "munmap"], Outcome::Report),
    attempt(&["map-gateway", "mremap"], Outcome::Report),
    attempt(&["map-gateway", "mremap-from"], Outcome::Report),
    attempt(&["map-gateway", "madvise"], Outcome::Report),
    attempt(&["map-gateway", "clone"], Outcome::Report),
    attempt(&["map-gateway", "kill"], Outcome::Report),
    attempt(&["map-gateway", "prctl"], Outcome::Report),
    // A damaged kernel ends with a report.
    attempt(&["overwrite", "vcpu"], Outcome::Report),
    attempt(&["overwrite", "zeros"], Outcome::Report),
    attempt(&["overwrite", "ones"], Outcome::Report),
    attempt(&["overwrite", "all"], Outcome::Report),
    attempt(&["gs"], Outcome::Report),
    attempt(&["jump", "entry"], Outcome::ReportOrSignal),
    attempt(&["jump", "21"], Outcome::ReportOrSignal),
    // Kernel text cannot be written.
    attempt(&["overwrite", "text"], Outcome::ReportOrSignal),
    // Processes without end meet a limit.
    attempt(&["fork-bomb"], Outcome::Signal(9)),
];

/// The first system-call number that no host knows.
const NUMBERS: std::ops::Range<u32> = 0..480;

/// Calls that the seal lets through with the arguments that the attempt gives; 335 and 336 are
/// the host's for its own probes, pass every filter, and do nothing elsewhere.
const ALLOWED: &[u32] = &[14, 15, 19, 20, 24, 60, 75, 131, 203, 228, 231, 327, 328, 335, 336];

/// Longer than any attempt may take; the watchdog's time is part of it.
const DEADLINE: Duration = Duration::from_secs(100);

/// Runs `cargo xtask escape`.
pub fn command(arguments: &[&str]) -> Result<()> {
    let filter = arguments.first().copied().unwrap_or("");
    let counts = run(filter, true)?;
    println!("{} passed, {} failed", counts.passed, counts.failed);
    if counts.failed > 0 {
        bail!("{} attempts came out otherwise", counts.failed);
    }
    Ok(())
}

/// A stage of `cargo xtask test`: all attempts, and every call number in the longest tier.
pub fn stage(all_numbers: bool) -> Result<Counts> {
    run("", all_numbers)
}

fn run(filter: &str, all_numbers: bool) -> Result<Counts> {
    check(cargo().args(["build", "--quiet", "--release", "--package", "drupe"]))?;
    let program = build()?;
    let mut counts = Counts::default();
    for attempt in ATTEMPTS {
        let name = attempt.arguments.join(" ");
        if !name.contains(filter) {
            continue;
        }
        let end = try_it(&program, attempt.arguments)?;
        note(&mut counts, &name, &end, is_as_promised(&attempt.outcome, &end));
    }
    for number in NUMBERS {
        let text = number.to_string();
        let name = format!("number {text}");
        // One in sixteen is enough for every day.
        if !name.contains(filter) || !(all_numbers || number % 16 == 0) {
            continue;
        }
        let end = try_it(&program, &["number", &text])?;
        let is_report = is_as_promised(&Outcome::Report, &end);
        let ok = is_report || ALLOWED.contains(&number) && !end.is_late;
        note(&mut counts, &name, &end, ok);
    }
    if counts.passed + counts.failed == 0 {
        bail!("no attempt matches");
    }
    Ok(counts)
}

fn note(counts: &mut Counts, name: &str, end: &End, ok: bool) {
    if ok {
        counts.passed += 1;
        return;
    }
    counts.failed += 1;
    let late = if end.is_late { ", without an end" } else { "" };
    eprintln!(
        "escape: {name} came out otherwise: status {:?}{late}, printed {:?}\n{}",
        end.status, end.output, end.errors
    );
}

fn is_as_promised(outcome: &Outcome, end: &End) -> bool {
    let is_report = !end.is_late && end.status == Some(125) && end.errors.contains("drupe: ");
    let is_signal = |signal: i32| !end.is_late && end.status == Some(128 + signal);
    match outcome {
        Outcome::Output(text) => !end.is_late && end.status == Some(0) && end.output == *text,
        Outcome::OneOf(one, other) => {
            !end.is_late && end.status == Some(0) && (end.output == *one || end.output == *other)
        }
        Outcome::Signal(signal) => is_signal(*signal),
        Outcome::Report => is_report && !end.output.contains("survived"),
        Outcome::ReportOrSignal => is_report || (4..=11).any(is_signal),
    }
}

fn build() -> Result<PathBuf> {
    let program = root().join("target/escape");
    let flags = ["-O1", "-static", "-mfsgsbase", "-std=gnu17", "-Wall", "-o"];
    check(Command::new("gcc").args(flags).arg(&program).arg("tests/escape/escape.c"))?;
    Ok(program)
}

struct End {
    status: Option<i32>,
    output: String,
    errors: String,
    is_late: bool,
}

fn try_it(program: &Path, arguments: &[&str]) -> Result<End> {
    let mut child = Command::new(root().join("target/release/drupe"))
        .args(["run", "--provider", "process", "--cpus", "2", "--memory", "128M"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start drupe")?;
    let read = |pipe: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read counts, also when the end is an error.
            let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let output = read(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let errors = read(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if start.elapsed() > DEADLINE {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ok(End {
        status: status.and_then(|status| status.code()),
        output: output.join().unwrap_or_default(),
        errors: errors.join().unwrap_or_default(),
        is_late: status.is_none(),
    })
}

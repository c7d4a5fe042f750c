//! `cargo xtask clicktest`: Click's own test files, run against our programs.
//!
//! Source: the manual of Click's `clicktest`, section "File format". A test is a shell script
//! with its input files and the output it must have.

mod compare;
mod parse;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};

use self::parse::Test;
use crate::process;

/// How the command is used.
pub const USAGE: &str = "\
  clicktest --suite DIR [--binary FILE] [--jobs N] [filter...]
                    run the *.clicktest files below DIR against our Click; a filter is a
                    part of a file's path
";

/// Names under which the tests call our program.
const NAMES: [&str; 5] =
    ["click", "click-flatten", "click-check", "click-pretty", "click-buildtool"];

/// A stand-in for the program that some tests talk to a control socket with.
const NETCAT: &str = "#!/bin/bash\n\
    exec 3<>\"/dev/tcp/$1/$2\" || exit 1\n\
    cat <&3 & reader=$!\n\
    cat >&3\n\
    exec 3>&-\n\
    wait $reader\n";

/// Seconds a test may take.
const DEADLINE: &str = "100";

/// What became of a test.
enum Outcome {
    Passed,
    Skipped,
    Failed(String),
}

/// Runs the command.
pub fn command(arguments: &[&str]) -> Result<()> {
    let mut suite = None;
    let mut binary = None;
    let mut jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut filters = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().with_context(|| format!("{argument} needs a value"));
        match *argument {
            "--suite" => suite = Some(PathBuf::from(value()?)),
            "--binary" => binary = Some(PathBuf::from(value()?)),
            "--jobs" => jobs = value()?.parse()?,
            option if option.starts_with('-') => bail!("unknown option `{option}`"),
            filter => filters.push(filter),
        }
    }
    let suite = suite.context("--suite DIR is missing")?.canonicalize()?;
    let binary = match binary {
        Some(binary) => binary.canonicalize()?,
        None => {
            process::check(process::cargo().args(["build", "--release", "-p", "drupe-click"]))?;
            process::root().join("target/release/drupe-click")
        }
    };
    let work = process::root().join("target/clicktest");
    let programs = programs(&work, &binary)?;

    let mut files = Vec::new();
    find(&suite, &mut files)?;
    files.sort();
    let chosen = |file: &PathBuf| {
        let name = file.to_string_lossy();
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter))
    };
    let mut tests = Vec::new();
    for file in files.into_iter().filter(chosen) {
        tests.append(&mut parse::file(&file)?);
    }
    let outcomes = run_all(&tests, jobs, &work, &programs);
    report(&suite, &tests, &outcomes)
}

/// Makes a folder in which our program has the names the tests use.
fn programs(work: &Path, binary: &Path) -> Result<PathBuf> {
    let folder = work.join("bin");
    fs::create_dir_all(&folder)?;
    for name in NAMES {
        let link = folder.join(name);
        if link.symlink_metadata().is_ok() {
            fs::remove_file(&link)?;
        }
        std::os::unix::fs::symlink(binary, &link)?;
    }
    if !process::on_path("nc") {
        let file = folder.join("nc");
        fs::write(&file, NETCAT)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(folder)
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if folder.is_file() {
        files.push(folder.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "clicktest") {
            files.push(path);
        }
    }
    Ok(())
}

fn run_all(tests: &[Test], jobs: usize, work: &Path, programs: &Path) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(test) = tests.get(at) else { break };
                    let folder = work.join(format!("run-{}-{at}", std::process::id()));
                    let outcome = run(test, &folder, programs)
                        .unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
                    let _ = fs::remove_dir_all(&folder);
                    outcomes.lock().unwrap_or_else(|lock| lock.into_inner()).push((at, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(|lock| lock.into_inner());
    outcomes.sort_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Runs one test in `folder`.
fn run(test: &Test, folder: &Path, programs: &Path) -> Result<Outcome> {
    fs::create_dir_all(folder)?;
    let shell = |script: &[u8], name: &str| -> Result<(i32, Vec<u8>, Vec<u8>)> {
        let file = folder.with_extension(name);
        let mut text = b"clicktest_subtest() { :; }\n".to_vec();
        text.extend_from_slice(script);
        fs::write(&file, text)?;
        let path = std::env::var("PATH").unwrap_or_default();
        let input = folder.join("stdin");
        let input = if input.exists() { fs::File::open(input)?.into() } else { Stdio::null() };
        // Output goes to files: what a script leaves running must not keep a pipe open.
        let output = folder.with_extension("out");
        let errors = folder.with_extension("err");
        let mut child = Command::new("timeout")
            .args(["-k", "2", DEADLINE, "sh", "-e"])
            .arg(&file)
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("rundir", folder)
            .stdin(input)
            .stdout(fs::File::create(&output)?)
            .stderr(fs::File::create(&errors)?)
            .process_group(0)
            .spawn()
            .context("cannot start `timeout`")?;
        let status = child.wait()?;
        end_group(child.id());
        let result = (status.code().unwrap_or(-1), fs::read(&output)?, fs::read(&errors)?);
        for file in [file, output, errors] {
            fs::remove_file(file)?;
        }
        Ok(result)
    };
    for requirement in &test.requirements {
        if shell(requirement, "req")?.0 != 0 {
            return Ok(Outcome::Skipped);
        }
    }
    for (name, content) in &test.files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap_or(folder))?;
        fs::write(file, content)?;
    }
    let (status, output, errors) = shell(&test.script, "sh")?;
    let mut problems = String::new();
    if status != 0 {
        let text = String::from_utf8_lossy(&errors);
        problems.push_str(&format!("the script ended with status {status}\n{text}"));
    }
    for (name, alternatives) in test.expectations() {
        let actual = match name {
            "stdout" => output.clone(),
            "stderr" => errors.clone(),
            file => match fs::read(folder.join(file)) {
                Ok(content) => content,
                Err(_) => {
                    problems.push_str(&format!("the script made no file {file}\n"));
                    continue;
                }
            },
        };
        let mut differences = Vec::new();
        for expected in alternatives {
            differences.push(compare::difference(expected, &actual, &test.ignored(name))?);
        }
        if differences.iter().all(Option::is_some) {
            let first = differences.into_iter().flatten().next().unwrap_or_default();
            problems.push_str(&format!("{name}: {first}\n"));
        }
    }
    if problems.is_empty() { Ok(Outcome::Passed) } else { Ok(Outcome::Failed(problems)) }
}

/// Ends what a script left running: `timeout` watches the shell only, so a router that the
/// shell put in the background would outlive both.
fn end_group(group: u32) {
    // There usually is nobody left, which `kill` complains about.
    let _ = Command::new("kill")
        .args(["-s", "KILL", "--", &format!("-{group}")])
        .stderr(Stdio::null())
        .status();
}

fn report(suite: &Path, tests: &[Test], outcomes: &[Outcome]) -> Result<()> {
    let (mut passed, mut skipped, mut failed) = (0, 0, 0);
    for (test, outcome) in tests.iter().zip(outcomes) {
        let name = test.path.strip_prefix(suite).unwrap_or(&test.path).display();
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Skipped => {
                skipped += 1;
                println!("skipped {name}:{}", test.line);
            }
            Outcome::Failed(why) => {
                failed += 1;
                println!("FAILED  {name}:{}", test.line);
                for line in why.lines().take(8) {
                    println!("        {line}");
                }
            }
        }
    }
    println!("clicktest: {passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 {
        bail!("{failed} tests failed");
    }
    Ok(())
}

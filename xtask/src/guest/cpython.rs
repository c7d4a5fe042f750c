//! CPython's own tests, compared with the same tests on native Linux.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};

use super::{PROVIDERS, drupe_run};
use crate::test::{Counts, Tier};

/// The modules, and the first tier that runs each on `process`; on qemu all take long.
const MODULES: &[(&str, Tier)] = &[
    ("test_mmap", Tier::Default),
    ("test_os", Tier::Default),
    ("test_select", Tier::Default),
    ("test_time", Tier::Default),
    ("test_threading", Tier::Full),
    ("test_signal", Tier::Full),
    ("test_subprocess", Tier::Full),
    ("test_asyncio", Tier::Full),
];

/// Where Debian puts the tests.
pub const TESTS: &str = "/usr/lib/python3.11/test";

/// The runner, which prints a line for each test.
const RUNNER: &str = "tests/programs/cpython.py";

/// Differences with their causes.
const CAUSES: &str = "tests/programs/cpython-causes.txt";

/// The cause that is waited for, and not counted as a difference.
const NETWORKS: &str = "no networks yet";

/// A result that has this cause.
const NO_ADDRESS_FAMILY: &str = "[Errno 97]";

/// Tests that hang without networks.
const LEFT_OUT: &str = "-StreamTests.test_drain_raises";

/// Programs that the tests start.
const TOOLS: &[&str] = &[
    "/usr/bin/bash",
    "/usr/bin/cat",
    "/usr/bin/echo",
    "/usr/bin/ls",
    "/usr/bin/sleep",
    "/usr/bin/true",
];

/// Tests that may differ, in percent of a module's.
const ALLOWED: usize = 3;

/// The modules of a tier, on both providers in the full one.
pub fn stage(tier: Tier) -> Result<Counts> {
    if !Path::new(TESTS).join("test_os.py").exists() {
        println!("CPython's tests skipped: no {TESTS}");
        return Ok(Counts { skipped: 1, ..Counts::default() });
    }
    let modules: Vec<&str> =
        MODULES.iter().filter(|(_, least)| *least <= tier).map(|(name, _)| *name).collect();
    let providers = if tier == Tier::Full { &PROVIDERS[..] } else { &PROVIDERS[..1] };
    run(providers, &modules)
}

/// Runs modules, or all of them, natively and on providers. Each is a test that passes when few
/// enough results differ, each for a known cause.
pub fn run(providers: &[&str], modules: &[&str]) -> Result<Counts> {
    let all: Vec<&str> = MODULES.iter().map(|(name, _)| *name).collect();
    let modules = if modules.is_empty() { &all } else { modules };
    let causes = causes()?;
    let mut counts = Counts::default();
    for module in modules {
        let native =
            results(Command::new("/usr/bin/python3").arg(RUNNER).arg(module).stdin(Stdio::null()))?;
        for provider in providers {
            let start = Instant::now();
            let mut command = drupe_run(provider, "3h");
            let deadline = if *provider == "qemu" { "1800" } else { "300" };
            command.args(["-m", "1G", "-e", &format!("TEST_DEADLINE={deadline}")]);
            for tool in TOOLS {
                command.args(["--include", tool]);
            }
            command.args(["--include", TESTS, RUNNER, LEFT_OUT]);
            let guest = results(command.arg(module))?;
            let text = format!("{provider}: {module}, {:.0} s", start.elapsed().as_secs_f64());
            if compare(&text, &native, &guest, &causes) {
                counts.passed += 1;
            } else {
                counts.failed += 1;
            }
        }
    }
    Ok(counts)
}

/// The result of each test that `command` runs.
fn results(command: &mut Command) -> Result<BTreeMap<String, String>> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let mut results = BTreeMap::new();
    let mut running = None;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(name) = line.strip_prefix("start ") {
            running = Some(name.to_owned());
        } else if let Some((name, result)) =
            line.strip_prefix("case ").and_then(|line| line.split_once(": "))
        {
            results.insert(name.to_owned(), result.trim().to_owned());
            running = None;
        }
    }
    if let Some(name) = running {
        results.insert(name, format!("failed: it was the last, {}", output.status));
    }
    if results.is_empty() {
        let errors = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("{command:?} ran no test: {}\n{errors}", output.status);
    }
    Ok(results)
}

/// Lists what passes natively and not in the guest. Whether that is little, and explained.
fn compare(
    text: &str,
    native: &BTreeMap<String, String>,
    guest: &BTreeMap<String, String>,
    causes: &[(String, String)],
) -> bool {
    let good = |result: &str| result == "ok" || result.starts_with("expected");
    let mut differing = 0;
    let mut unexplained = 0;
    let mut waiting = 0;
    for (name, _) in native.iter().filter(|(_, result)| good(result)) {
        let result = guest.get(name).map_or("failed: did not run", String::as_str);
        if good(result) {
            continue;
        }
        differing += 1;
        if result.contains(NO_ADDRESS_FAMILY) {
            waiting += 1;
            continue;
        }
        match causes.iter().find(|(pattern, _)| name.contains(pattern)) {
            Some((_, cause)) if cause == NETWORKS => waiting += 1,
            Some((_, cause)) => println!("  {name}: {cause}"),
            None => {
                unexplained += 1;
                println!("  {name}: {result} (no known cause)");
            }
        }
    }
    let limit = native.len() * ALLOWED / 100;
    println!(
        "{text}: {} of {} as on Linux, {waiting} need networks",
        native.len() - differing,
        native.len()
    );
    differing -= waiting;
    if differing > limit {
        println!("  more than {ALLOWED} % differ");
    }
    unexplained == 0 && differing <= limit
}

/// The lines `part of a test's name: cause`.
fn causes() -> Result<Vec<(String, String)>> {
    let text = fs::read_to_string(CAUSES).with_context(|| format!("cannot read {CAUSES}"))?;
    Ok(text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .map(|(name, cause)| (name.to_owned(), cause.to_owned()))
        .collect())
}

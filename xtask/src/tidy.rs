//! `cargo xtask tidy`: what the compiler does not check.
//!
//! - Layers: a crate may depend only on the folders that its layer allows.
//! - `unsafe` appears only in the crates that `ARCHITECTURE.md` names.
//! - Pages of the book that are made from tables of the code are up to date.
//! - Production code in a file stays under 800 lines, tests not counted.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::docs;

/// Folder of a crate, and the folders whose crates it may depend on. First match wins.
const LAYERS: &[(&str, &[&str])] = &[
    ("abi/", &["abi/"]),
    ("lib/", &["abi/", "lib/"]),
    ("kernel/hal", &["abi/", "lib/", "kernel/arch"]),
    ("kernel/arch", &["lib/"]),
    ("kernel/mm", &["lib/", "kernel/hal"]),
    ("kernel/plat/", &["abi/", "lib/", "kernel/hal", "kernel/arch", "kernel/mm"]),
    ("kernel/trace", &["lib/", "kernel/hal"]),
    ("kernel/sched", &["lib/", "kernel/hal", "kernel/arch", "kernel/trace"]),
    ("kernel/dev/", &["lib/", "kernel/hal", "kernel/mm", "kernel/dev/"]),
    ("kernel/net", &["lib/", "kernel/net/"]),
    ("kernel/fs/", &["abi/", "lib/", "kernel/fs/"]),
    (
        "kernel/linux",
        &[
            "abi/",
            "lib/",
            "kernel/hal",
            "kernel/arch",
            "kernel/mm",
            "kernel/sched",
            "kernel/trace",
            "kernel/fs/",
            "kernel/net",
        ],
    ),
    ("kernel/image", &["abi/", "lib/", "kernel/"]),
    ("click/", &["lib/", "click/"]),
    ("sdk/", &["abi/", "lib/", "sdk/"]),
    ("monitor", &["abi/", "lib/"]),
    ("host/", &["abi/", "lib/", "host/", "monitor", "kernel/net", "kernel/fs/", "click/"]),
    ("bench", &["abi/", "lib/", "host/"]),
    ("xtask", &["abi/", "lib/", "host/"]),
];

/// Folders whose crates may hold `unsafe`; the reasons are in `ARCHITECTURE.md`.
const UNSAFE_ALLOWED: &[&str] = &[
    "kernel/hal/",
    "kernel/arch/",
    "kernel/plat/",
    "kernel/mm/",
    "kernel/sched/",
    "kernel/image/",
    "kernel/dev/virtio/",
    "lib/ring/",
    "monitor/",
    "sdk/entry/",
    "host/sys/",
];

/// Files that may be longer than the limit, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

const LONGEST_FILE: usize = 800;

/// Runs all checks and lists every violation.
pub fn run() -> Result<()> {
    let mut problems = Vec::new();
    for manifest in find("Cargo.toml")? {
        layers(&manifest, &mut problems)?;
    }
    for source in find(".rs")? {
        source_file(&source, &mut problems)?;
    }
    for page in docs::stale() {
        problems.push(format!("{} is out of date: run cargo xtask docs", page.display()));
    }
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        eprintln!("tidy: {problem}");
    }
    bail!("tidy found {} problems", problems.len())
}

fn layers(manifest: &Path, problems: &mut Vec<String>) -> Result<()> {
    let folder = slashed(manifest.parent().context("a manifest has a folder")?);
    let Some((_, allowed)) = LAYERS
        .iter()
        .find(|(prefix, _)| folder.starts_with(prefix) || format!("{folder}/").starts_with(prefix))
    else {
        if !folder.is_empty()
            && !folder.starts_with("fuzz")
            && !folder.starts_with("examples")
            && !folder.starts_with("tests")
        {
            problems.push(format!("{folder}: no layer is defined for this folder"));
        }
        return Ok(());
    };
    let mut section = String::new();
    for line in fs::read_to_string(manifest)?.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        }
        if !section.ends_with("dependencies") || section.ends_with("dev-dependencies") {
            continue;
        }
        let Some(path) = line.split("path = \"").nth(1).and_then(|rest| rest.split('"').next())
        else {
            continue;
        };
        let target = normal(&Path::new(&folder).join(path));
        let inside = |prefix: &&str| {
            target.starts_with(*prefix) || format!("{target}/").starts_with(*prefix)
        };
        if !allowed.iter().any(inside) {
            problems.push(format!("{folder} must not depend on {target}"));
        }
    }
    Ok(())
}

fn source_file(path: &Path, problems: &mut Vec<String>) -> Result<()> {
    let name = slashed(path);
    let text = fs::read_to_string(path)?;
    let production = text.split("#[cfg(test)]").next().unwrap_or(&text);
    let lines = production.lines().count();
    if lines > LONGEST_FILE && !LONG_FILES.iter().any(|(file, _)| *file == name) {
        problems.push(format!("{name}: {lines} lines; the limit is {LONGEST_FILE}"));
    }
    let is_test =
        name.contains("/tests/") || name.starts_with("tests/") || name.starts_with("fuzz/");
    if !is_test && !UNSAFE_ALLOWED.iter().any(|folder| name.starts_with(folder)) {
        for (number, line) in production.lines().enumerate() {
            let code = line.split("//").next().unwrap_or(line);
            let forms = ["{", "fn", "impl", "trait", "extern", "("];
            let used = code.split_once("unsafe").is_some_and(|(before, after)| {
                !before.ends_with('_')
                    && forms.iter().any(|form| after.trim_start().starts_with(form))
            });
            if used {
                problems
                    .push(format!("{name}:{}: unsafe is not allowed in this crate", number + 1));
            }
        }
    }
    Ok(())
}

/// The files of the checkout whose name ends with `ending`, relative to the root, without
/// build output.
fn find(ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(".")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {folder:?}"))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || name.starts_with("target") {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if name.ends_with(ending) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn slashed(path: &Path) -> String {
    normal(path)
}

/// `path` without `.` and `..`, with forward slashes.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                parts.pop();
            }
            std::path::Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    parts.join("/")
}

//! Packages of cargo.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use super::{Project, run_tool};
use crate::error::{Error, Result};

/// The part of cargo's messages that names what was built.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// Builds the package in release mode and returns its executable.
pub fn build(project: &Project<'_>) -> Result<PathBuf> {
    if !project.folder.join("target").is_dir() {
        (project.progress)(&format!("building {} with cargo", project.name));
    }
    let mut command = Command::new("cargo");
    command.current_dir(project.folder);
    command.args(["build", "--release", "--message-format=json-render-diagnostics"]);
    // What an outer cargo has set for its own build is not meant for this one.
    for name in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "RUSTUP_TOOLCHAIN"]
    {
        command.env_remove(name);
    }
    let output = run_tool(&mut command, &format!("build {}", project.folder.display()))?;
    let mut found: Vec<(String, PathBuf)> = output
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok())
        .filter_map(|message| Some((message.target?.name, message.executable?)))
        .collect();
    if let Some(wanted) = &project.manifest.program {
        let wanted = wanted.file_name().unwrap_or_default();
        found.retain(|(name, _)| wanted == name.as_str());
    }
    if found.len() > 1
        && let Some(index) = found.iter().position(|(name, _)| name == project.name)
    {
        found = vec![found.swap_remove(index)];
    }
    let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
    match (found.pop(), names.len()) {
        (Some((_, executable)), 1) => Ok(executable),
        (None, _) => Err(Error::not_runnable(format!(
            "{} has no program: cargo has built no such binary",
            project.folder.display()
        ))),
        _ => Err(Error::new(format!(
            "{} has several programs: {}",
            project.folder.display(),
            names.join(", ")
        ))
        .hint("choose one in drupe.toml: program = \"NAME\"")),
    }
}

//! `cargo xtask bench`: builds and runs the package in `bench/`, which knows the engine.

use std::process::Command;

use anyhow::Result;

use crate::process::{cargo, check, root};

/// Runs the benchmarks with `arguments`.
pub fn command(arguments: &[&str]) -> Result<()> {
    check(cargo().args(["build", "--quiet", "--release", "-p", "drupe", "-p", "drupe-bench"]))?;
    check(Command::new(root().join("target/release/drupe-bench")).args(arguments))
}

//! `cargo xtask bench`: builds and runs the package in `bench/`, which knows the engine.

use std::process::Command;

use anyhow::Result;

use crate::process::{cargo, check, root};
use crate::test::Counts;

/// Runs the kernel for virtual machines on KVM, in a Linux guest; a stage of the tests that
/// shares the Linux guest with the benchmarks.
pub fn nested() -> Result<Counts> {
    build()?;
    check(Command::new(root().join("target/release/drupe-bench")).arg("nested"))?;
    Ok(Counts { passed: 1, ..Counts::default() })
}

fn build() -> Result<()> {
    check(cargo().args(["build", "--quiet", "--release", "-p", "drupe", "-p", "drupe-bench"]))
}

/// Runs the benchmarks with `arguments`.
pub fn command(arguments: &[&str]) -> Result<()> {
    build()?;
    check(Command::new(root().join("target/release/drupe-bench")).args(arguments))
}

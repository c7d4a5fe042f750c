//! Stages about the kernels themselves: with their checks on, and the depth of their stacks.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{cargo, check, root};
use crate::suite;
use crate::test::Counts;

const TARGET: &str = "x86_64-unknown-none";
const PROFILE: &str = "kernel-debug";

/// Each provider and the package of its kernel.
const KERNELS: &[(&str, &str)] = &[("process", "kernel-hosted"), ("qemu", "kernel-vm")];

/// Programs, with what they must print.
const CASES: &[(&[&str], &str)] = &[
    (&["examples/hello-c"], "hello\n"),
    (&["/bin/busybox", "sh", "-c", "for i in 1 2 3; do echo $i | cat | tr 1 x; done"], "x\n2\n3\n"),
    (&["/bin/bash", "-c", "for i in {1..20}; do echo $i | cat; done | tail -1"], "20\n"),
    (
        &[
            "-m",
            "64M",
            "/bin/busybox",
            "sh",
            "-c",
            "i=0; while [ $i -lt 2000 ]; do (exit 0); i=$((i+1)); done; echo $i",
        ],
        "2000\n",
    ),
];

/// Runs programs on kernels that check themselves: the order of locks, overflows, what is freed.
pub fn checked() -> Result<Counts> {
    let folder = root().join("target/kernel");
    check(
        cargo()
            .args(["build", "--quiet", "--profile", PROFILE, "--target", TARGET])
            .args(["-p", "kernel-vm", "-p", "kernel-hosted", "--target-dir"])
            .arg(&folder),
    )?;
    let drupe = drupe()?;
    let mut counts = Counts::default();
    for (provider, package) in KERNELS {
        let kernel = folder.join(TARGET).join(PROFILE).join(package);
        for (arguments, output) in CASES {
            let run = run(&drupe, provider).arg("--kernel").arg(&kernel).args(*arguments).output();
            let run = run.context("cannot start drupe")?;
            if run.status.success() && run.stdout == output.as_bytes() {
                counts.passed += 1;
            } else {
                counts.failed += 1;
                let errors = String::from_utf8_lossy(&run.stderr);
                eprintln!("{provider}: {arguments:?} failed: {:?}\n{errors}", run.status);
            }
        }
    }
    Ok(counts)
}

/// How much of a kernel stack may be used, in percent: what was never tested needs some as well.
const STACK_USED_MOST: usize = 75;

/// Runs the differential suite's cases for the depth that kernel stacks get to. Their results
/// are the suite's own stages' matter.
pub fn stacks() -> Result<Counts> {
    let (drupe, suite) = (drupe()?, suite::runner()?);
    let mut counts = Counts::default();
    for (provider, _) in KERNELS {
        let output = run(&drupe, provider).arg("-vv").arg(&suite).arg("--all").output();
        let output = output.context("cannot start drupe")?;
        let text = String::from_utf8_lossy(&output.stderr);
        match text.lines().find_map(stack_use) {
            Some((used, length)) if used > 0 && used * 100 <= length * STACK_USED_MOST => {
                counts.passed += 1;
                println!("{provider}: {used} of {length} bytes of a kernel stack were used");
            }
            found => {
                counts.failed += 1;
                let tail: Vec<&str> = text.lines().rev().take(5).collect();
                eprintln!("{provider}: kernel stacks: {found:?} used; {tail:?}");
            }
        }
    }
    Ok(counts)
}

/// The bytes that were used and that there are, from the kernel's line about its stacks.
fn stack_use(line: &str) -> Option<(usize, usize)> {
    let rest = line.split_once("kernel stacks: at most ")?.1;
    let (used, rest) = rest.split_once(" of ")?;
    Some((used.parse().ok()?, rest.split_once(' ')?.0.parse().ok()?))
}

fn drupe() -> Result<PathBuf> {
    check(cargo().args(["build", "--quiet", "--release", "--package", "drupe"]))?;
    Ok(root().join("target/release/drupe"))
}

fn run(drupe: &Path, provider: &str) -> Command {
    let mut command = Command::new(drupe);
    command.args(["run", "--provider", provider, "--cpus", "2", "--timeout", "1200"]);
    command
}

#[cfg(test)]
mod tests {
    use super::stack_use;

    #[test]
    fn the_line_about_stacks_is_read() {
        let line = "drupe: kernel: kernel stacks: at most 5120 of 16384 bytes were used";
        assert_eq!(stack_use(line), Some((5120, 16384)));
        assert_eq!(stack_use("drupe: kernel: something else"), None);
    }
}

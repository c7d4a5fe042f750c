//! The guest stage: programs run by `drupe run`, on every provider, as the README shows.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, check, root};
use crate::test::Counts;

/// A program and what it must print.
struct Case {
    name: &'static str,
    arguments: &'static [&'static str],
    output: &'static str,
    status: i32,
}

const CASES: &[Case] = &[
    Case { name: "hello in C", arguments: &["examples/hello-c"], output: "hello\n", status: 0 },
    Case { name: "hello in C++", arguments: &["examples/hello-cpp"], output: "hello\n", status: 0 },
    Case {
        name: "hello in Rust",
        arguments: &["examples/hello-rust"],
        output: "hello\n",
        status: 0,
    },
    Case {
        name: "busybox: pipelines and exit statuses",
        arguments: &[
            "/bin/busybox",
            "sh",
            "-c",
            "for i in 1 2 3; do echo $i | cat | tr 1 x; done; (exit 3); echo $?; exit 7",
        ],
        output: "x\n2\n3\n3\n",
        status: 7,
    },
    Case {
        // What ended processes left behind once filled the memory.
        name: "busybox: two thousand processes one after the other in 32 MiB",
        arguments: &[
            "-m",
            "32M",
            "/bin/busybox",
            "sh",
            "-c",
            "i=0; while [ $i -lt 2000 ]; do (exit 0); i=$((i+1)); done; echo $i",
        ],
        output: "2000\n",
        status: 0,
    },
    Case {
        name: "bash: a pipeline of a loop",
        arguments: &["/bin/bash", "-c", "for i in {1..20}; do echo $i | cat; done | tail -1"],
        output: "20\n",
        status: 0,
    },
];

/// The providers, each with the virtual CPUs that it runs the cases with.
const PROVIDERS: &[&str] = &["process", "qemu"];

/// Runs all cases on all providers.
pub fn stage() -> Result<Counts> {
    check(cargo().args(["build", "--quiet", "--release", "--package", "drupe"]))?;
    let drupe = root().join("target/release/drupe");
    let mut counts = Counts::default();
    for provider in PROVIDERS {
        for case in CASES {
            let start = Instant::now();
            let output = Command::new(&drupe)
                .args(["run", "--provider", provider, "--cpus", "2", "--timeout", "600"])
                .args(case.arguments)
                .output()
                .context("cannot start drupe")?;
            let printed = String::from_utf8_lossy(&output.stdout);
            let ok = printed == case.output && output.status.code() == Some(case.status);
            if ok {
                counts.passed += 1;
                println!("{provider}: {} ({:.1} s)", case.name, start.elapsed().as_secs_f64());
            } else {
                counts.failed += 1;
                eprintln!(
                    "{provider}: {} failed: {:?}, printed {printed:?} instead of {:?}\n{}",
                    case.name,
                    output.status,
                    case.output,
                    String::from_utf8_lossy(&output.stderr),
                );
            }
        }
    }
    if counts.passed + counts.failed == 0 {
        bail!("no case ran");
    }
    Ok(counts)
}

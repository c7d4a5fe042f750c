//! One C program on two systems: what system calls, threads and processes cost.

use std::collections::BTreeMap;
use std::process::Command;

use abi_guest::Limits;
use anyhow::{Result, bail};
use drupe_engine::Platform;
use drupe_engine::provider::{Process, Qemu};

use crate::build::{self, check};
use crate::figures::{Figures, median};
use crate::guest::{Bench, must_run};
use crate::{Settings, linux};

const MIB: u64 = 1 << 20;

/// Nanoseconds by benchmark, of several runs.
type Results = BTreeMap<String, Vec<f64>>;

/// Adds what the C program printed.
fn collect(output: &str, results: &mut Results) -> Result<()> {
    let mut ended = false;
    for line in output.lines().map(str::trim) {
        if line == "end" {
            ended = true;
        } else if line.starts_with("failed:") {
            bail!("the program {line}");
        } else if let Some((name, value)) = line.split_once(' ')
            && let Ok(value) = value.parse()
        {
            results.entry(name.to_owned()).or_default().push(value);
        }
    }
    if !ended {
        bail!("the program did not end; it printed: {output}");
    }
    Ok(())
}

/// What is wanted of a benchmark: at most this much of the peer, or at most so many
/// nanoseconds.
enum Target {
    Ratio(f64),
    Nanoseconds(f64),
    None,
}

fn add(figures: &mut Figures, name: &str, ours: &Results, peer: (&str, &Results), target: Target) {
    let value = |results: &Results| results.get(name).map(|values| median(values));
    let (Some(ours), Some(theirs)) = (value(ours), value(peer.1)) else {
        return figures.unmeasured(&format!("{name}: one side has no figure"));
    };
    let (time, unit) = if ours.max(theirs) >= 1e4 { (1e3, "us") } else { (1.0, "ns") };
    let parts = format!("{:.1} {unit}, {} {:.1} {unit}", ours / time, peer.0, theirs / time);
    match target {
        Target::Ratio(most) => figures.add(name, ours / theirs, "x", Some(most), parts),
        Target::Nanoseconds(most) => figures.add(name, ours, "ns", Some(most), parts),
        Target::None => figures.add(name, ours / theirs, "x", None, parts),
    }
}

/// The provider `process` against native Linux.
pub fn process(settings: &Settings, figures: &mut Figures) -> Result<()> {
    let (program, bench) = (build::program()?, Bench::new()?);
    let prepared = bench.prepare(&program, &[])?;
    let kernel = bench.kernel(Platform::Hosted)?;
    let limits = Limits { memory: 256 * MIB, cpus: 2 };
    let (mut ours, mut theirs) = (Results::new(), Results::new());
    for _ in 0..settings.rounds {
        collect(&check(&mut Command::new(&program))?, &mut theirs)?;
        collect(&must_run(&Process, &kernel, &prepared, limits)?.output, &mut ours)?;
    }
    for (name, target) in [
        ("getpid", Target::None),
        ("bad-descriptor", Target::Nanoseconds(30.0)),
        ("pipe-read", Target::Ratio(0.35)),
        ("page-fault", Target::None),
        ("thread", Target::None),
        ("futex", Target::Ratio(0.3)),
        ("fork", Target::Ratio(2.0)),
        ("fork-exec", Target::None),
        ("pipe", Target::None),
    ] {
        add(figures, name, &ours, ("native", &theirs), target);
    }
    Ok(())
}

/// A virtual machine against one with Debian's Linux, both under TCG with one virtual CPU.
pub fn guest(settings: &Settings, figures: &mut Figures) -> Result<()> {
    let (program, bench) = (build::program()?, Bench::new()?);
    let linux = linux::Guest::new(&program)?;
    let prepared = bench.prepare(&program, &[])?;
    let kernel = bench.kernel(Platform::Vm)?;
    let limits = Limits { memory: 256 * MIB, cpus: 1 };
    let (mut ours, mut theirs) = (Results::new(), Results::new());
    for _ in 0..settings.rounds.div_ceil(2) {
        collect(&linux.run()?, &mut theirs)?;
        collect(&must_run(&Qemu::default(), &kernel, &prepared, limits)?.output, &mut ours)?;
    }
    for name in [
        "getpid",
        "bad-descriptor",
        "pipe-read",
        "page-fault",
        "thread",
        "futex",
        "fork",
        "fork-exec",
        "pipe",
    ] {
        add(figures, name, &ours, ("linux", &theirs), Target::Ratio(1.0));
    }
    Ok(())
}

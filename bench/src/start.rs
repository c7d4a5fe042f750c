//! Starting programs as processes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use abi_guest::{Descriptors, Limits};
use anyhow::{Context, Result, bail};
use drupe_engine::Platform;
use drupe_engine::provider::Process;

use crate::Settings;
use crate::build::{self, check};
use crate::figures::{Figures, median};
use crate::guest::{Bench, must_run, path_in_root};

const MIB: u64 = 1 << 20;

/// `drupe run` of a hello whose root and kernel are kept, and the hosted kernel without
/// anything around it against `/bin/true`.
pub fn start(settings: &Settings, figures: &mut Figures) -> Result<()> {
    let (drupe, hello) = (build::drupe()?, build::hello()?);
    let drupe_run = || -> Result<f64> {
        let start = Instant::now();
        let output = check(Command::new(&drupe).arg("run").arg(&hello))?;
        if output != "hello\n" {
            bail!("`drupe run` printed {output:?}");
        }
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    drupe_run()?;
    let times = (0..settings.rounds * 4).map(|_| drupe_run()).collect::<Result<Vec<_>>>()?;
    figures.add("drupe run hello", median(&times), "ms", Some(15.0), "");

    let bench = Bench::new()?;
    let prepared = bench.prepare(&hello, &[])?;
    let memory = 64 * MIB;
    let limits = Limits { memory, cpus: 1 };
    let folder = build::folder()?;
    let (module_file, kernel_file) = (folder.join("hello.module"), folder.join("kernel-hosted"));
    let module = prepared
        .configuration(limits)
        .module(Some(&mut prepared.root.open()?), Some(Descriptors::HOSTED))?;
    let mut module = fs::File::from(module);
    std::io::copy(&mut module, &mut fs::File::create(&module_file)?)
        .context("cannot write the boot module")?;
    fs::write(&kernel_file, bench.kernel(Platform::Hosted)?.read()?)
        .context("cannot write the kernel")?;
    let launcher = build::launcher()?;
    let launch = |arguments: &[&str]| -> Result<f64> {
        let mut command = Command::new(&launcher);
        let output = command.arg("5").args(arguments).output().context("cannot launch")?;
        let text = String::from_utf8_lossy(&output.stderr);
        let times: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if !output.status.success() || times.len() != 5 {
            bail!("{command:?} failed: {text}");
        }
        Ok(median(&times) / 1e6)
    };
    let memory = memory.to_string();
    let kernel =
        ["kernel", &kernel_file.to_string_lossy(), &module_file.to_string_lossy(), &memory]
            .map(str::to_owned);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds {
        theirs.push(launch(&["program", "/bin/true"])?);
        ours.push(launch(&kernel.each_ref().map(String::as_str))?);
    }
    let (ours, theirs) = (median(&ours), median(&theirs));
    let parts = format!("{ours:.2} ms, /bin/true {theirs:.2} ms");
    figures.add("hosted kernel alone", ours / theirs, "x", Some(3.0), parts);
    Ok(())
}

/// A loop that the processor, not the system, is busy with.
const BUSY: &str = "sum(i * i for i in range(2000000))";

/// The start of `python3` by a program that runs already, and a loop, against native Linux.
pub fn python(settings: &Settings, figures: &mut Figures) -> Result<()> {
    let python = Path::new("/usr/bin/python3");
    if !python.exists() {
        bail!("{} is not there: install python3", python.display());
    }
    let (program, bench) = (build::program()?, Bench::new()?);
    let root = bench.prepare(python, std::slice::from_ref(&program))?;
    let kernel = bench.kernel(Platform::Hosted)?;
    let limits = Limits { memory: 512 * MIB, cpus: 2 };
    let inside = path_in_root(&program);
    for (name, code, target) in [("start", "pass", 1.05), ("loop", BUSY, 1.05)] {
        let arguments = ["spawn", "5", "/usr/bin/python3", "-c", code];
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..settings.rounds {
            theirs.extend(spawned(&check(Command::new(&program).args(arguments))?));
            let command = [&[inside.as_str()][..], &arguments].concat();
            let outcome = must_run(&Process, &kernel, &root.with(&command), limits)?;
            ours.extend(spawned(&outcome.output));
        }
        let (ours, theirs) = (median(&ours), median(&theirs));
        let parts = format!("{ours:.2} ms, native {theirs:.2} ms");
        figures.add(format!("python3 {name}"), ours / theirs, "x", Some(target), parts);
    }
    Ok(())
}

/// The times in milliseconds that the C program printed.
fn spawned(output: &str) -> Vec<f64> {
    let times = output.lines().filter_map(|line| line.strip_prefix("spawn ")?.parse::<f64>().ok());
    times.map(|time| time / 1e6).collect()
}

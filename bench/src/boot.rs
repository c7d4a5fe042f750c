//! Virtual machines under TCG: time to the first output, least memory, kernel sizes.

use abi_guest::Limits;
use anyhow::{Context, Result, bail};
use drupe_engine::attach::End;
use drupe_engine::provider::{Machine, Qemu};
use drupe_engine::{Kernel, Platform};

use crate::figures::{Figures, median};
use crate::guest::{Bench, Complaints, Prepared, run};
use crate::{Settings, build};

const MIB: u64 = 1 << 20;

/// What the peers were measured with.
const MEMORY: u64 = 256 * MIB;

fn first_output(qemu: &Qemu, kernel: &Kernel, hello: &Prepared) -> Result<f64> {
    let limits = Limits { memory: MEMORY, cpus: 1 };
    let outcome = run(qemu, kernel, hello, limits, Complaints::Shown)?;
    if outcome.output != "hello\n" || outcome.end != End::Exited(0) {
        bail!("hello ended with {:?} and printed {:?}", outcome.end, outcome.output);
    }
    Ok(outcome.first_output.context("no output was seen")?.as_secs_f64() * 1e3)
}

/// Spawn of QEMU to the output of a static hello, over what the stub takes.
pub fn time(settings: &Settings, figures: &mut Figures) -> Result<()> {
    let bench = Bench::new()?;
    let hello = bench.prepare(&build::hello()?, &[])?;
    let kernel = bench.kernel(Platform::Vm)?;
    let stub = Kernel::from_file(&build::stub()?)?;
    for (machine, name) in [(Machine::Microvm, "microvm"), (Machine::Q35, "q35")] {
        let qemu = Qemu { machine };
        // Once for the host's caches.
        first_output(&qemu, &kernel, &hello)?;
        let (mut floors, mut times) = (Vec::new(), Vec::new());
        for _ in 0..settings.rounds * 3 {
            floors.push(first_output(&qemu, &stub, &hello)?);
            times.push(first_output(&qemu, &kernel, &hello)?);
        }
        let (floor, time) = (median(&floors), median(&times));
        let parts = format!("{time:.1} ms, stub {floor:.1} ms");
        figures.add(format!("hello on {name}"), time - floor, "ms", Some(75.0), parts);
    }
    Ok(())
}

/// The least memory, in MiB, with which a machine says hello. The root comes on top of what a
/// guest is promised, and counts.
fn least_memory(kernel: &Kernel, hello: &Prepared) -> Result<u64> {
    let root = hello.size()?.div_ceil(MIB);
    for promised in 1..64 {
        let limits = Limits { memory: promised * MIB, cpus: 1 };
        let outcome = run(&Qemu::default(), kernel, hello, limits, Complaints::Hidden);
        if outcome.is_ok_and(|outcome| outcome.output == "hello\n") {
            return Ok(promised + root);
        }
    }
    bail!("hello does not run in 64 MiB")
}

/// Sizes of the kernels and the least memory.
pub fn size(_: &Settings, figures: &mut Figures) -> Result<()> {
    let bench = Bench::new()?;
    for (platform, name) in [(Platform::Vm, "kernel, vm"), (Platform::Hosted, "kernel, hosted")] {
        let bytes = bench.kernel(platform)?.read()?.len() as f64;
        figures.add(name, bytes / 1e3, "KB", Some(700.0), "stripped");
    }
    let hello = bench.prepare(&build::hello()?, &[])?;
    let kernel = bench.kernel(Platform::Vm)?;
    let least = least_memory(&kernel, &hello)?;
    let parts = format!("of which {} MiB hold the root", hello.size()?.div_ceil(MIB));
    figures.add("least memory, microvm", least as f64, "MiB", Some(6.0), parts);
    Ok(())
}

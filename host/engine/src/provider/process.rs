//! The provider `process`: the kernel as sandboxed Linux processes.
//!
//! The hosted kernel is executed from a sealed memory file and finds nothing open but its two
//! output streams and the five descriptors of [`Descriptors::HOSTED`]. No path, environment or
//! argument reaches it: all is in the boot module.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::OwnedFd;

use abi_guest::Descriptors;
use drupe_sys::{Executable, Program};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{Capability, Instance, Launch, Provider};
use crate::error::{Context, Error, Result};
use crate::{Platform, memory_file};

/// Runs instances as Linux processes.
pub struct Process;

impl Provider for Process {
    fn name(&self) -> &'static str {
        "process"
    }

    fn platform(&self) -> Platform {
        Platform::Hosted
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[]
    }

    fn probe(&self) -> Result<String> {
        if !crate::doctor::has_fs_base() {
            let missing =
                "this processor or its Linux has no FSGSBASE, which the provider process needs";
            return Err(Error::new(missing).hint("use --provider qemu"));
        }
        Ok("Linux processes".to_owned())
    }

    fn start(&self, mut launch: Launch) -> Result<Instance> {
        let memory = launch.configuration.limits.memory;
        super::check_memory(&launch.kernel, memory)?;
        let module =
            launch.configuration.module(launch.root.as_mut(), Some(Descriptors::HOSTED))?;
        let kernel = memory_file::sealed("drupe-kernel", &launch.kernel.read()?, None, 1)
            .context(|| "cannot put the kernel into memory")?;
        let shared = memory_file::shared("drupe-memory", memory)
            .context(|| "cannot reserve the guest's memory")?;
        // Whole frames per message, so that processes of one guest never mix their frames.
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .context(|| "cannot create the report channel")?;

        let streams = launch.streams;
        let copy = |stream: &OwnedFd| stream.try_clone().context(|| "cannot copy a stream");
        let null = File::open("/dev/null").context(|| "cannot open /dev/null")?;
        let executable = kernel.try_clone().context(|| "cannot copy a descriptor")?;
        let images = match launch.root {
            Some(root) => root,
            None => null.try_clone().context(|| "cannot copy a descriptor")?,
        };
        let descriptors = vec![
            null.into(),
            copy(&streams.output)?,
            copy(&streams.error)?,
            kernel,
            module,
            shared,
            theirs,
            images.into(),
        ];
        let program = Program {
            executable: Executable::Descriptor(executable),
            arguments: vec![CString::from(c"drupe-guest")],
            environment: Vec::new(),
            descriptors,
        };
        let tree = program.spawn().context(|| "cannot start the guest's processes")?;
        let control = ours.try_clone().context(|| "cannot copy a descriptor")?;
        Ok(Instance {
            tree,
            report: ours,
            control,
            console: None,
            complaints: None,
            input: streams.input,
            output: streams.output,
            error: streams.error,
            trace: streams.trace,
            kernel: launch.kernel,
            monitor: None,
        })
    }
}

//! The provider `process`: the kernel as sandboxed Linux processes.
//!
//! The hosted kernel is executed from a sealed memory file and finds nothing open but its three
//! streams, the four descriptors of [`Descriptors::HOSTED`] and its network. No path, environment or
//! argument reaches it: all is in the boot module.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::OwnedFd;

use abi_guest::{Descriptors, NetworkSource};
use drupe_network::{Gateway, LinkKind};
use drupe_sys::{Executable, Program};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{Capability, Input, Instance, Launch, Provider};
use crate::error::{Context, Error, Result};
use crate::{Platform, memory_file, network};

/// The descriptor of the network, behind those of [`Descriptors::HOSTED`].
const NETWORK: u32 = 7;

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
        let network = launch
            .network
            .as_ref()
            .map(|settings| network::prepare(settings, LinkKind::Packets))
            .transpose()?;
        if let Some(settings) = &launch.network {
            let source = NetworkSource::Descriptor { number: NETWORK };
            launch.configuration.networks.push(network::told(&settings.addresses, source));
        }
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
        let input = match streams.input {
            Some(input) => input,
            None => File::open("/dev/null").context(|| "cannot open /dev/null")?.into(),
        };
        let executable = kernel.try_clone().context(|| "cannot copy a descriptor")?;
        let mut descriptors = vec![
            input,
            copy(&streams.output)?,
            copy(&streams.error)?,
            kernel,
            module,
            shared,
            theirs,
        ];
        let gateway = network.map(|prepared| {
            descriptors.push(prepared.guest);
            prepared.gateway
        });
        let program = Program {
            executable: Executable::Descriptor(executable),
            arguments: vec![CString::from(c"drupe-guest")],
            environment: Vec::new(),
            descriptors,
        };
        let tree = program.spawn().context(|| "cannot start the guest's processes")?;
        let control = ours.try_clone().context(|| "cannot copy a descriptor")?;
        // Its thread starts only now: the guest's processes were made by a fork.
        let network = gateway.map(Gateway::start).transpose().map_err(network::said)?;
        Ok(Instance {
            _network: network,
            tree,
            report: ours,
            control,
            console: None,
            complaints: None,
            input: Input::Direct,
            output: streams.output,
            error: streams.error,
            kernel: launch.kernel,
        })
    }
}

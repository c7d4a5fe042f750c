//! The provider `qemu`: a virtual machine on QEMU.
//!
//! The kernel is booted directly (PVH) with the boot module as its initial RAM disk. Frames
//! from the guest come through the debug console, text through the serial port; frames for the
//! guest go into the serial port. Every path that QEMU opens is a descriptor that it inherits.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use abi_report::{DEBUG_PORT, EXIT_PORT};
use drupe_sys::{Executable, Program};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::{Capability, Instance, Launch, Provider};
use crate::Platform;
use crate::error::{Context, Error, Result};
use crate::home::{Home, write_whole};

const MIB: u64 = 1 << 20;

/// The machine that QEMU emulates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Machine {
    /// The smallest and quickest one: virtio over MMIO, no PCI, no firmware tables.
    #[default]
    Microvm,
    /// A PC with PCI Express and ACPI.
    Q35,
}

/// Runs instances on QEMU.
#[derive(Clone, Debug, Default)]
pub struct Qemu {
    /// The machine type.
    pub machine: Machine,
}

/// Descriptors in QEMU, after its standard streams.
const CONSOLE: usize = 3;
const REPORT: usize = 4;
const KERNEL: usize = 5;
const MODULE: usize = 6;
const MONITOR: usize = 7;

impl Qemu {
    fn arguments(&self, launch: &Launch, memory: u64, kvm: bool) -> Vec<String> {
        let machine = match self.machine {
            Machine::Microvm => "microvm,acpi=off",
            Machine::Q35 => "q35,vmport=off",
        };
        let cpus = launch.configuration.limits.cpus;
        let mut arguments: Vec<String> = [
            "qemu-system-x86_64",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
            "-machine",
            machine,
            "-accel",
            if kvm { "kvm" } else { "tcg" },
            "-cpu",
            if kvm { "host" } else { "max" },
        ]
        .map(str::to_owned)
        .to_vec();
        let mut option = |name: &str, value: String| {
            arguments.push(name.to_owned());
            arguments.push(value);
        };
        option("-m", format!("{}M", memory.div_ceil(MIB)));
        option("-smp", cpus.to_string());
        option("-kernel", format!("/proc/self/fd/{KERNEL}"));
        option("-initrd", format!("/proc/self/fd/{MODULE}"));
        option("-chardev", format!("socket,id=console,fd={CONSOLE}"));
        option("-serial", "chardev:console".to_owned());
        option("-chardev", format!("socket,id=monitor,fd={MONITOR}"));
        option("-mon", "chardev=monitor,mode=control".to_owned());
        option("-add-fd", format!("fd={REPORT},set=1"));
        option("-chardev", "file,id=report,append=on,path=/dev/fdset/1".to_owned());
        option("-device", format!("isa-debugcon,iobase={DEBUG_PORT:#x},chardev=report"));
        option("-device", format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=0x1"));
        if let Some(port) = launch.gdb {
            option("-gdb", format!("tcp:127.0.0.1:{port}"));
            arguments.push("-S".to_owned());
        }
        arguments
    }
}

impl Provider for Qemu {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn platform(&self) -> Platform {
        Platform::Vm
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::Gdb, Capability::MachineType]
    }

    fn probe(&self) -> Result<String> {
        let path = find_qemu()?;
        let accelerator = match kvm_is_sound() {
            Ok(()) => "KVM".to_owned(),
            Err(reason) => format!("TCG, no KVM: {reason}"),
        };
        Ok(format!("{} with {accelerator}", path.display()))
    }

    fn start(&self, mut launch: Launch) -> Result<Instance> {
        let executable = find_qemu()?;
        let root_length = match &launch.root {
            Some(root) => root.metadata().context(|| "cannot read the root image")?.len(),
            None => 0,
        };
        // The root stands in the machine's memory, on top of what the guest was promised.
        let promised = launch.configuration.limits.memory;
        let memory = promised + root_length.next_multiple_of(MIB);
        launch.configuration.limits.memory = memory;
        super::check_memory(&launch.kernel, promised)?;
        let module = launch.configuration.module(launch.root.as_mut(), None)?;
        let socket = |what: &str| {
            let flags = SocketFlags::CLOEXEC;
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
                .context(|| format!("cannot create the {what}"))
        };
        let (console, their_console) = socket("console")?;
        let (monitor, their_monitor) = socket("control channel of QEMU")?;
        let pipe = || std::io::pipe().context(|| "cannot create a pipe");
        let (report, their_report) = pipe()?;
        let (complaints, their_complaints) = pipe()?;
        let null = || File::open("/dev/null").context(|| "cannot open /dev/null");
        let null_output = File::options().write(true).open("/dev/null");
        let kernel = launch.kernel.open()?;
        let arguments = self.arguments(&launch, memory, kvm_is_sound().is_ok());
        let strings = |strings: Vec<String>| {
            strings.into_iter().map(|s| CString::new(s).unwrap_or_default()).collect()
        };
        let descriptors: Vec<OwnedFd> = vec![
            null()?.into(),
            null_output.context(|| "cannot open /dev/null")?.into(),
            their_complaints.into(),
            their_console,
            their_report.into(),
            kernel.into(),
            module,
            their_monitor,
        ];
        let program = Program {
            executable: Executable::Path(
                CString::new(executable.into_os_string().into_vec())
                    .context(|| "QEMU's path is no file name")?,
            ),
            arguments: strings(arguments),
            environment: Vec::new(),
            descriptors,
        };
        let tree = program.spawn().context(|| "cannot start QEMU")?;
        let control = console.as_fd().try_clone_to_owned();
        Ok(Instance {
            tree,
            report: report.into(),
            control: control.context(|| "cannot copy a descriptor")?,
            console: Some(console),
            complaints: Some(complaints.into()),
            input: launch.streams.input,
            output: launch.streams.output,
            error: launch.streams.error,
            trace: launch.streams.trace,
            kernel: launch.kernel,
            monitor: Some(monitor),
        })
    }
}

/// The path of QEMU's system emulator.
pub(crate) fn find_qemu() -> Result<PathBuf> {
    let name = "qemu-system-x86_64";
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| {
            Error::new(format!("{name} is not installed")).hint(
                "install QEMU (Debian: apt install qemu-system-x86) or use --provider process",
            )
        })
}

/// How long a tiny guest may take.
const LONGEST_PROBE: Duration = Duration::from_secs(2);

/// Whether this host's KVM runs real guests. It is tried once after each start of the host.
///
/// # Errors
/// Says why not.
pub(crate) fn kvm_is_sound() -> std::result::Result<(), String> {
    if std::fs::metadata("/dev/kvm").is_err() {
        return Err("this host has no /dev/kvm".to_owned());
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let known = Home::from_environment().and_then(|home| home.folder("kvm")).ok();
    let known = known.map(|folder| folder.join(boot.trim()));
    if let Some(answer) = known.as_ref().and_then(|file| std::fs::read_to_string(file).ok()) {
        return if answer.is_empty() { Ok(()) } else { Err(answer) };
    }
    let answer = drupe_sys::probe_kvm(LONGEST_PROBE);
    if let Some(file) = known {
        // Without a folder to remember it in, it is tried again.
        let _ = write_whole(&file, answer.as_ref().err().map_or(b"", |reason| reason.as_bytes()));
    }
    answer
}

//! Providers: what instances run on.

mod process;
mod qemu;

use std::fs::File;
use std::os::fd::OwnedFd;

use drupe_sys::Supervised;
use rustix::net::SendFlags;

use crate::error::{Error, Result};
use crate::{Configuration, Kernel, Platform};

pub use process::Process;
pub use qemu::{Machine, Qemu};
pub(crate) use qemu::{find_qemu, kvm_is_sound};

/// Something that a launch may ask for and not every provider can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// A debugger's port into the guest.
    Gdb,
    /// A choice of machine types.
    MachineType,
}

impl Capability {
    /// What a user calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gdb => "--gdb",
            Self::MachineType => "--machine",
        }
    }
}

/// What an instance's standard streams are connected to.
pub struct Streams {
    /// What the guest reads; `None` is an input that has ended.
    pub input: Option<OwnedFd>,
    /// Standard output.
    pub output: OwnedFd,
    /// Standard error.
    pub error: OwnedFd,
    /// Where traces of system calls go; `None`: with standard error.
    pub trace: Option<OwnedFd>,
}

/// All that a provider needs to start an instance.
pub struct Launch {
    /// The kernel for [`Provider::platform`].
    pub kernel: Kernel,
    /// What the guest is told.
    pub configuration: Configuration,
    /// Its root, an EROFS image.
    pub root: Option<File>,
    /// Its streams.
    pub streams: Streams,
    /// TCP port on the loopback interface for a debugger.
    pub gdb: Option<u16>,
}

/// A started instance. Dropping it ends it.
pub struct Instance {
    /// Its processes on this host.
    pub(crate) tree: Supervised,
    /// Frames from the guest.
    pub(crate) report: OwnedFd,
    /// Where frames for the guest are written.
    pub(crate) control: OwnedFd,
    /// Plain text from the guest's serial port.
    pub(crate) console: Option<OwnedFd>,
    /// What the provider's own program complains about.
    pub(crate) complaints: Option<OwnedFd>,
    /// What is read here is sent to the guest as frames.
    pub(crate) input: Option<OwnedFd>,
    /// Where frames with output go; a guest of processes writes there itself.
    pub(crate) output: OwnedFd,
    /// Likewise for standard error.
    pub(crate) error: OwnedFd,
    /// Where traces of system calls go, if not there.
    pub(crate) trace: Option<OwnedFd>,
    /// Where its symbols are.
    pub(crate) kernel: Kernel,
    /// QEMU's control channel.
    pub(crate) monitor: Option<OwnedFd>,
}

impl Instance {
    /// Asks a kernel that does not answer, by what it cannot hold off; `false` when that cannot
    /// be done.
    pub(crate) fn interrogate(&self) -> std::io::Result<bool> {
        const QUIT: i32 = 3;
        match &self.monitor {
            Some(monitor) => {
                let commands = br#"{"execute":"qmp_capabilities"}{"execute":"inject-nmi"}"#;
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(rustix::net::send(monitor, commands, flags)? == commands.len())
            }
            None => self.tree.signal_threads(QUIT).map(|()| true),
        }
    }
}

/// Something that instances run on.
pub trait Provider {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Which kernel it runs.
    fn platform(&self) -> Platform;

    /// What it can do beyond running.
    fn capabilities(&self) -> &'static [Capability];

    /// Says in one line what it will use, for `-v` and `drupe doctor`.
    ///
    /// # Errors
    /// When it cannot be used on this host, with what to do about it.
    fn probe(&self) -> Result<String>;

    /// Starts an instance of what [`check`] has accepted.
    ///
    /// # Errors
    /// When the host refuses a resource.
    fn start(&self, launch: Launch) -> Result<Instance>;
}

/// Refuses what `provider` cannot do on this host, before anything is made or started: a guest
/// with `memory` bytes that needs `capabilities`.
///
/// # Errors
/// When the provider is not usable, lacks a capability (names a provider that has it), or the
/// memory is more than the host has.
pub fn check(provider: &dyn Provider, memory: u64, capabilities: &[Capability]) -> Result<()> {
    if let Some(host) = host_memory()
        && memory > host
    {
        return Err(Error::new(format!(
            "a guest with {} MiB of memory does not fit into this host, which has {} MiB",
            memory >> 20,
            host >> 20
        ))
        .hint("give it less with -m"));
    }
    for &capability in capabilities {
        if !provider.capabilities().contains(&capability) {
            let able: Vec<&str> = all()
                .iter()
                .filter(|other| other.capabilities().contains(&capability))
                .map(|other| other.name())
                .collect();
            let error = Error::new(format!(
                "the provider {} has no {}",
                provider.name(),
                capability.name()
            ));
            return Err(match able.first() {
                Some(able) => error.hint(format!("use --provider {able}")),
                None => error,
            });
        }
    }
    provider.probe().map(|_| ())
}

/// What a kernel needs at least, in bytes, beyond what it occupies itself.
const SPARE: u64 = 1 << 20;

/// Refuses a guest whose memory cannot hold its kernel.
fn check_memory(kernel: &Kernel, memory: u64) -> Result<()> {
    let least = kernel.end_address()?.saturating_add(SPARE);
    if memory >= least {
        return Ok(());
    }
    let error = format!("a guest with {} MiB of memory cannot hold its kernel", memory >> 20);
    Err(Error::new(error).hint(format!("give it at least {}M with -m", least.div_ceil(1 << 20))))
}

/// Memory and swap space of this host in bytes.
fn host_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Some((field("MemTotal:")? + field("SwapTotal:").unwrap_or(0)) << 10)
}

/// Every provider with its default settings.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![Box::new(Process), Box::new(Qemu::default())]
}

//! Providers: what instances run on.

mod process;
mod qemu;

use std::fs::File;
use std::os::fd::OwnedFd;

use drupe_sys::Supervised;

use crate::error::{Error, Result};
use crate::{Configuration, Kernel, Platform};

pub use process::Process;
pub use qemu::{Machine, Qemu};

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
    /// Whether a machine type was asked for.
    pub machine: bool,
}

impl Launch {
    /// The capabilities that this launch needs.
    fn needs(&self) -> impl Iterator<Item = Capability> {
        let gdb = self.gdb.map(|_| Capability::Gdb);
        gdb.into_iter().chain(self.machine.then_some(Capability::MachineType))
    }
}

/// How an instance's input reaches it.
#[derive(Debug)]
pub enum Input {
    /// The guest reads the descriptor itself.
    Direct,
    /// Bytes read from the descriptor (if any) are sent as frames.
    Frames(Option<OwnedFd>),
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
    pub(crate) input: Input,
    /// Where frames with output go; a guest with [`Input::Direct`] writes there itself.
    pub(crate) output: OwnedFd,
    /// Likewise for standard error.
    pub(crate) error: OwnedFd,
    /// Where its symbols are.
    pub(crate) kernel: Kernel,
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

/// Refuses what `provider` cannot do, before anything is started.
///
/// # Errors
/// Names a provider that can.
pub fn check(provider: &dyn Provider, launch: &Launch) -> Result<()> {
    for capability in launch.needs() {
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
    Ok(())
}

/// Every provider with its default settings.
pub fn all() -> Vec<Box<dyn Provider>> {
    vec![Box::new(Process), Box::new(Qemu::default())]
}

//! What a guest is told at start, and the boot module made of it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use abi_guest::{Builder, Descriptors, Limits, PAGE_SIZE, Terminal, Trace, User};

use crate::error::{Context, Result};
use crate::memory_file;

/// What a guest is told at start.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The path of the program inside the root.
    pub program: Vec<u8>,
    /// Its arguments; the first is the name that it is called by.
    pub arguments: Vec<Vec<u8>>,
    /// Its environment, each `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// Its working directory; empty for the root.
    pub working_directory: Vec<u8>,
    /// The host name; empty for the default.
    pub host_name: String,
    /// Who it runs as.
    pub user: User,
    /// Memory and virtual CPUs.
    pub limits: Limits,
    /// The terminal on the standard streams, if they are one.
    pub terminal: Option<Terminal>,
    /// Whether standard input is sent to it.
    pub input: bool,
    /// What to trace.
    pub trace: Trace,
}

impl Configuration {
    /// The boot module with this configuration and `root` (an EROFS image), as a sealed memory
    /// file. With `descriptors`, which are for a hosted guest, the image is not part of the file:
    /// the guest maps it behind the module by its descriptor.
    ///
    /// # Errors
    /// When arguments and environment are too large, or the host has no memory for it.
    pub fn module(
        &self,
        root: Option<&mut File>,
        descriptors: Option<Descriptors>,
    ) -> Result<OwnedFd> {
        let mut builder = Builder::new();
        builder.program(&self.program);
        for argument in &self.arguments {
            builder.argument(argument);
        }
        for variable in &self.environment {
            builder.environment(variable);
        }
        if !self.working_directory.is_empty() {
            builder.working_directory(&self.working_directory);
        }
        if !self.host_name.is_empty() {
            builder.host_name(self.host_name.as_bytes());
        }
        builder.user(self.user).limits(self.limits).seed(seed()?).trace(self.trace);
        if let Some(terminal) = self.terminal {
            builder.terminal(terminal);
        }
        if self.input {
            builder.input();
        }
        if let Some(descriptors) = descriptors {
            builder.descriptors(descriptors);
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        builder.realtime(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        let root_length = match &root {
            Some(file) => Some(file.metadata().context(|| "cannot read the root image")?.len()),
            None => None,
        };
        let head = builder.head(root_length).context(|| "the program cannot be started")?;
        let copied = root.filter(|_| descriptors.is_none());
        memory_file::sealed("drupe-module", &head, copied, PAGE_SIZE as u64)
            .context(|| "cannot put the root image into memory")
    }
}

/// 32 unpredictable bytes from the host.
fn seed() -> Result<[u8; 32]> {
    let mut seed = [0; 32];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .context(|| "the host gives no random bytes")?;
    Ok(seed)
}

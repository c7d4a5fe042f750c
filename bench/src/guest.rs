//! Running guests through the engine, and watching when they speak.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use abi_guest::Limits;
use abi_report::Level;
use anyhow::{Context, Result, bail};
use drupe_engine::attach::{End, Options, attach};
use drupe_engine::provider::{Provider, Streams};
use drupe_engine::{Configuration, Home, Kernel, Launch, Platform, Root, Source};

/// The longest that any guest here may take.
const LONGEST: Duration = Duration::from_secs(600);

/// What is the same for all runs of a benchmark.
pub struct Bench {
    /// Where kernels and roots are kept.
    pub home: Home,
}

/// A program in its root.
pub struct Prepared {
    /// The root image.
    pub root: Root,
    /// Its program's path and arguments.
    pub command: Vec<String>,
    /// The environment.
    environment: Vec<Vec<u8>>,
}

/// What a guest did.
pub struct Outcome {
    /// From before the provider was told to start it until its first output.
    pub first_output: Option<Duration>,
    /// What it wrote to its standard output.
    pub output: String,
    /// How it ended.
    pub end: End,
}

/// Where a guest's complaints go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Complaints {
    /// To standard error.
    Shown,
    /// Nowhere: the guest is expected to fail.
    Hidden,
}

fn say(text: &str) {
    eprintln!("bench: {text}");
}

impl Bench {
    /// In the home that the environment asks for.
    pub fn new() -> Result<Self> {
        Ok(Self { home: Home::from_environment()? })
    }

    /// The kernel of a platform, built if need be.
    pub fn kernel(&self, platform: Platform) -> Result<Kernel> {
        Ok(Kernel::installed(&self.home, platform, &say)?)
    }

    /// The root of `program`, with `include` in it; the command is the program without
    /// arguments.
    pub fn prepare(&self, program: &Path, include: &[PathBuf]) -> Result<Prepared> {
        let source = Source::open(program.as_os_str(), &[], include, &self.home, &say)?;
        let root = source.root(&self.home, &say)?;
        let command = vec![root.program.to_string_lossy().into_owned()];
        Ok(Prepared { root, command, environment: source.settings.environment })
    }
}

impl Prepared {
    /// What the guest is told.
    pub fn configuration(&self, limits: Limits) -> Configuration {
        let bytes = |text: &String| text.as_bytes().to_vec();
        Configuration {
            program: self.command.first().map(bytes).unwrap_or_default(),
            arguments: self.command.iter().map(bytes).collect(),
            environment: self.environment.clone(),
            user: self.root.user,
            limits,
            ..Configuration::default()
        }
    }

    /// The same root with another command.
    pub fn with(&self, command: &[&str]) -> Self {
        Self {
            root: self.root.clone(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            environment: self.environment.clone(),
        }
    }

    /// Bytes of the root image.
    pub fn size(&self) -> Result<u64> {
        Ok(self.root.open()?.metadata().context("cannot read the root image")?.len())
    }
}

/// Runs a guest to its end.
pub fn run(
    provider: &dyn Provider,
    kernel: &Kernel,
    prepared: &Prepared,
    limits: Limits,
    complaints: Complaints,
) -> Result<Outcome> {
    let (mut output, guest_output) = std::io::pipe().context("cannot create a pipe")?;
    let error: OwnedFd = match complaints {
        Complaints::Shown => {
            use std::os::fd::AsFd;
            std::io::stderr().as_fd().try_clone_to_owned().context("cannot copy a stream")?
        }
        Complaints::Hidden => {
            File::options().write(true).open("/dev/null").context("cannot open /dev/null")?.into()
        }
    };
    let launch = Launch {
        kernel: kernel.clone(),
        configuration: prepared.configuration(limits),
        root: Some(prepared.root.open()?),
        streams: Streams { input: None, output: guest_output.into(), error, trace: None },
        gdb: None,
    };
    let options =
        Options { timeout: Some(LONGEST), level: Level::Error, signals: None, is_raw: false };
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        let mut byte = [0];
        let first = match output.read(&mut byte) {
            Ok(1) => Some(Instant::now()),
            _ => None,
        };
        text.extend(first.map(|_| byte[0]));
        output.read_to_end(&mut text).map(|_| (first, text))
    });
    let start = Instant::now();
    let end = provider.start(launch).and_then(|instance| attach(instance, &options));
    let Ok(read) = reader.join() else { bail!("the reader of the output panicked") };
    let (first, text) = read.context("cannot read the guest's output")?;
    Ok(Outcome {
        first_output: first.map(|first| first - start),
        output: String::from_utf8_lossy(&text).into_owned(),
        end: end?,
    })
}

/// Runs a guest that must end well, and gives its output.
pub fn must_run(
    provider: &dyn Provider,
    kernel: &Kernel,
    prepared: &Prepared,
    limits: Limits,
) -> Result<Outcome> {
    let outcome = run(provider, kernel, prepared, limits, Complaints::Shown)?;
    if outcome.end != End::Exited(0) {
        bail!(
            "{} on {} ended with {:?} and printed {:?}",
            prepared.command.join(" "),
            provider.name(),
            outcome.end,
            outcome.output
        );
    }
    Ok(outcome)
}

/// The path of a program in the root, given its path on this host.
pub fn path_in_root(program: &Path) -> String {
    String::from_utf8_lossy(program.as_os_str().as_bytes()).into_owned()
}

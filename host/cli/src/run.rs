//! `drupe run`.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use abi_guest::{Limits, Trace};
use abi_report::Level;
use anyhow::{Context, Result};
use clap::{ArgAction, Args, ValueEnum};
use drupe_engine::attach::{End, Options, attach};
use drupe_engine::provider::{Machine, Process, Provider, Qemu, Streams, check};
use drupe_engine::{Configuration, Home, Kernel, Launch};

/// Run a program as a unikernel
#[derive(Args)]
pub struct Run {
    /// What the guest runs on
    #[arg(long, value_enum, default_value_t = ProviderName::Process)]
    provider: ProviderName,

    /// Machine type for qemu
    #[arg(long, value_enum)]
    machine: Option<MachineName>,

    /// Memory of the guest, such as 64M or 1G
    #[arg(short, long, value_name = "SIZE", default_value = "256M", value_parser = parse_size)]
    memory: u64,

    /// Number of virtual CPUs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    cpus: u32,

    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,

    /// End the program after this time, such as 10, 500ms or 2m
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    timeout: Option<Duration>,

    /// Kernel to use instead of the installed one
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// Show every system call of the program
    #[arg(long)]
    strace: bool,

    /// Wait for a debugger on this TCP port
    #[arg(long, value_name = "PORT")]
    gdb: Option<u16>,

    /// Say more; twice for everything
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,

    /// What to run, and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "TARGET"
    )]
    target: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ProviderName {
    Process,
    Qemu,
}

#[derive(Clone, Copy, ValueEnum)]
enum MachineName {
    Microvm,
    Q35,
}

impl Run {
    /// Runs the target and returns its exit status.
    pub fn execute(self) -> Result<u8> {
        let home = Home::from_environment()?;
        let provider = self.provider();
        if self.verbose > 0 {
            eprintln!("drupe: {}: {}", provider.name(), provider.probe()?);
        }
        let kernel = match &self.kernel {
            Some(file) => Kernel::from_file(file)?,
            None => {
                Kernel::installed(&home, provider.platform(), &|text| eprintln!("drupe: {text}"))?
            }
        };
        let launch = Launch {
            kernel,
            configuration: self.configuration(),
            root: None,
            streams: self.streams()?,
            gdb: self.gdb,
        };
        check(provider.as_ref(), &launch)?;
        let signals = drupe_sys::Signals::block(&[1, 2, 15]).context("cannot receive signals")?;
        let instance = provider.start(launch)?;
        let options =
            Options { timeout: self.timeout, level: self.level(), signals: Some(&signals) };
        Ok(match attach(instance, &options)? {
            End::Exited(status) => status as u8,
            End::Interrupted(signal) => 128 + signal as u8,
            End::TimedOut => {
                eprintln!("drupe: the time is over");
                124
            }
            End::Panicked => crate::FAILED,
        })
    }

    fn provider(&self) -> Box<dyn Provider> {
        match self.provider {
            ProviderName::Process => Box::new(Process),
            ProviderName::Qemu => Box::new(Qemu {
                machine: match self.machine {
                    Some(MachineName::Q35) => Machine::Q35,
                    _ => Machine::Microvm,
                },
            }),
        }
    }

    fn configuration(&self) -> Configuration {
        let program = self.target.first().cloned().unwrap_or_default().into_vec();
        Configuration {
            arguments: self.target.iter().map(|argument| argument.clone().into_vec()).collect(),
            program,
            limits: Limits { memory: self.memory, cpus: self.cpus },
            trace: Trace { syscalls: self.strace, log_level: self.level() as u8 },
            ..Configuration::default()
        }
    }

    fn level(&self) -> Level {
        Level::from_number(self.verbose.saturating_add(1))
    }

    fn streams(&self) -> Result<Streams> {
        let copy = |descriptor: std::os::fd::BorrowedFd<'_>| {
            descriptor.try_clone_to_owned().context("cannot use a standard stream")
        };
        Ok(Streams {
            input: self.interactive.then(|| copy(std::io::stdin().as_fd())).transpose()?,
            output: copy(std::io::stdout().as_fd())?,
            error: copy(std::io::stderr().as_fd())?,
        })
    }
}

/// Bytes from `64M`, `1G`, `512k` or a plain number.
fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let shift = match text[digits.len()..]
        .to_ascii_lowercase()
        .trim_end_matches("ib")
        .trim_end_matches('b')
    {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err("write a size as 64M or 1G".to_owned()),
    };
    let number: u64 = digits.parse().map_err(|_| "write a size as 64M or 1G".to_owned())?;
    let bytes = number.checked_mul(1 << shift).ok_or("that is more than any machine has")?;
    if bytes < 1 << 20 {
        return Err("a guest needs at least 1M".to_owned());
    }
    Ok(bytes)
}

/// A time from `10`, `10s`, `500ms`, `2m` or `1h`.
fn parse_time(text: &str) -> std::result::Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().map_err(|_| "write a time as 10, 500ms or 2m".to_owned())?;
    let seconds = match &text[digits.len()..] {
        "" | "s" => number,
        "ms" => number / 1000.0,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err("write a time as 10, 500ms or 2m".to_owned()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| "a time is a positive number".to_owned())
}

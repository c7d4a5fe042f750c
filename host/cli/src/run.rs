//! `drupe run`.

use std::ffi::OsString;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use abi_guest::{Limits, Terminal, Trace};
use abi_report::Level;
use anyhow::{Context, Result};
use clap::{ArgAction, Args, ValueEnum};
use drupe_engine::attach::{End, Options, attach};
use drupe_engine::provider::{Capability, Machine, Process, Provider, Qemu, Streams, check};
use drupe_engine::{Configuration, Error, Home, Kernel, Launch, Root, Settings, Source};

use crate::values::{parse_size, parse_time, variables};
use crate::{gdb, terminal};

/// A terminal that goes away, Ctrl-C, a question what the guest does, a polite end, a terminal that
/// changes its size.
const SIGNALS: &[i32] = &[1, 2, 3, 15, drupe_engine::attach::WINDOW_CHANGED];

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

    /// Set a variable for the program; a name alone takes drupe's value
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    env: Vec<OsString>,

    /// Read variables from a file, one NAME=VALUE per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,

    /// Directory that the program starts in
    #[arg(short, long, value_name = "PATH")]
    workdir: Option<String>,

    /// Keep standard input open
    #[arg(short, long)]
    interactive: bool,

    /// Give the program a terminal
    #[arg(short, long)]
    tty: bool,

    /// Add a file or folder of the host at its place
    #[arg(long, value_name = "PATH")]
    include: Vec<PathBuf>,

    /// End the program after this time, such as 10, 500ms or 2m
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    timeout: Option<Duration>,

    /// Kernel to use instead of the installed one
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// Show every system call of the program, or write them to a file
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    strace: Option<Option<PathBuf>>,

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
        let progress = crate::progress;
        if self.tty && self.interactive && !std::io::stdin().is_terminal() {
            let error = Error::new("standard input is no terminal, as -it needs it");
            return Err(error.hint("leave out -t, or start drupe in a terminal").into());
        }
        let provider = self.provider();
        check(provider.as_ref(), self.memory, &self.capabilities())?;
        if let Some(port) = self.gdb {
            gdb::check_port(port)?;
        }
        if self.verbose > 0 {
            eprintln!("drupe: {}: {}", provider.name(), provider.probe()?);
        }
        let Some((target, arguments)) = self.target.split_first() else {
            return Ok(crate::FAILED);
        };
        let mut source = Source::open(target, arguments, &self.include, &home, &progress)?;
        for variable in self.variables()? {
            source.settings.set_variable(variable);
        }
        // Before anything takes long: it may not be writable.
        let strace = self.strace_file()?;
        let root = source.root(&home, &progress)?;
        let kernel = match &self.kernel {
            Some(file) => Kernel::from_file(file)?,
            None => Kernel::installed(&home, provider.platform(), &progress)?,
        };
        if let Some(port) = self.gdb {
            let script = gdb::write_script(&home, port, kernel.symbols(), source.program_file())?;
            eprintln!("drupe: waiting for a debugger: gdb -x {}", script.display());
        }
        let launch = Launch {
            kernel,
            configuration: self.configuration(&root, source.settings),
            root: Some(root.open()?),
            streams: self.streams(strace)?,
            gdb: self.gdb,
        };
        self.attach(provider.as_ref(), launch)
    }

    /// Starts the instance and stays until it ends.
    fn attach(&self, provider: &dyn Provider, launch: Launch) -> Result<u8> {
        let signals = drupe_sys::Signals::block(SIGNALS).context("cannot receive signals")?;
        let instance = provider.start(launch)?;
        // Without the keyboard Ctrl-C must keep its meaning.
        let raw = if self.tty && self.interactive {
            terminal::Raw::enter().context("cannot use the terminal")?
        } else {
            None
        };
        let options = Options {
            timeout: self.timeout,
            level: self.level(),
            signals: Some(&signals),
            is_raw: raw.is_some(),
        };
        let end = attach(instance, &options);
        drop(raw);
        Ok(match end? {
            End::Exited(status) => status as u8,
            End::Interrupted(signal) => 128 + signal as u8,
            End::TimedOut => {
                eprintln!("drupe: ended after {:?} (--timeout)", self.timeout.unwrap_or_default());
                124
            }
            End::Panicked => crate::FAILED,
        })
    }

    fn variables(&self) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        if self.tty {
            let term = std::env::var_os("TERM").unwrap_or_else(|| "xterm".into());
            found.push([b"TERM=", term.as_bytes()].concat());
        }
        found.extend(variables(&self.env_file, &self.env)?);
        Ok(found)
    }

    /// What the provider must be able to do.
    fn capabilities(&self) -> Vec<Capability> {
        let gdb = self.gdb.map(|_| Capability::Gdb);
        let machine = self.machine.map(|_| Capability::MachineType);
        gdb.into_iter().chain(machine).collect()
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

    fn configuration(&self, root: &Root, settings: Settings) -> Configuration {
        let program = root.program.as_os_str().as_bytes().to_vec();
        let mut arguments = vec![program.clone()];
        arguments.extend(settings.arguments);
        let terminal = self.tty.then(|| {
            let (rows, columns) = terminal::size().unwrap_or((24, 80));
            Terminal { rows, columns }
        });
        Configuration {
            program,
            arguments,
            environment: settings.environment,
            working_directory: self
                .workdir
                .clone()
                .unwrap_or(settings.working_directory)
                .into_bytes(),
            user: root.user,
            limits: Limits { memory: self.memory, cpus: self.cpus },
            terminal,
            input: self.interactive,
            trace: Trace { syscalls: self.strace.is_some(), log_level: self.level() as u8 },
            ..Configuration::default()
        }
    }

    fn level(&self) -> Level {
        Level::from_number(self.verbose.saturating_add(1))
    }

    /// Where traces go, if it is a file.
    fn strace_file(&self) -> Result<Option<File>> {
        let Some(Some(path)) = &self.strace else { return Ok(None) };
        let file = File::create(path);
        Ok(Some(file.with_context(|| format!("cannot write the trace to {}", path.display()))?))
    }

    fn streams(&self, strace: Option<File>) -> Result<Streams> {
        let copy = |descriptor: std::os::fd::BorrowedFd<'_>| {
            descriptor.try_clone_to_owned().context("cannot use a standard stream")
        };
        Ok(Streams {
            input: self.interactive.then(|| copy(std::io::stdin().as_fd())).transpose()?,
            output: copy(std::io::stdout().as_fd())?,
            error: copy(std::io::stderr().as_fd())?,
            trace: strace.map(Into::into),
        })
    }
}

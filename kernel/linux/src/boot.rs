//! From the configuration to the first program.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use hal::PhysAddr;
use tmpfs::{Limits as FileSystemLimits, Lower, Tmpfs};
use vfs::{
    Context, DeviceNumber, Final, MountFlags, Namespace, NewInode, NewKind, Resolve, Superblock,
};

use crate::error::Fail;
use crate::exec::{self, Start};
use crate::file::{self, FileContext};
use crate::frames::MEMORY;
use crate::process::{Identity, NewProcess, Process, next_pid};
use crate::signal::{ProcessSignals, ThreadSignals};
use crate::thread::{NewThread, Thread};
use crate::{control, procfs, random, report, syscall, system, terminal, time};

/// What the personality is told at the start.
pub struct Configuration {
    /// The root file system's image and its physical address.
    pub root: Option<(&'static [u8], PhysAddr)>,
    /// The program's path.
    pub program: Vec<u8>,
    /// Its arguments, the name that it is called by first.
    pub arguments: Vec<Vec<u8>>,
    /// Its environment.
    pub environment: Vec<Vec<u8>>,
    /// Its working directory.
    pub working_directory: Vec<u8>,
    /// The host name.
    pub host_name: Vec<u8>,
    /// User and group.
    pub user: (u32, u32),
    /// Seed of the random generator.
    pub seed: [u8; 32],
    /// Rows and columns of the terminal on the standard streams, if they are one.
    pub terminal: Option<(u16, u16)>,
    /// Whether the host sends standard input.
    pub input: bool,
    /// Whether to trace system calls.
    pub trace_syscalls: bool,
    /// Messages up to this level are reported.
    pub log_level: u8,
}

/// Exit codes for programs that do not start, as shells use them.
const CANNOT_RUN: i32 = 126;
const NOT_FOUND: i32 = 127;

/// Starts the first program. What goes wrong is reported and ends the guest.
pub fn start(configuration: Configuration) {
    report::set_level(configuration.log_level);
    if report::is_on(report::Level::Debug) {
        sched::measure_stacks();
    }
    random::seed(configuration.seed);
    system::set_host_name(&configuration.host_name);
    if configuration.trace_syscalls {
        syscall::trace_all();
    }
    if let Err((message, code)) = try_start(configuration) {
        report::log(report::Level::Error, &message);
        hal::exit(code);
    }
}

type Refusal = (String, i32);

fn refusal(what: &str, path: &[u8], fail: Fail) -> Refusal {
    let why = match fail {
        Fail::Errno(errno) => errno.message(),
        _ => "interrupted",
    };
    let code = if fail == Fail::Errno(errno::Errno::ENOENT) { NOT_FOUND } else { CANNOT_RUN };
    (format!("{what} {}: {why}", String::from_utf8_lossy(path)), code)
}

fn root_file_system(configuration: &Configuration) -> Result<Arc<Tmpfs>, Refusal> {
    let damaged = |_| ("the root file system's image is damaged".to_owned(), 125);
    match configuration.root {
        Some((bytes, physical)) => {
            let image = erofs::Image::new(bytes)
                .map_err(|_| ("the root file system's image is damaged".to_owned(), 125))?;
            let lower = Lower { image, phys: physical.0 };
            Tmpfs::over(&MEMORY, FileSystemLimits::NONE, lower).map_err(damaged)
        }
        None => {
            let root = NewInode { kind: NewKind::Directory, permissions: 0o755, uid: 0, gid: 0 };
            Ok(Tmpfs::new(&MEMORY, FileSystemLimits::NONE, &root, time::timestamp()))
        }
    }
}

fn new_tmpfs(permissions: u16) -> Arc<Tmpfs> {
    let root = NewInode { kind: NewKind::Directory, permissions, uid: 0, gid: 0 };
    Tmpfs::new(&MEMORY, FileSystemLimits::NONE, &root, time::timestamp())
}

/// Mounts a file system at a directory, which is made if it is missing.
fn mount(context: &Context<'_>, path: &[u8], superblock: Arc<Superblock>) -> Option<()> {
    let _ = context.make(None, path, NewKind::Directory, 0o755);
    let place = context.resolve(None, path, Final::Follow, Resolve::default()).ok()?;
    context.namespace.mount(&place, superblock, None, MountFlags::NONE).ok().map(drop)
}

/// `st_dev` of `/proc` and `/sys`.
const PROC_DEVICE: u64 = 20;
const SYS_DEVICE: u64 = 21;

/// Fills `/dev`, and mounts what the kernel tells about itself.
fn make_devices(context: &Context<'_>) {
    mount(context, b"/dev", Superblock::new(new_tmpfs(0o755), 5));
    let devices: [(&[u8], u32, u32); 7] = [
        (b"/dev/null", 1, 3),
        (b"/dev/zero", 1, 5),
        (b"/dev/full", 1, 7),
        (b"/dev/random", 1, 8),
        (b"/dev/urandom", 1, 9),
        (b"/dev/tty", 5, 0),
        (b"/dev/ptmx", 5, 2),
    ];
    for (path, major, minor) in devices {
        let _ = context.make(None, path, NewKind::CharDevice(DeviceNumber { major, minor }), 0o666);
    }
    let links: [(&[u8], &[u8]); 4] = [
        (b"/dev/fd", b"/proc/self/fd"),
        (b"/dev/stdin", b"/proc/self/fd/0"),
        (b"/dev/stdout", b"/proc/self/fd/1"),
        (b"/dev/stderr", b"/proc/self/fd/2"),
    ];
    for (path, target) in links {
        let _ = context.make(None, path, NewKind::Symlink(target), 0o777);
    }
    mount(context, b"/dev/pts", Superblock::new(new_tmpfs(0o755), 6));
    let _ = context.make(None, b"/dev/shm", NewKind::Directory, 0o1777);
    mount(context, b"/proc", Superblock::new(procfs::file_system(), PROC_DEVICE));
    mount(context, b"/sys", Superblock::new(procfs::sys_file_system(), SYS_DEVICE));
    let _ = context.make(None, b"/tmp", NewKind::Directory, 0o1777);
}

fn try_start(configuration: Configuration) -> Result<(), Refusal> {
    let root = root_file_system(&configuration)?;
    file::set_memory_files(new_tmpfs(0o700));
    let listener = Arc::new(file::Listener);
    let namespace = Namespace::new(Superblock::new(root, 1), MountFlags::NONE, Some(listener));
    let context = Arc::new(FileContext::new(namespace));
    let privileged = Identity::of(0, 0).checks;
    // Nothing that the system makes is subject to a umask.
    let umask = context.set_umask(0);
    context.with(&privileged, make_devices);
    let names = context.with(&privileged, |context| {
        context.resolve(None, b"/dev/pts", Final::Follow, Resolve::default())
    });
    if let Ok(names) = names {
        terminal::set_names(&context, names);
    }
    context.set_umask(umask);
    let (uid, gid) = configuration.user;
    let identity = Arc::new(Identity::of(uid, gid));
    let credentials = &identity.checks;
    let directory = context
        .with(credentials, |context| {
            context.resolve(
                None,
                &configuration.working_directory,
                Final::Follow,
                Resolve::default(),
            )
        })
        .map_err(|errno| refusal("cannot enter", &configuration.working_directory, errno.into()))?;
    context.set_cwd(directory);

    let program = configuration.program.clone();
    let prepared = context
        .with(credentials, |context| {
            let location = context.resolve(None, &program, Final::Follow, Resolve::default())?;
            exec::prepare(
                context,
                Start {
                    location,
                    name: program.clone(),
                    arguments: configuration.arguments,
                    environment: configuration.environment,
                },
            )
        })
        .map_err(|fail| refusal("cannot start", &program, fail))?;
    let no_memory =
        || ("no memory to start the program; give the guest more with --memory".to_owned(), 125);
    let pid = next_pid().ok_or_else(no_memory)?;
    let process = Process::new(NewProcess {
        pid,
        parent: Weak::new(),
        group: pid,
        session: pid,
        identity: Arc::clone(&identity),
        limits: Default::default(),
        signals: ProcessSignals::new(),
        executable: Some(prepared.executable()),
        exit_signal: 0,
    });
    let (memory, registers) = exec::load_into_new(&prepared, (&identity, false), |memory| {
        sched::set_space(Some(Arc::clone(&memory.space)));
    })
    .map_err(|_| no_memory())?;
    sched::set_space(None);
    let null = context.with(&privileged, |context| {
        context.resolve(None, b"/dev/null", Final::Follow, Resolve::default())
    });
    let (files, input) = control::streams(configuration.terminal, configuration.input, null.ok())
        .map_err(|_| no_memory())?;
    let mut name = [0; 16];
    let short = prepared.short_name();
    let length = short.len().min(15);
    name[..length].copy_from_slice(&short[..length]);
    let new = NewThread {
        tid: pid,
        process,
        files: Arc::new(files),
        context,
        memory,
        name,
        identity,
        policy: Default::default(),
        signals: ThreadSignals::new(0),
        clear_on_exit: 0,
    };
    let (_, task) = Thread::create(new, registers).ok_or_else(no_memory)?;
    control::start(input).ok_or_else(no_memory)?;
    task.begin();
    Ok(())
}

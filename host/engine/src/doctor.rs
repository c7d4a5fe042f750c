//! What this host can do for drupe, and what is in the way.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::home::Home;
use crate::provider;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Something works less well, or is missing that not everyone needs.
    Limited,
    /// Something that drupe needs is missing.
    Bad,
}

/// The result of looking at one thing.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do about it; empty when nothing.
    pub advice: &'static str,
}

/// Oldest Linux that the provider `process` works on.
const OLDEST_LINUX: (u32, u32) = (5, 11);

/// Bit of `AT_HWCAP2`: programs may set their own FS base.
const HWCAP2_FSGSBASE: usize = 2;

/// Looks at everything.
pub fn examine(home: &Home) -> Vec<Check> {
    vec![
        linux(),
        namespaces(),
        fs_base(),
        seccomp(),
        overcommit(),
        mappings(),
        qemu(),
        kvm(),
        data_folder(home),
        rust(),
        compiler(),
        debugger(),
        children(),
        packages(),
    ]
}

fn good(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, verdict: Verdict::Good, found: found.into(), advice: "" }
}

fn limited(name: &'static str, found: impl Into<String>, advice: &'static str) -> Check {
    Check { name, verdict: Verdict::Limited, found: found.into(), advice }
}

fn bad(name: &'static str, found: impl Into<String>, advice: &'static str) -> Check {
    Check { name, verdict: Verdict::Bad, found: found.into(), advice }
}

/// The trimmed text of a small file of the kernel's.
fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn linux() -> Check {
    let name = "Linux";
    let release = text("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= OLDEST_LINUX => good(name, release),
        _ => bad(name, release, "the provider process needs Linux 5.11 or later"),
    }
}

fn namespaces() -> Check {
    let name = "PID namespace";
    let program = drupe_sys::Program {
        executable: drupe_sys::Executable::Path(c"/bin/true".to_owned()),
        arguments: vec![c"true".to_owned()],
        environment: Vec::new(),
        descriptors: Vec::new(),
    };
    match program.spawn() {
        Ok(tree) if tree.is_isolated() => good(name, "available"),
        Ok(_) => limited(
            name,
            "not allowed: a guest's processes are tracked by their session instead",
            "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1",
        ),
        Err(error) => bad(name, error.to_string(), "raise the limit of processes (ulimit -u)"),
    }
}

/// Whether programs may set their own FS and GS bases: the processor and Linux allow it.
pub(crate) fn has_fs_base() -> bool {
    let (_, capabilities) = rustix::param::linux_hwcap();
    capabilities & HWCAP2_FSGSBASE != 0
}

fn fs_base() -> Check {
    if has_fs_base() {
        return good("FSGSBASE", "available");
    }
    bad("FSGSBASE", "missing: the provider process needs it", "use --provider qemu")
}

fn seccomp() -> Check {
    let name = "seccomp";
    let actions = text("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    if !actions.split_whitespace().any(|action| action == "trap") {
        return bad(name, "no filters", "the provider process needs CONFIG_SECCOMP_FILTER");
    }
    let status = text("/proc/self/status").unwrap_or_default();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim);
    match mode {
        Some("2") => limited(
            name,
            "filters available; drupe itself runs under one",
            "if guests fail, allow memfd_create, execveat, clone and seccomp in the outer filter",
        ),
        _ => good(name, "filters available"),
    }
}

fn overcommit() -> Check {
    let name = "overcommit";
    match text("/proc/sys/vm/overcommit_memory").as_deref() {
        Some("2") => limited(
            name,
            "strict: a guest's memory counts as used even when it is not",
            "sysctl vm.overcommit_memory=0, or give guests less memory (-m)",
        ),
        _ => good(name, "memory is given when it is used"),
    }
}

fn mappings() -> Check {
    let count = text("/proc/sys/vm/max_map_count").and_then(|text| text.parse::<u64>().ok());
    match count {
        Some(count) if count < 65_530 => {
            limited("mappings", format!("{count} per process"), "sysctl vm.max_map_count=65530")
        }
        Some(count) => good("mappings", format!("{count} per process")),
        None => limited("mappings", "unknown", ""),
    }
}

fn qemu() -> Check {
    let name = "QEMU";
    let advice = "for the provider qemu: install it (Debian: apt install qemu-system-x86)";
    match provider::find_qemu() {
        Err(error) => limited(name, error.to_string(), advice),
        Ok(path) => {
            let output = Command::new(&path).arg("--version").stdin(Stdio::null()).output();
            let version = output.ok().map(|output| {
                String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("").to_owned()
            });
            match version.filter(|version| !version.is_empty()) {
                Some(version) => good(name, version),
                None => limited(name, format!("{} does not run", path.display()), advice),
            }
        }
    }
}

fn kvm() -> Check {
    match provider::kvm_is_sound() {
        Ok(()) => good("KVM", "sound"),
        Err(reason) => limited("KVM", reason, "qemu emulates instead (TCG), which is slower"),
    }
}

fn data_folder(home: &Home) -> Check {
    let name = "data folder";
    match home.spool_check() {
        Ok(()) => {
            // A root image of a large program and two kernels take some hundred MiB.
            const ENOUGH: u64 = 1 << 30;
            let space = rustix::fs::statvfs(home.path());
            let free =
                space.map_or(u64::MAX, |space| space.f_bavail.saturating_mul(space.f_frsize));
            let found = format!("{}, {} MiB free", home.path().display(), free >> 20);
            if free < ENOUGH {
                let advice = "make room: drupe prune removes what can be made again";
                return limited(name, found, advice);
            }
            good(name, found)
        }
        Err(error) => bad(
            name,
            format!("{}: {error}", home.path().display()),
            "set DRUPE_HOME to a folder that drupe may write to",
        ),
    }
}

/// Whether `program` starts and ends well with `arguments`; its first line.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().unwrap_or("").to_owned())
}

fn rust() -> Check {
    match first_line("cargo", &["--version"]) {
        Some(version) => good("Rust", version),
        None => limited(
            "Rust",
            "no cargo",
            "needed to build kernels and Rust projects: https://rustup.rs",
        ),
    }
}

fn compiler() -> Check {
    let name = "C compiler";
    let Some(version) = first_line("cc", &["--version"]) else {
        return limited(
            name,
            "no cc",
            "needed for C projects (Debian: apt install build-essential)",
        );
    };
    let library = first_line("cc", &["-print-file-name=libc.a"]).unwrap_or_default();
    if Path::new(&library).is_absolute() {
        return good(name, version);
    }
    limited(name, format!("{version}; no static libc"), "C projects become dynamic programs")
}

fn debugger() -> Check {
    match first_line("gdb", &["--version"]) {
        Some(version) => good("debugger", version),
        None => limited("debugger", "no gdb", "needed for --gdb (Debian: apt install gdb)"),
    }
}

/// A kernel that hangs is asked what it does by way of this list.
fn children() -> Check {
    let own = std::process::id();
    if Path::new(&format!("/proc/self/task/{own}/children")).is_file() {
        return good("process lists", "available");
    }
    limited(
        "process lists",
        "/proc has no lists of children (CONFIG_PROC_CHILDREN)",
        "a guest of the provider process that hangs in its kernel cannot be asked why",
    )
}

fn packages() -> Check {
    let name = "package database";
    if Path::new("/var/lib/dpkg/status").is_file() {
        return good(name, "dpkg");
    }
    limited(
        name,
        "none of Debian's",
        "programs bring their shared libraries only; add more with --include",
    )
}

//! `cargo xtask setup`: installs what the tests need.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{check, on_path};

/// Programs, or files, that the tests use and the Debian packages that bring them.
pub const PROGRAMS: &[(&str, &str)] = &[
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("musl-gcc", "musl-tools"),
    ("fsck.erofs", "erofs-utils"),
    ("busybox", "busybox-static"),
    ("skopeo", "skopeo"),
    ("gdb", "gdb"),
    ("strace", "strace"),
    ("python3", "python3"),
    ("perl", "perl"),
    ("sqlite3", "sqlite3"),
    ("go", "golang-go"),
    ("gfortran", "gfortran"),
    ("escript", "erlang-base"),
    ("node", "nodejs"),
    ("java", "default-jre-headless"),
    ("/usr/lib/python3.11/test/test_os.py", "libpython3.11-testsuite"),
];

/// The Debian packages whose programs are missing.
pub fn missing() -> Vec<&'static str> {
    let is_there =
        |name: &str| if name.contains('/') { Path::new(name).exists() } else { on_path(name) };
    PROGRAMS.iter().filter(|(name, _)| !is_there(name)).map(|(_, package)| *package).collect()
}

/// Installs the missing packages with apt.
pub fn run() -> Result<()> {
    let packages = missing();
    if packages.is_empty() {
        println!("setup: everything is there");
        return Ok(());
    }
    if !on_path("apt-get") {
        bail!(
            "this needs Debian packages: {}; install their equivalents by hand",
            packages.join(" ")
        );
    }
    println!("setup: installing {}", packages.join(" "));
    check(&mut apt(&["update", "-q"]))?;
    let install = ["install", "-q", "-y", "--no-install-recommends"];
    let plain = check(apt(&install).args(&packages));
    if plain.is_ok() {
        return Ok(());
    }
    // A newer qemu-utils from backports conflicts with bookworm's qemu-system-x86.
    println!("setup: trying again with bookworm-backports");
    let list = "/etc/apt/sources.list.d/drupe-backports.list";
    check(root_command("sh").args([
        "-c",
        &format!("echo 'deb http://deb.debian.org/debian bookworm-backports main' > {list}"),
    ]))?;
    check(&mut apt(&["update", "-q"]))?;
    check(apt(&install).args(["-t", "bookworm-backports"]).args(&packages))
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| {
        use std::os::unix::fs::MetadataExt;
        metadata.uid() == 0
    })
}

fn root_command(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg(program);
    command
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = root_command("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
    command
}

//! The C programs, and drupe itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The root of the checkout.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or_else(|| manifest.to_path_buf(), Path::to_path_buf)
}

/// Where everything that is made here goes.
pub fn folder() -> Result<PathBuf> {
    let folder = root().join("target/bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Runs a command; what it prints is shown when it fails.
pub fn check(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn compile(name: &str, sources: &[&str], options: &[&str]) -> Result<PathBuf> {
    let output = folder()?.join(name);
    let mut command = Command::new("cc");
    command.current_dir(root()).args(["-O2", "-Wall"]).args(options).arg("-o").arg(&output);
    check(command.args(sources)).context("a C compiler is needed")?;
    Ok(output)
}

/// The static hello.
pub fn hello() -> Result<PathBuf> {
    compile("hello", &["bench/hello.c"], &["-static"])
}

/// The program whose figures are compared, static.
pub fn program() -> Result<PathBuf> {
    let sources = ["main", "calls", "memory", "threads", "processes"]
        .map(|name| format!("bench/linux/{name}.c"));
    compile("program", &sources.each_ref().map(String::as_str), &["-static", "-pthread"])
}

/// The guest that only says hello.
pub fn stub() -> Result<PathBuf> {
    let options =
        ["-nostdlib", "-static", "-no-pie", "-Wl,-T,bench/stub/stub.ld", "-Wl,--build-id=none"];
    compile("stub", &["bench/stub/stub.S"], &options)
}

/// The program that executes the hosted kernel with nothing around it.
pub fn launcher() -> Result<PathBuf> {
    compile("launch", &["bench/hosted/launch.c"], &[])
}

/// The first process of the Linux guest with KVM.
pub fn nested_init() -> Result<PathBuf> {
    compile("nested-init", &["bench/nested/init.c"], &["-static"])
}

/// The command `drupe`, which `cargo xtask bench` has built.
pub fn drupe() -> Result<PathBuf> {
    let drupe = root().join("target/release/drupe");
    if !drupe.exists() {
        bail!("{} is not there: run this as `cargo xtask bench`", drupe.display());
    }
    Ok(drupe)
}

//! Debian's Linux as a guest: its cloud kernel, with a program as the first process.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::build::{check, folder};

/// The package that depends on the newest cloud kernel.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// The longest that a guest may take.
const LONGEST: Duration = Duration::from_secs(600);

/// A Linux guest that runs one program and powers off.
pub struct Guest {
    kernel: PathBuf,
    initramfs: PathBuf,
    /// What QEMU is told of the machine.
    machine: &'static [&'static str],
}

/// The strongest peer: one virtual CPU, as the guest of drupe has.
const PEER: &[&str] = &["-cpu", "max", "-m", "256M", "-smp", "1"];

impl Guest {
    /// Debian's kernel, downloaded at the first use, with `program` as its first process.
    pub fn new(program: &Path) -> Result<Self> {
        Self::with_files("initramfs", &[("init".to_owned(), program.to_owned())], PEER)
    }

    /// A guest with these files (path without the first slash, file on this host), `init` among
    /// them. `name` is the archive's; `machine` are options for QEMU.
    pub fn with_files(
        name: &str,
        files: &[(String, PathBuf)],
        machine: &'static [&'static str],
    ) -> Result<Self> {
        let kernel = kernel()?;
        let initramfs = folder()?.join(name);
        let mut contents = Vec::new();
        for (inside, path) in files {
            let bytes =
                fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            contents.push((inside.as_str(), bytes));
        }
        fs::write(&initramfs, archive(&contents)).context("cannot write the initramfs")?;
        Ok(Self { kernel, initramfs, machine })
    }

    /// Boots it, and gives what the program printed.
    pub fn run(&self) -> Result<String> {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        // A machine with ACPI, without which Linux cannot power off.
        qemu.args(["-machine", "q35", "-accel", "tcg"]).args(self.machine);
        qemu.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initramfs);
        qemu.args(["-append", "console=ttyS0 quiet mitigations=off tsc=reliable panic=-1"]);
        qemu.args(["-serial", "stdio"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = qemu.spawn().context("cannot start QEMU (cargo xtask setup)")?;
        let Some(mut output) = child.stdout.take() else { bail!("QEMU has no output") };
        let reader = std::thread::spawn(move || {
            let mut text = Vec::new();
            output.read_to_end(&mut text).map(|_| text)
        });
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().context("cannot wait for QEMU")? {
                break status;
            }
            if start.elapsed() > LONGEST {
                let _ = child.kill();
                let _ = child.wait();
                bail!("Linux did not end within {LONGEST:?}");
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let Ok(text) = reader.join() else { bail!("the reader of the output panicked") };
        let text =
            String::from_utf8_lossy(&text.context("cannot read QEMU's output")?).into_owned();
        if !status.success() {
            bail!("QEMU with Linux ended with {status}: {text}");
        }
        Ok(text)
    }
}

/// The kernel's file: from the unpacked package, which is downloaded when it is missing.
fn kernel() -> Result<PathBuf> {
    let unpacked = folder()?.join("debian");
    let find = || -> Option<PathBuf> {
        let entries = fs::read_dir(unpacked.join("boot")).ok()?;
        let paths = entries.flatten().map(|entry| entry.path());
        paths.filter(|path| path.to_string_lossy().contains("/vmlinuz-")).max()
    };
    if let Some(kernel) = find() {
        return Ok(kernel);
    }
    let depends = check(Command::new("apt-cache").args(["depends", PACKAGE]))
        .context("Debian's cloud kernel is needed, and apt to get it")?;
    let Some(package) = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(|name| name.starts_with("linux-image-"))
    else {
        bail!("apt knows no {PACKAGE}: run apt-get update");
    };
    let packages = folder()?.join("packages");
    fs::create_dir_all(&packages).context("cannot create a folder")?;
    eprintln!("bench: downloading {package}");
    check(Command::new("apt-get").current_dir(&packages).args(["-q", "download", package]))?;
    let archive = fs::read_dir(&packages)?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().contains(package));
    let Some(archive) = archive else { bail!("apt downloaded no {package}") };
    check(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))?;
    find().with_context(|| format!("{package} has no kernel in it"))
}

/// A module of the kernel, by its file's name.
pub fn module(name: &str) -> Result<PathBuf> {
    kernel()?;
    let mut folders = vec![folder()?.join("debian/lib/modules")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)?.flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() == name {
                return Ok(entry.path());
            }
        }
    }
    bail!("Debian's kernel has no module {name}")
}

/// A cpio archive ("newc", as in the kernel's documentation of initramfs buffers) of executable
/// files, and of the folders that they are in.
fn archive(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut folders = BTreeSet::from(["dev", "etc", "proc", "sys", "tmp"]);
    for (name, _) in files {
        folders.extend(name.match_indices('/').map(|(end, _)| &name[..end]));
    }
    let none: &[u8] = &[];
    let members = folders
        .iter()
        .map(|name| (*name, 0o40_755, none))
        .chain(files.iter().map(|(name, content)| (*name, 0o100_755, content.as_slice())))
        .chain([("TRAILER!!!", 0, none)]);
    let mut bytes = Vec::new();
    for (number, (name, mode, content)) in members.enumerate() {
        let (length, name_length) = (content.len() as u32, name.len() as u32 + 1);
        let fields = [number as u32 + 1, mode, 0, 0, 1, 0, length, 0, 0, 0, 0, name_length, 0];
        bytes.extend(b"070701");
        for field in fields {
            bytes.extend(format!("{field:08x}").bytes());
        }
        bytes.extend(name.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::archive;

    #[test]
    fn an_archive_has_files_and_their_folders() {
        let bytes = archive(&[("init", b"hello".to_vec()), ("usr/bin/x", Vec::new())]);
        assert!(bytes.starts_with(b"070701") && bytes.len().is_multiple_of(4));
        let at = |name: &[u8]| bytes.windows(name.len()).position(|window| window == name);
        let places = [at(b"usr\0"), at(b"usr/bin\0"), at(b"usr/bin/x\0"), at(b"TRAILER!!!\0")];
        assert!(places.iter().all(Option::is_some) && places.is_sorted());
    }
}

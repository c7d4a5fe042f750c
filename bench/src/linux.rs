//! Debian's Linux as a guest: its cloud kernel, with a program as the first process.

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
}

impl Guest {
    /// Debian's kernel, downloaded at the first use, with `program` as its first process.
    pub fn new(program: &Path) -> Result<Self> {
        let kernel = kernel()?;
        let initramfs = folder()?.join("initramfs");
        let bytes =
            fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
        fs::write(&initramfs, archive(&[("init", 0o100_755, &bytes)]))
            .context("cannot write the initramfs")?;
        Ok(Self { kernel, initramfs })
    }

    /// Boots it, and gives what the program printed.
    pub fn run(&self) -> Result<String> {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        // The machine that a guest of drupe gets, with ACPI, without which Linux cannot power
        // off; the kernel without mitigations: the strongest peer.
        qemu.args(["-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256M", "-smp", "1"]);
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

/// A cpio archive ("newc", as in the kernel's documentation of initramfs buffers) of files:
/// name, mode, content.
fn archive(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let trailer: [(&str, u32, &[u8]); 1] = [("TRAILER!!!", 0, &[])];
    for (number, (name, mode, content)) in files.iter().chain(&trailer).enumerate() {
        let fields = [
            number as u32 + 1,
            *mode,
            0,
            0,
            1,
            0,
            content.len() as u32,
            0,
            0,
            0,
            0,
            name.len() as u32 + 1,
            0,
        ];
        bytes.extend(b"070701");
        for field in fields {
            bytes.extend(format!("{field:08x}").bytes());
        }
        bytes.extend(name.bytes());
        bytes.push(0);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(*content);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::archive;

    #[test]
    fn an_archive_is_read_by_cpio() {
        let bytes = archive(&[("init", 0o100_755, b"hello"), ("data", 0o100_644, b"")]);
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[110..115], b"init\0");
        assert!(bytes.len().is_multiple_of(4));
        let end = b"TRAILER!!!";
        assert!(bytes.windows(end.len()).any(|window| window == end));
    }
}

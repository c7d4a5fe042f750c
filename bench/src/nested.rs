//! The kernel for virtual machines on KVM: a Linux guest under TCG has a KVM that behaves as on
//! bare hardware, whatever this host's is like. Inside, drupe runs as a user would run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use drupe_engine::Platform;

use crate::build::{self, check};
use crate::guest::Bench;
use crate::linux::{Guest, module};

/// Without XSAVE: QEMU 7.2 lets a guest of its SVM change XCR0 behind KVM's back.
const MACHINE: &[&str] = &["-cpu", "max,+svm,-xsave", "-m", "1024M", "-smp", "2"];

/// What runs inside, each with what it must print.
const COMMANDS: &[(&str, &str)] = &[
    ("-v --cpus 1 /hello", "with KVM\nhello\n"),
    ("-v --cpus 2 /hello", "with KVM\nhello\n"),
    ("--cpus 2 /bin/busybox sleep 0.1", ""),
    ("--cpus 2 /program bad-descriptor thread futex", "futex "),
];

/// What QEMU loads for the machines that the provider knows.
const FIRMWARE: &[&str] = &["bios-microvm.bin", "qboot.rom", "pvh.bin", "kvmvapic.bin"];

/// Runs it.
pub fn run() -> Result<()> {
    let folder = build::folder()?;
    let commands: String = COMMANDS
        .iter()
        .map(|(command, _)| {
            format!("/usr/bin/drupe run --provider qemu --kernel /kernel -m 64M --timeout 300 {command}\n")
        })
        .collect();
    let (commands_file, kernel_file) = (folder.join("commands"), folder.join("kernel-vm"));
    fs::write(&commands_file, commands).context("cannot write the commands")?;
    fs::write(&kernel_file, Bench::new()?.kernel(Platform::Vm)?.read()?)
        .context("cannot write the kernel")?;
    let mut files: Vec<(String, PathBuf)> = vec![
        ("init".to_owned(), build::nested_init()?),
        ("commands".to_owned(), commands_file),
        ("kernel".to_owned(), kernel_file),
        ("hello".to_owned(), build::hello()?),
        ("program".to_owned(), build::program()?),
        ("bin/busybox".to_owned(), PathBuf::from("/bin/busybox")),
    ];
    for name in ["irqbypass.ko", "kvm.ko", "kvm-amd.ko"] {
        files.push((name.to_owned(), module(name)?));
    }
    for name in FIRMWARE {
        let found = ["/usr/share/qemu", "/usr/share/seabios"]
            .map(|folder| Path::new(folder).join(name))
            .into_iter()
            .find(|path| path.exists());
        files.extend(found.map(|path| (format!("usr/share/qemu/{name}"), path)));
    }
    with_libraries(&build::drupe()?, "usr/bin/drupe", &mut files)?;
    let qemu = Path::new("/usr/bin/qemu-system-x86_64");
    with_libraries(qemu, "usr/bin/qemu-system-x86_64", &mut files)?;
    let output = Guest::with_files("initramfs-nested", &files, MACHINE)?.run()?;
    judge(&output.replace('\r', ""))
}

/// Adds a dynamic program and its libraries.
fn with_libraries(program: &Path, place: &str, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    files.push((place.to_owned(), program.to_owned()));
    for line in check(Command::new("ldd").arg(program))?.lines() {
        let Some(path) = line.split_whitespace().find(|word| word.starts_with('/')) else {
            continue;
        };
        let place = path.trim_start_matches('/').to_owned();
        if files.iter().all(|(other, _)| *other != place) {
            files.push((place, PathBuf::from(path)));
        }
    }
    Ok(())
}

/// Whether every command ended well and printed what it must.
fn judge(output: &str) -> Result<()> {
    let mut rest = output;
    for (command, wanted) in COMMANDS {
        let passed = rest.split_once("status ").and_then(|(printed, after)| {
            let (status, after) = after.split_once('\n')?;
            rest = after;
            (status.starts_with("0: ") && printed.contains(wanted)).then_some(())
        });
        if passed.is_none() {
            bail!("`drupe run {command}` failed under KVM; all that was printed:\n{output}");
        }
        println!("nested KVM: drupe run {command}: passed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::judge;

    const GOOD: &str = "qemu with KVM\nhello\nstatus 0: a\nqemu with KVM\nhello\nstatus 0: b\n\
        status 0: c\nfutex 12\nend\nstatus 0: d\nend\n";

    #[test]
    fn every_command_must_end_well() {
        assert!(judge(GOOD).is_ok());
        assert!(judge(&GOOD.replace("status 0: c", "status 1: c")).is_err());
        assert!(judge(&GOOD.replacen("KVM", "TCG", 1)).is_err());
        assert!(judge(GOOD.split_once("futex").unwrap().0).is_err());
    }
}

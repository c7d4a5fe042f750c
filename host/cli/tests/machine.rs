//! The provider `qemu`, with a few instructions in place of a kernel.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Ended, Place};

/// Assembles the guest; `None` without QEMU to run it on, which `cargo xtask test` reports.
fn guest(place: &Place) -> Option<std::path::PathBuf> {
    Command::new("qemu-system-x86_64").arg("--version").output().ok()?;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let guest = place.path("machine");
    let built = Command::new("cc")
        .args(["-nostdlib", "-static", "-no-pie", "-Wl,--build-id=none", "-T"])
        .arg(sources.join("machine.ld"))
        .arg(sources.join("machine.s"))
        .arg("-o")
        .arg(&guest)
        .status()
        .expect("a C compiler");
    assert!(built.success());
    Some(guest)
}

#[test]
fn streams_input_and_status_pass_through_a_machine() {
    let place = Place::new();
    let Some(guest) = guest(&place) else { return };
    for machine in ["microvm", "q35"] {
        let mut child = place
            .drupe()
            .args(["run", "--provider", "qemu", "--timeout", "60", "-i", "--machine", machine])
            .arg("--kernel")
            .args([&guest, &guest])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(b"Z").unwrap();
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(5), "{machine}: {ended:?}");
        assert_eq!(ended.output, "serial\nZ", "{machine}: {ended:?}");
        assert_eq!(ended.error, "framed\n", "{machine}: {ended:?}");
    }
}

#[test]
fn what_cannot_boot_is_refused() {
    let place = Place::new();
    let Some(guest) = guest(&place) else { return };
    let target = place.guest("status.c");
    let kernel = place.file("no-kernel", "not a kernel at all ".repeat(100));
    let ended = place.run(&[
        "run",
        "--provider",
        "qemu",
        "--timeout",
        "60",
        "--kernel",
        kernel.to_str().unwrap(),
        target.to_str().unwrap(),
    ]);
    ended.fails(125, &["is no ELF file"]);
    let guest = guest.to_str().unwrap();
    let small = ["run", "--provider", "qemu", "--kernel", guest, "-m", "1M"];
    place.run(&[&small[..], &[target.to_str().unwrap()]].concat()).fails(125, &["at least 3M"]);
}

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
        let mut lines: Vec<&str> = ended.output.lines().collect();
        // Two channels: their order is not defined.
        lines.sort_unstable();
        assert_eq!(lines.concat().replace("Z", ""), "framedserial", "{machine}: {ended:?}");
        assert!(ended.output.contains('Z'), "{machine}: {ended:?}");
    }
}

#[test]
fn what_qemu_complains_about_is_shown() {
    let place = Place::new();
    if guest(&place).is_none() {
        return;
    }
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
    assert_eq!(ended.code, Some(125), "{ended:?}");
    assert!(ended.error.contains("qemu"), "{ended:?}");
}

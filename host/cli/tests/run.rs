//! Running guests on the provider `process`, with small programs in place of a kernel.

mod common;

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

use abi_guest::Config;
use common::{Ended, Place};

#[test]
fn status_and_streams_pass_through() {
    let place = Place::new();
    let kernel = place.guest("status.c");
    let kernel = kernel.to_str().unwrap();
    let ended = place.run(&["run", "--kernel", kernel, kernel]);
    assert_eq!(ended.code, Some(7), "{ended:?}");
    assert_eq!(ended.output, "direct\nframed\n");
    assert_eq!(ended.error, "complaint\ndrupe: kernel: a warning\n");
    let verbose = place.run(&["run", "-vv", "--kernel", kernel, kernel]);
    assert!(verbose.error.contains("kernel: a detail"), "{verbose:?}");
}

#[test]
fn all_settings_are_in_the_module() {
    let place = Place::new();
    let kernel = place.guest("module.c");
    let variables = place.file("variables", "# comment\nFROM_FILE=1\nLATER=file\n");
    let output = place
        .drupe()
        .env("FROM_HOST", "seen")
        .args(["run", "-m", "64M", "--cpus", "3", "-e", "FROM_HOST", "-e", "LATER=flag"])
        .args(["-w", "/tmp", "--strace", "--env-file"])
        .arg(variables)
        .arg("--kernel")
        .args([&kernel, &kernel])
        .args(["-e", "two words", "--memory"])
        .output()
        .unwrap();
    let config = Config::parse(&output.stdout).unwrap();
    let program = kernel.to_str().unwrap().as_bytes();
    assert_eq!(config.program, program);
    let arguments: Vec<&[u8]> = config.arguments().collect();
    assert_eq!(arguments, [program, b"-e", b"two words", b"--memory"]);
    let environment: Vec<&[u8]> = config.environment().collect();
    for variable in [&b"FROM_HOST=seen"[..], b"FROM_FILE=1", b"LATER=flag", b"HOME=/root"] {
        assert!(environment.contains(&variable), "{variable:?} in {environment:?}");
    }
    assert!(!environment.contains(&&b"LATER=file"[..]));
    assert_eq!((config.limits.memory, config.limits.cpus), (64 << 20, 3));
    assert_eq!(config.working_directory, b"/tmp");
    assert!(config.trace.syscalls && config.terminal.is_none());
    assert_ne!(config.seed, [0; 32]);
    let root = config.roots().next().unwrap();
    let abi_guest::RootSource::Module { offset, length } = root.source else { panic!("{root:?}") };
    let image = &output.stdout[offset as usize..][..length as usize];
    erofs::Image::new(image).unwrap();
}

#[test]
fn standard_input_is_attached_only_when_asked_for() {
    let place = Place::new();
    let kernel = place.guest("echo.c");
    for (flags, expected) in [(&["-i"][..], "some input"), (&[], "")] {
        let mut child = place
            .drupe()
            .arg("run")
            .args(flags)
            .arg("--kernel")
            .arg(&kernel)
            .arg(&kernel)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"some input");
        let ended = Ended::from(child.wait_with_output().unwrap());
        assert_eq!((ended.code, ended.output.as_str()), (Some(0), expected));
    }
}

#[test]
fn a_guest_that_hangs_is_ended_and_leaves_nobody() {
    let place = Place::new();
    let kernel = place.guest("hang.c");
    let kernel = kernel.to_str().unwrap();
    // The output would not end if a process of the guest were left.
    let ended = place.run(&["run", "--timeout", "200ms", "--kernel", kernel, kernel]);
    assert_eq!((ended.code, ended.output.as_str()), (Some(124), "up\n"), "{ended:?}");
    assert!(ended.error.contains("--timeout"));
}

/// Starts a guest, sends `signal` to drupe, and returns how drupe ended when all
/// processes are gone.
fn interrupted_by(signal: i32, guest: &str) -> std::process::ExitStatus {
    let place = Place::new();
    let kernel = place.guest(guest);
    let mut child = place
        .drupe()
        .args(["run", "--kernel"])
        .args([&kernel, &kernel])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut up = [0; 3];
    output.read_exact(&mut up).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
    let start = Instant::now();
    output.read_to_end(&mut Vec::new()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(20));
    child.wait().unwrap()
}

#[test]
fn interrupting_ends_the_guest() {
    assert_eq!(interrupted_by(2, "hang.c").code(), Some(130));
    assert_eq!(interrupted_by(15, "hang.c").code(), Some(143));
}

#[test]
fn a_guest_that_listens_gets_the_signal() {
    assert_eq!(interrupted_by(2, "listen.c").code(), Some(42));
    assert_eq!(interrupted_by(15, "listen.c").code(), Some(55));
}

#[test]
fn killing_drupe_leaves_no_orphans() {
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(interrupted_by(9, "hang.c").signal(), Some(9));
}

#[test]
fn failures_of_the_kernel_are_reported_as_such() {
    let place = Place::new();
    let run = |name: &str| {
        let kernel = place.guest(name);
        let kernel = kernel.to_str().unwrap();
        place.run(&["run", "--timeout", "20", "--kernel", kernel, kernel])
    };
    run("panic.c").fails(125, &["the kernel panicked: page fault at 0x10"]);
    let named = run("backtrace.c");
    named.fails(125, &["no memory", "task 1: running", "culprit", "backtrace.c:4"]);
    run("garbage.c").fails(125, &["the guest is lost"]);
    run("crash.c").fails(125, &["killed by signal 4"]);
}

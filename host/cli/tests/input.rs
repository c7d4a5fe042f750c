//! Input, terminals and signals: what is between a person and a guest, with the real kernels.

mod common;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use common::terminal::Terminal;
use common::{Place, providers};

/// drupe with the first options of a run on `provider`.
fn run(place: &Place, provider: &str) -> Command {
    let mut command = place.drupe_with_kernels();
    command.args(["run", "--provider", provider, "--timeout", "300"]);
    command
}

#[test]
fn megabytes_pass_through_a_pipe() {
    let place = Place::new();
    for provider in providers() {
        // Virtual machines take input by the byte.
        let length = if provider == "process" { 8 << 20 } else { 1 << 20 };
        let bytes: Vec<u8> = (0..length as u32)
            .map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect();
        let mut child = run(&place, provider)
            .args(["--cpus", "2", "-i", "/bin/busybox", "sh", "-c", "cat | sha256sum"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        let mut native =
            Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        native.stdin.take().unwrap().write_all(&bytes).unwrap();
        let native = native.wait_with_output().unwrap();
        assert_eq!(output.stdout, native.stdout, "{provider}");
    }
}

#[test]
fn input_that_nobody_reads_stays_where_it_is() {
    let place = Place::new();
    for provider in providers() {
        // A shell that reads a line and leaves: drupe must not wait for a reader of the rest, and
        // a writer must not be able to fill the guest.
        let mut child = run(&place, provider)
            .args(["-i", "/bin/busybox", "sh", "-c", "read line; echo got $line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::spawn(move || {
            let mut written = 0;
            input.write_all(b"first\n").unwrap();
            // Ends when drupe is gone.
            while input.write_all(&[b'x'; 4096]).is_ok() {
                written += 4096;
            }
            written
        });
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "got first\n", "{provider}");
        let written = writer.join().unwrap();
        assert!(written < 1 << 20, "{provider}: {written}");
    }
}

#[test]
fn without_i_standard_input_is_empty() {
    let place = Place::new();
    let mut child = run(&place, "process")
        .args(["/bin/busybox", "sh", "-c", "wc -c; readlink /proc/self/fd/0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let _ = child.stdin.take().unwrap().write_all(b"unread");
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n/dev/null\n");
}

/// Starts a guest that prints `up`, then sends `signals` to drupe, each after the output that
/// comes before it; returns the exit code and all output.
fn signalled(provider: &str, script: &str, signals: &[(&str, i32)]) -> (Option<i32>, String) {
    let place = Place::new();
    let mut child = run(&place, provider)
        .args(["/bin/busybox", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut text = String::new();
    for (word, signal) in signals {
        let from = text.len();
        while !text[from..].ends_with(word) {
            let mut byte = [0];
            output.read_exact(&mut byte).unwrap_or_else(|_| panic!("{provider}: {text:?}"));
            text.push(byte[0].into());
        }
        let signal = rustix::process::Signal::from_named_raw(*signal).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
    }
    output.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn signals_for_drupe_are_the_programs() {
    for provider in providers() {
        let loops = "while :; do sleep 0.05; done";
        let traps = format!("trap 'echo int' INT; trap 'echo hup; exit 9' HUP; echo up; {loops}");
        let handled = signalled(provider, &traps, &[("up\n", 2), ("int\n", 1)]);
        assert_eq!(handled, (Some(9), "up\nint\nhup\n".to_owned()), "{provider}");
        // By default they end it: the shell and, for Ctrl-C, what it waits for.
        for (signal, code) in [(15, 143), (1, 129)] {
            let ended = signalled(provider, &format!("echo up; {loops}"), &[("up\n", signal)]);
            assert_eq!(ended, (Some(code), "up\n".to_owned()), "{provider}");
        }
        let foreground = signalled(provider, "echo up; sleep 1000", &[("up\n", 2)]);
        assert_eq!(foreground, (Some(130), "up\n".to_owned()), "{provider}");
        // A program that does not care is ended by insisting.
        let deaf = format!("trap 'echo int' INT; echo up; {loops}");
        let insisted = signalled(provider, &deaf, &[("up\n", 2), ("int\n", 2), ("int\n", 2)]);
        assert_eq!(insisted.0, Some(130), "{provider}");
    }
}

#[test]
fn statuses_of_signals_pass_through() {
    let place = Place::new();
    for provider in providers() {
        let ended = run(&place, provider)
            .args(["/bin/busybox", "sh", "-c", "kill -9 $$"])
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(137), "{provider}");
    }
}

#[test]
fn a_shell_has_a_terminal_with_job_control() {
    let place = Place::new();
    for provider in providers() {
        let mut command = run(&place, provider);
        command.args(["-it", "-e", "PS1=ready> ", "/bin/bash", "--norc", "--noprofile"]);
        let mut terminal = Terminal::start(&command);
        terminal.expect("ready> ");
        terminal.send("tty; stty size\r");
        terminal.expect("/dev/pts/0\r\n30 90\r\n");
        terminal.expect("ready> ");
        // Ctrl-C ends what runs, not the shell.
        terminal.send("bash -c 'echo UP; exec sleep 1000'\r");
        terminal.expect("\rUP\r\n");
        terminal.send("\x03");
        terminal.expect("^C\r\n");
        terminal.expect("ready> ");
        // Ctrl-Z stops it, fg goes on with it, Ctrl-\ ends it.
        terminal.send("cat\r");
        terminal.expect("cat\r\n");
        terminal.send("one\r");
        terminal.expect("one\r\none\r\n");
        terminal.send("\x1a");
        terminal.expect("Stopped");
        terminal.expect("ready> ");
        terminal.send("fg\r");
        terminal.expect("cat\r\n");
        terminal.send("two\r");
        terminal.expect("two\r\ntwo\r\n");
        terminal.send("\x1c");
        terminal.expect("Quit");
        terminal.expect("ready> ");
        // In the background it may not read.
        terminal.send("cat & wait\r");
        terminal.expect("Stopped");
        terminal.expect("ready> ");
        terminal.send("kill -9 %1; wait; echo gone\r");
        terminal.expect("\ngone\r\n");
        terminal.expect("ready> ");
        // The size follows.
        let script = "trap 'stty size; echo changed' WINCH; echo UP; while sleep 0.05; do :; done";
        terminal.send(&format!("bash -c \"{script}\"\r"));
        terminal.expect("\rUP\r\n");
        terminal.resize(11, 44);
        terminal.expect("11 44\r\nchanged");
        terminal.send("\x03");
        terminal.expect("ready> ");
        terminal.send("exit 7\r");
        assert_eq!(terminal.wait().code(), Some(7), "{provider}");
    }
}

#[test]
fn programs_have_the_keys_as_they_are() {
    let place = Place::new();
    for provider in providers() {
        let mut command = run(&place, provider);
        let program = "stty raw -echo; echo READY; dd bs=1 count=5 2>/dev/null | od -An -tx1";
        command.args(["-it", "/bin/bash", "-c", program]);
        let mut terminal = Terminal::start(&command);
        terminal.expect("READY");
        terminal.send("\x03\x1a\x1c\r\x04");
        terminal.expect("03 1a 1c 0d 04");
        assert_eq!(terminal.wait().code(), Some(0), "{provider}");
        // The host's terminal is as it was.
        assert!(!terminal.shown().contains("error"), "{:?}", terminal.shown());
    }
}

#[test]
fn python_talks() {
    let place = Place::new();
    let mut command = run(&place, "process");
    command.args(["-it", "/usr/bin/python3"]);
    let mut terminal = Terminal::start(&command);
    terminal.expect(">>> ");
    terminal.send("6 * 7\r");
    terminal.expect("42\r\n");
    terminal.expect(">>> ");
    terminal.send("while True: pass\r\r");
    terminal.expect("... ");
    terminal.send("\x03");
    terminal.expect("KeyboardInterrupt");
    terminal.expect(">>> ");
    // The status tells of an interrupt that nothing follows, natively too.
    terminal.send("'go' + 'es on'\r");
    terminal.expect("'goes on'");
    terminal.expect(">>> ");
    terminal.send("\x04");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn a_terminal_that_goes_away_ends_the_session() {
    let place = Place::new();
    let mut command = run(&place, "process");
    let script = "trap 'exit 3' HUP; echo READY; while :; do sleep 0.05; done";
    command.args(["-it", "/bin/busybox", "sh", "-c", script]);
    let mut terminal = Terminal::start(&command);
    terminal.expect("READY");
    let status = terminal.hang_up();
    assert_eq!(status.code(), Some(3));
}

#[test]
fn an_output_that_nobody_reads_does_not_hold_drupe_up() {
    let place = Place::new();
    for provider in providers() {
        let mut child = run(&place, provider)
            .args(["/bin/busybox", "yes"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut [0; 2]).unwrap();
        // The guest may be stuck in the middle of writing: then the third signal ends it.
        let process = rustix::process::Pid::from_child(&child);
        let handle =
            rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).unwrap();
        for round in 0.. {
            assert!(round < 200, "{provider}: drupe does not hear signals");
            let _ = rustix::process::kill_process(process, rustix::process::Signal::INT);
            let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            let mut ended = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
            if rustix::event::poll(&mut ended, Some(&pause)).unwrap() > 0 {
                break;
            }
        }
        assert_eq!(child.wait().unwrap().code(), Some(130), "{provider}");
        drop(output);
    }
}

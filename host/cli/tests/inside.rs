//! Seeing inside a guest, with the real kernels: dumps, traces, debuggers, what is said when a
//! program or a kernel fails.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{Ended, Place, providers};

fn run(place: &Place, provider: &str) -> Command {
    let mut command = place.drupe_with_kernels();
    command.args(["run", "--provider", provider]);
    command
}

/// Sends a signal to a running drupe.
fn signal(child: &Child, number: i32) {
    let signal = rustix::process::Signal::from_named_raw(number).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

/// What a dump of a shell that waits for `sleep` says.
#[track_caller]
fn is_dump(text: &str, cpus: usize) {
    for vcpu in 0..cpus {
        assert!(text.contains(&format!("trace of vCPU {vcpu}: the last ")), "{text}");
    }
    let task = |words: &[&str]| {
        text.lines()
            .any(|line| line.starts_with("task ") && words.iter().all(|word| line.contains(word)))
    };
    assert!(task(&["process 1 (busybox)", "in wait4(", "busybox+0x", "sleeps"]), "{text}");
    assert!(task(&["(sleep)", "in clock_nanosleep(", "busybox+0x", "sleeps"]), "{text}");
    // Kernel functions with their source lines.
    assert!(
        text.contains("clock_nanosleep at ") && text.contains("kernel/linux/src/time/"),
        "{text}"
    );
}

#[test]
fn a_timeout_shows_what_everybody_does() {
    let place = Place::new();
    for provider in providers() {
        let output = run(&place, provider)
            .args(["--cpus", "2", "--timeout", "8", "/bin/busybox", "sh", "-c", "sleep 1000; true"])
            .output()
            .unwrap();
        let ended = Ended::from(output);
        assert_eq!(ended.code, Some(124), "{provider}: {ended:?}");
        is_dump(&ended.error, 2);
        assert!(ended.error.trim_end().ends_with("(--timeout)"), "{provider}: {ended:?}");
    }
}

#[test]
fn a_signal_asks_what_the_guest_does_and_it_goes_on() {
    let place = Place::new();
    for provider in providers() {
        let mut child = run(&place, provider)
            .args(["-i", "--timeout", "120", "/bin/busybox", "sh", "-c"])
            .arg("sleep 1000 & echo up; read line; kill %1; echo $line")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        let mut error = BufReader::new(child.stderr.take().unwrap());
        // The child may still be on its way to where it sleeps: then it is asked again.
        loop {
            signal(&child, 3);
            let mut line = String::new();
            while !line.contains(" of process 2 (") {
                line.clear();
                assert!(error.read_line(&mut line).unwrap() > 0, "{provider}");
            }
            if line.contains("(sleep), in clock_nanosleep(") {
                break;
            }
        }
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"done\n").unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "done\n", "{provider}");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{provider}");
    }
}

#[test]
fn crashes_are_reported_as_what_they_are() {
    let place = Place::new();
    let program = place.guest("faults.c");
    for provider in providers() {
        let run = |what: &str| {
            let output = run(&place, provider)
                .args(["--timeout", "120", "-m", "64M"])
                .arg(&program)
                .arg(what)
                .output()
                .unwrap();
            Ended::from(output)
        };
        let cases = [
            ("wild", 139, "ends by signal 11, address 0x123456789000: instruction 0x"),
            ("null", 139, "ends by signal 11, address 0x0: instruction 0x"),
            ("stack", 139, "ends by signal 11, address 0x"),
            ("illegal", 132, "ends by signal 4: instruction 0x"),
            ("divide", 136, "ends by signal 8: instruction 0x"),
            ("memory", 137, "out of memory: process 1"),
        ];
        for (what, code, words) in cases {
            // As processes, private memory is the host's.
            if what == "memory" && provider == "process" {
                continue;
            }
            let ended = run(what);
            assert_eq!(ended.code, Some(code), "{provider}, {what}: {ended:?}");
            assert!(ended.error.contains(words), "{provider}, {what}: {ended:?}");
            if words.contains("instruction") {
                assert!(ended.error.contains("faults.c.guest+0x"), "{provider}, {what}: {ended:?}");
            }
        }
    }
}

#[test]
fn strace_names_what_it_shows() {
    let place = Place::new();
    for provider in providers() {
        let script = "echo out; printf part >&2; wc /etc/passwd > /dev/null; exit 3";
        let run = |strace: &str| {
            let mut command = run(&place, provider);
            command.args(["--timeout", "120", strace, "/bin/busybox", "sh", "-c", script]);
            Ended::from(command.output().unwrap())
        };
        let traced = run("--strace");
        assert_eq!((traced.code, traced.output.as_str()), (Some(3), "out\n"), "{traced:?}");
        for words in [
            "write(1, \"out\\n\", 4) = 4 <0.",
            "O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3",
            "PROT_READ) = 0",
            "CLONE_CHILD_SETTID|SIGCHLD, NULL",
            "[\"wc\", \"/etc/passwd\"]",
            "[{WIFEXITED, WEXITSTATUS == 0}]",
            "\"root:x:0:0:",
            "[1] exit_group(3) = ?",
        ] {
            assert!(traced.error.contains(words), "{provider}: no {words} in {traced:?}");
        }
        // A line is a line: none begins behind what the program has written of its own.
        for line in traced.error.lines() {
            let is_whole = line == "part"
                || line.contains(" system calls, ")
                || line.starts_with('[') && !line[1..].contains("] write(");
            assert!(is_whole || line.contains("] write("), "{provider}: {line:?}");
            assert!(!line.contains("part["), "{provider}: {line:?}");
        }
        let quiet = run(&format!("--strace={}", place.path("trace").display()));
        assert_eq!((quiet.code, quiet.error.as_str()), (Some(3), "part"), "{quiet:?}");
        let trace = fs::read_to_string(place.path("trace")).unwrap();
        assert!(trace.contains("[1] exit_group(3) = ?"), "{provider}: {trace}");
    }
    let refused = run(&place, "process").args(["--strace=/nowhere/trace", "/bin/true"]).output();
    Ended::from(refused.unwrap()).fails(125, &["/nowhere/trace", "No such file"]);
}

/// Whether there are QEMU and gdb; `cargo xtask test` says what is missing.
fn has_debugger() -> bool {
    providers().contains(&"qemu") && Command::new("gdb").arg("--version").output().is_ok()
}

/// Starts a guest that waits for a debugger: drupe, the rest of what it complains about, and the
/// script for the debugger.
fn debugged(place: &Place, arguments: &[&str]) -> (Child, BufReader<ChildStderr>, String) {
    // A port that is free now; whoever takes it meanwhile makes the test fail, rarely.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut child = run(place, "qemu")
        .args(["--gdb", &port.to_string()])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut error = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let script = loop {
        let mut line = String::new();
        assert!(error.read_line(&mut line).unwrap() > 0, "{said}");
        if let Some((_, script)) = line.trim_end().split_once("gdb -x ") {
            break script.to_owned();
        }
        said.push_str(&line);
    };
    (child, error, script)
}

#[test]
fn a_kernel_that_hangs_is_asked_in_a_way_that_it_cannot_hold_off() {
    let place = Place::new();
    if !has_debugger() {
        return;
    }
    let arguments = ["--cpus", "2", "--timeout", "20", "/bin/busybox", "true"];
    let (mut child, mut error, script) = debugged(&place, &arguments);
    // Where the debugger stops, the kernel gets a jump to itself, with interrupts off.
    let gdb = Command::new("gdb")
        .args(["-batch", "-nx", "-x", &script, "-ex", "set language c"])
        .args(["-ex", "set var *(unsigned short *)$pc = 0xfeeb", "-ex", "detach"])
        .output()
        .unwrap();
    let mut text = String::new();
    error.read_to_string(&mut text).unwrap();
    let gdb = String::from_utf8_lossy(&gdb.stdout).into_owned();
    for words in [
        "vCPU 0 is in the kernel",
        "vCPU 1 is in the kernel",
        "drupe_program_loaded at ",
        "trace of vCPU 0: the last ",
        "(--timeout)",
    ] {
        assert!(text.contains(words), "no {words}: {text}\n{gdb}");
    }
    assert_eq!(child.wait().unwrap().code(), Some(124));
}

#[test]
fn a_debugger_finds_main_and_the_kernel() {
    let place = Place::new();
    if !has_debugger() {
        return;
    }
    place.file(
        "program.c",
        "#include <stdio.h>\n\
         __attribute__((noinline)) int deep_inside(int n) {\n    return printf(\"%d\\n\", n);\n}\n\
         int main(void) {\n    return deep_inside(41) - 3;\n}\n",
    );
    let built = Command::new("cc")
        .current_dir(place.path(""))
        .args(["-g", "-O0", "-fPIE", "-pie", "-o", "program", "program.c"])
        .status()
        .unwrap();
    assert!(built.success());
    for machine in ["microvm", "q35"] {
        let (mut child, _error, script) =
            debugged(&place, &["--machine", machine, "--timeout", "300", "./program"]);
        let gdb = Command::new("gdb")
            .args(["-batch", "-nx", "-x", &script])
            .args(["-ex", "hbreak deep_inside", "-ex", "continue", "-ex", "backtrace"])
            .args(["-ex", "print n", "-ex", "delete"])
            .args(["-ex", "info symbol drupe_program_loaded", "-ex", "detach"])
            .output()
            .unwrap();
        let seen = String::from_utf8_lossy(&gdb.stdout).into_owned();
        let complained = String::from_utf8_lossy(&gdb.stderr).into_owned();
        for words in ["#0  deep_inside (n=41) at program.c:3", "main () at program.c:6", "$1 = 41"]
        {
            assert!(seen.contains(words), "{machine}: no {words}: {seen}\n{complained}");
        }
        assert!(seen.contains("drupe_program_loaded in section .text"), "{machine}: {seen}");
        let mut output = String::new();
        child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert_eq!((child.wait().unwrap().code(), output.as_str()), (Some(0), "41\n"), "{machine}");
    }
}

#[test]
fn a_debuggers_port_that_is_taken_is_refused() {
    let place = Place::new();
    if !providers().contains(&"qemu") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    place
        .run(&["run", "--provider", "qemu", "--kernel", "/bin/true", "--gdb", &port, "/bin/true"])
        .fails(125, &[&port, "in use", "--gdb"]);
}

#[test]
fn the_table_of_system_calls_is_printed() {
    let place = Place::new();
    let ended = place.run(&["syscalls"]);
    for words in
        ["  0  read                     full", "101  ptrace                   absent", " full, "]
    {
        assert!(ended.output.contains(words), "{ended:?}");
    }
    let json = place.run(&["syscalls", "--output", "json", "read", "101"]);
    let calls: serde_json::Value = serde_json::from_str(&json.output).unwrap();
    assert_eq!(calls.as_array().unwrap().len(), 2);
    assert_eq!((&calls[0]["name"], &calls[0]["state"]), (&"read".into(), &"full".into()));
    assert_eq!((&calls[1]["name"], &calls[1]["state"]), (&"ptrace".into(), &"absent".into()));
    let partial = place.run(&["syscalls", "--state", "partial"]);
    assert!(partial.output.contains("io") && !partial.output.contains(" full\n"), "{partial:?}");
    place.run(&["syscalls", "frobnicate"]).fails(125, &["frobnicate"]);
}

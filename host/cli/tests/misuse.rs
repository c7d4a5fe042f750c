//! What can be wrong with the host and with the way that drupe is used: one clear error, and
//! nothing left that breaks the next run.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use common::terminal::Terminal;
use common::{Ended, Place};

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let place = Place::new();
    for home in ["/dev/null/home", "/proc/home"] {
        let mut command = place.drupe();
        command.env("DRUPE_HOME", home).args(["run", "--kernel", "/bin/true", "/bin/true"]);
        let ended = Ended::from(command.output().unwrap());
        ended.fails(125, &["cannot create", home, "set DRUPE_HOME"]);
    }
    let mut command = place.drupe();
    for name in ["DRUPE_HOME", "XDG_DATA_HOME", "HOME"] {
        command.env_remove(name);
    }
    let ended = Ended::from(command.args(["run", "/bin/true"]).output().unwrap());
    ended.fails(125, &["no folder for drupe's data", "DRUPE_HOME"]);
}

/// drupe with a home on a disk of its own with so much space; `None` where that needs privileges.
fn on_a_small_disk(place: &Place, size: &str, arguments: &[&str]) -> Option<Ended> {
    let home = place.path("small");
    fs::create_dir_all(&home).unwrap();
    let script =
        "mount -t tmpfs -o \"size=$1\" none \"$DRUPE_HOME\" || exit 99; shift; exec \"$@\"";
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "sh", size])
        .arg(env!("CARGO_BIN_EXE_drupe"))
        .args(arguments)
        .env("DRUPE_HOME", &home)
        .current_dir(place.path(""))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let ended = Ended::from(output);
    let refused = ended.code == Some(99) || ended.error.starts_with("unshare");
    (!refused).then_some(ended)
}

#[test]
fn a_full_disk_is_said_to_be_full() {
    let place = Place::new();
    let Some(ended) =
        on_a_small_disk(&place, "16k", &["run", "--kernel", "/bin/true", "/bin/bash"])
    else {
        return;
    };
    ended.fails(125, &["cannot make a root image", "No space left", "drupe prune"]);
}

#[test]
fn unfinished_files_of_runs_that_were_killed_go() {
    let place = Place::new();
    // No process has this number: Linux has at most four million.
    let left = place.file("home/roots/image.99999999-0.part", "unfinished");
    let kernel = place.guest("status.c");
    let kernel = kernel.to_str().unwrap();
    assert_eq!(place.run(&["run", "--kernel", kernel, kernel]).code, Some(7));
    assert!(!left.exists());
    let pruned = place.run(&["prune", "--output", "json"]);
    let pruned: serde_json::Value = serde_json::from_str(&pruned.output).unwrap();
    assert_eq!(pruned["files"], 2, "an image and its recipe");
    assert_eq!(place.run(&["run", "--kernel", kernel, kernel]).code, Some(7));
    assert_eq!(place.run(&["prune", "--all"]).code, Some(0));
    assert!(!place.path("home/roots").exists());
}

#[test]
fn ctrl_c_ends_a_build_and_all_that_it_started() {
    let place = Place::new();
    // A number that nobody else sleeps for.
    let time = format!("98765.{}", std::process::id());
    place.file("made/Makefile", format!("app:\n\techo begun > begun; sleep {time}\n"));
    let begun = place.path("made/begun");
    assert!(Command::new("mkfifo").arg(&begun).status().unwrap().success());
    let mut command = place.drupe();
    command.args(["run", "--kernel", "/bin/true", "made"]);
    let mut terminal = Terminal::start(&command);
    terminal.expect("building made with make");
    assert_eq!(fs::read_to_string(&begun).unwrap(), "begun\n");
    terminal.send("\x03");
    let status = terminal.wait();
    assert!(!status.success(), "{status:?}");
    let left = Command::new("pgrep").args(["-f", &format!("sleep {time}")]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
    // The next run builds it.
    place.file("made/Makefile", "app:\n\tcp /bin/true app\n");
    let explained = place.run(&["build", "--explain", "made"]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
}

#[test]
fn tools_that_are_missing_are_named() {
    let place = Place::new();
    place.file("inc/main.c", "int main(void) { return 0; }\n");
    place.file("rust/Cargo.toml", "[package]\nname = \"x\"\nversion = \"0.1.0\"\n");
    place.file("rust/src/main.rs", "fn main() {}\n");
    place.file("made/Makefile", "all:\n\ttrue\n");
    let empty = place.path("empty");
    fs::create_dir(&empty).unwrap();
    for (folder, tool) in [("inc", "cc"), ("rust", "cargo"), ("made", "make")] {
        let mut command = place.drupe();
        command.env("PATH", &empty).args(["build", folder]);
        let ended = Ended::from(command.output().unwrap());
        ended.fails(125, &[tool, "install"]);
    }
}

#[test]
fn too_little_memory_is_said_before_or_by_the_kernel() {
    let place = Place::new();
    for provider in common::providers() {
        let mut command = place.drupe_with_kernels();
        command.args(["run", "--provider", provider, "--timeout", "60", "-m", "1M", "/bin/true"]);
        let ended = Ended::from(command.output().unwrap());
        assert_eq!(ended.code, Some(125), "{provider}: {ended:?}");
        assert!(ended.error.contains("memory"), "{provider}: {ended:?}");
        assert!(ended.error.contains("-m"), "{provider}: {ended:?}");
    }
}

#[test]
fn files_of_others_are_refused_by_name() {
    let place = Place::new();
    place.file("app/main.c", "int main(void) { return 0; }\n");
    let missing = place.run(&["run", "--kernel", "/nowhere/kernel", "app"]);
    missing.fails(125, &["/nowhere/kernel", "No such file"]);
    let missing = place.run(&["run", "--env-file", "nowhere", "--kernel", "/bin/true", "app"]);
    missing.fails(125, &["nowhere", "No such file"]);
    let missing = place.run(&["run", "--include", "/nowhere/file", "--kernel", "/bin/true", "app"]);
    missing.fails(127, &["/nowhere/file", "does not exist"]);
    let script = place.file("script", "#!/bin/sh\necho\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = place.run(&["build", "--explain", "./script"]);
    assert!(matches!(ended.code, Some(0 | 126)), "{ended:?}");
}

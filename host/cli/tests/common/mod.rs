//! What the tests of the command share.
#![allow(dead_code)]

pub mod terminal;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The providers that this host has. Without QEMU, `cargo xtask test` says what it skips.
pub fn providers() -> Vec<&'static str> {
    let has_qemu = Command::new("qemu-system-x86_64").arg("--version").output().is_ok();
    if has_qemu { vec!["process", "qemu"] } else { vec!["process"] }
}

/// A folder with a home of its own for drupe.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, contents).unwrap();
        path
    }

    /// drupe, to be started in this place.
    pub fn drupe(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drupe"));
        command.current_dir(self.folder.path()).env("DRUPE_HOME", self.path("home"));
        command.stdin(Stdio::null());
        command
    }

    /// drupe, to be started in this place, with a home that all tests share: kernels are built
    /// once.
    pub fn drupe_with_kernels(&self) -> Command {
        let mut command = self.drupe();
        command.env("DRUPE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("home"));
        command
    }

    /// The result of drupe with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::from(self.drupe().args(arguments).output().unwrap())
    }

    /// Compiles a C file of `tests/guests`, statically, and returns the program.
    pub fn guest(&self, name: &str) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests").join(name);
        let program = self.path(&format!("{name}.guest"));
        let compiled = Command::new("cc")
            .args(["-static", "-no-pie", "-O1", "-g", "-o"])
            .arg(&program)
            .arg(source)
            .status()
            .expect("a C compiler");
        assert!(compiled.success());
        program
    }
}

/// What a command came to.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub output: String,
    pub error: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            error: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ended {
    /// Checks that it failed with `code` and one message that holds all of `words`.
    #[track_caller]
    pub fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        let is_progress = |line: &&str| {
            ["compiling ", "building ", "making "].iter().any(|word| line.starts_with(word))
        };
        let said = self.error.lines().filter_map(|line| line.strip_prefix("drupe: "));
        let messages = said.filter(|line| !is_progress(line)).count();
        assert_eq!(messages, 1, "{self:?}");
        for word in words {
            assert!(self.error.contains(word), "no {word:?} in {self:?}");
        }
    }
}

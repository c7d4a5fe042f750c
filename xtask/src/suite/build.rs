//! Builds the suite's runner, cached by content under `target/suite`.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, bail};

use crate::process::{check, on_path};

/// The families in the order in which a kernel learns them.
const FAMILIES: &[&str] = &[
    "basic", "memory", "file", "event", "thread", "signal", "process", "socket", "terminal",
    "system",
];

const SOURCES: &str = "tests/linux";
const OUTPUT: &str = "target/suite";

/// Warnings that the cases provoke on purpose: they pass wrong sizes and pointers.
const FLAGS: &[&str] = &[
    "-std=gnu17",
    "-O1",
    "-g",
    "-pthread",
    "-fno-strict-aliasing",
    "-Itests/linux",
    "-Wall",
    "-Wno-parentheses",
    "-Wno-nonnull",
    "-Wno-stringop-overflow",
    "-Wno-stringop-overread",
    "-Wno-array-bounds",
    "-Wno-unused-result",
];

/// How the runner is linked, and with which C library.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    /// The system's C library, static, at a fixed address.
    Static,
    /// The system's C library, dynamic, position-independent.
    Pie,
    /// musl, static.
    Musl,
}

impl Variant {
    /// The variants whose compiler is there.
    pub fn available() -> Vec<Self> {
        let mut variants = vec![Self::Static, Self::Pie];
        if on_path("musl-gcc") {
            variants.push(Self::Musl);
        }
        variants
    }

    /// The variant called `name` on the command line.
    pub fn named(name: &str) -> Result<Self> {
        [Self::Static, Self::Pie, Self::Musl]
            .into_iter()
            .find(|variant| variant.name() == name)
            .with_context(|| format!("no such variant `{name}`: static, pie or musl"))
    }

    /// Its name on the command line and in `target/suite`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Pie => "pie",
            Self::Musl => "musl",
        }
    }

    fn compiler(self) -> &'static str {
        if self == Self::Musl { "musl-gcc" } else { "gcc" }
    }

    fn position(self) -> &'static [&'static str] {
        if self == Self::Pie { &["-fPIE"] } else { &["-fno-pie"] }
    }

    fn link(self) -> &'static [&'static str] {
        if self == Self::Pie { &["-pie"] } else { &["-static", "-no-pie"] }
    }
}

/// Compiles what changed and links the runner; its path.
pub fn runner(variant: Variant) -> Result<PathBuf> {
    if !on_path(variant.compiler()) {
        bail!("the suite needs {}: cargo xtask setup", variant.compiler());
    }
    let objects = Path::new(OUTPUT).join("objects");
    fs::create_dir_all(&objects)?;
    let mut common = DefaultHasher::new();
    FLAGS.hash(&mut common);
    variant.name().hash(&mut common);
    Command::new(variant.compiler()).arg("--version").output()?.stdout.hash(&mut common);
    for header in files(Path::new(SOURCES), "h")? {
        fs::read(&header)?.hash(&mut common);
    }
    let mut inputs = Vec::new();
    let mut missing = Vec::new();
    for source in sources()? {
        let mut hasher = common.clone();
        source.hash(&mut hasher);
        fs::read(&source)?.hash(&mut hasher);
        let object = objects.join(format!("{:016x}.o", hasher.finish()));
        if !object.exists() {
            missing.push((source, object.clone()));
        }
        inputs.push(object);
    }
    compile(variant, &missing)?;
    let mut hasher = common.clone();
    inputs.hash(&mut hasher);
    let program = Path::new(OUTPUT).join(format!("{}-{:016x}", variant.name(), hasher.finish()));
    if !program.exists() {
        let fresh = program.with_extension("new");
        check(
            Command::new(variant.compiler())
                .args(["-pthread", "-o"])
                .arg(&fresh)
                .args(variant.link())
                .args(&inputs),
        )?;
        fs::rename(&fresh, &program)?;
    }
    Ok(fs::canonicalize(program)?)
}

/// Compiles `work` on all processors.
fn compile(variant: Variant, work: &[(PathBuf, PathBuf)]) -> Result<()> {
    let queue = Mutex::new(work.iter());
    let one = || -> Result<()> {
        loop {
            let next = queue.lock().map_or(None, |mut queue| queue.next());
            let Some((source, object)) = next else { return Ok(()) };
            let fresh = object.with_extension("new");
            check(
                Command::new(variant.compiler())
                    .args(FLAGS)
                    .args(variant.position())
                    .arg("-c")
                    .arg(source)
                    .arg("-o")
                    .arg(&fresh),
            )?;
            fs::rename(&fresh, object)?;
        }
    };
    std::thread::scope(|scope| {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..count).map(|_| scope.spawn(one)).collect();
        for worker in workers {
            worker.join().map_err(|_| anyhow::anyhow!("a compiling thread panicked"))??;
        }
        Ok(())
    })
}

/// The sources: the runner's own, then the cases family by family. Their order is the order of
/// the cases.
fn sources() -> Result<Vec<PathBuf>> {
    let mut sources = files(Path::new(SOURCES), "c")?;
    let cases = Path::new(SOURCES).join("cases");
    for entry in fs::read_dir(&cases)? {
        let name = entry?.file_name();
        if !FAMILIES.iter().any(|family| name == *family) {
            bail!("{}/{} is not in the list of families", cases.display(), name.display());
        }
    }
    for family in FAMILIES {
        sources.extend(files(&cases.join(family), "c")?);
    }
    Ok(sources)
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {folder:?}"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

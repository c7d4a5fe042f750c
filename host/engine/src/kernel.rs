//! Kernels: found, or built from the checkout that this drupe was compiled from.
//!
//! A built kernel is kept twice under the home, by a hash over the contents of its sources:
//! as it was linked, for symbols and debuggers, and stripped to what a guest loads. Whether
//! the sources are still the same is told by their times and lengths, so that a run costs some
//! hundred `stat` calls and no build.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{IsTerminal, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Result};
use crate::home::{Home, write_whole};

/// What a kernel runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// A virtual machine or bare hardware.
    Vm,
    /// Linux processes.
    Hosted,
}

impl Platform {
    /// The package that makes this platform's kernel, and the name of its executable.
    fn package(self) -> &'static str {
        match self {
            Self::Vm => "kernel-vm",
            Self::Hosted => "kernel-hosted",
        }
    }
}

/// How many files of built kernels are kept for each platform, two for each kernel.
const FILES_KEPT: usize = 16;

const TARGET: &str = "x86_64-unknown-none";

/// What a kernel is made from, relative to the checkout.
const SOURCES: &[&str] = &[
    "kernel",
    "lib",
    "abi",
    "Cargo.lock",
    "Cargo.toml",
    ".cargo/config.toml",
    "rust-toolchain.toml",
];

/// An executable kernel.
#[derive(Clone, Debug)]
pub struct Kernel {
    loadable: PathBuf,
    symbols: PathBuf,
}

impl Kernel {
    /// The kernel in the file `path`, whatever it is.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn from_file(path: &Path) -> Result<Self> {
        File::open(path).context(|| format!("cannot use the kernel {}", path.display()))?;
        Ok(Self { loadable: path.to_owned(), symbols: path.to_owned() })
    }

    /// The kernel for `platform`, built when there is none for the present sources.
    /// `progress` is told what takes long.
    ///
    /// # Errors
    /// When it cannot be built; the compiler's output has been shown.
    pub fn installed(home: &Home, platform: Platform, progress: &dyn Fn(&str)) -> Result<Self> {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let package = platform.package();
        let checkout = checkout.canonicalize().map_err(|error| {
            Error::new("the kernel's sources are not where drupe was built from")
                .because(error)
                .hint("give a kernel with --kernel FILE")
        })?;
        let folder = home.folder("kernels")?;
        let stamp = Stamp::of(&checkout)?;
        let stamp_file = folder.join(format!("{package}-{}", stamp.place));
        if let Ok(text) = fs::read_to_string(&stamp_file)
            && let Some((state, hash)) = text.split_once(' ')
            && state == stamp.state
            && let Some(kernel) = Self::kept(&folder, package, hash)
        {
            return Ok(kernel);
        }
        let hash = stamp.content_hash(&checkout)?;
        if Self::kept(&folder, package, &hash).is_none() {
            progress(&format!("building {package} (once for each state of the sources)"));
            let built = build(&checkout, package)?;
            let bytes = fs::read(&built).context(|| format!("cannot read {}", built.display()))?;
            let loadable = stripped(&bytes)
                .ok_or_else(|| Error::new(format!("{} is no 64-bit ELF file", built.display())))?;
            write_whole(&folder.join(format!("{package}-{hash}.debug")), &bytes)?;
            write_whole(&folder.join(format!("{package}-{hash}.elf")), &loadable)?;
            forget_oldest(&folder, package);
        }
        write_whole(&stamp_file, format!("{} {hash}", stamp.state).as_bytes())?;
        Self::kept(&folder, package, &hash)
            .ok_or_else(|| Error::new(format!("the kernel vanished from {}", folder.display())))
    }

    fn kept(folder: &Path, package: &str, hash: &str) -> Option<Self> {
        let kernel = Self {
            loadable: folder.join(format!("{package}-{hash}.elf")),
            symbols: folder.join(format!("{package}-{hash}.debug")),
        };
        (kernel.loadable.is_file() && kernel.symbols.is_file()).then_some(kernel)
    }

    /// The file that a guest loads.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self) -> Result<File> {
        File::open(&self.loadable).context(|| format!("cannot open {}", self.loadable.display()))
    }

    /// The bytes that a guest loads.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open()?
            .read_to_end(&mut bytes)
            .context(|| format!("cannot read {}", self.loadable.display()))?;
        Ok(bytes)
    }

    /// The physical address behind the last byte that the kernel occupies when it is loaded.
    ///
    /// # Errors
    /// When the file is no 64-bit ELF file.
    pub fn end_address(&self) -> Result<u64> {
        let bytes = self.read()?;
        let file = elf::ElfBytes::<elf::endian::LittleEndian>::minimal_parse(&bytes).ok();
        let segments = file.as_ref().and_then(elf::ElfBytes::segments).ok_or_else(|| {
            Error::new(format!("the kernel {} is no ELF file", self.loadable.display()))
        })?;
        Ok(segments
            .iter()
            .filter(|segment| segment.p_type == elf::abi::PT_LOAD)
            .map(|segment| segment.p_paddr.saturating_add(segment.p_memsz))
            .fold(0, u64::max))
    }

    /// The file with symbols and line numbers.
    pub fn symbols(&self) -> &Path {
        &self.symbols
    }
}

/// Removes kernels that were built long ago. Instances that run have their own copy.
fn forget_oldest(folder: &Path, package: &str) {
    let mut kept: Vec<(std::time::SystemTime, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(package) && (name.ends_with(".elf") || name.ends_with(".debug"))
        })
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    kept.sort();
    let surplus = kept.len().saturating_sub(FILES_KEPT);
    for (_, path) in &kept[..surplus] {
        let _ = fs::remove_file(path);
    }
}

/// The state of the sources as their metadata tell it.
struct Stamp {
    /// A name for the checkout.
    place: String,
    /// Changes when a source changes.
    state: String,
    files: Vec<PathBuf>,
}

impl Stamp {
    fn of(checkout: &Path) -> Result<Self> {
        let place = Sha256::digest(checkout.as_os_str().as_encoded_bytes());
        // Tells changes of one's own files, on every run: a quick hash does.
        let mut hasher = DefaultHasher::new();
        let mut files = Vec::new();
        let mut waiting: Vec<PathBuf> = SOURCES.iter().map(|name| checkout.join(name)).collect();
        while let Some(path) = waiting.pop() {
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() {
                let entries = fs::read_dir(&path)
                    .context(|| format!("cannot list {}", path.display()))?
                    .flatten()
                    .map(|entry| entry.path());
                waiting.extend(entries);
            } else {
                let state = (metadata.mtime(), metadata.mtime_nsec(), metadata.size());
                files.push((path, state));
            }
        }
        files.sort();
        files.hash(&mut hasher);
        let place = format!("stamp-{}", hex(&place[..8]));
        let state = format!("{:016x}", hasher.finish());
        Ok(Self { place, state, files: files.into_iter().map(|(path, _)| path).collect() })
    }

    fn content_hash(&self, checkout: &Path) -> Result<String> {
        let mut hasher = Sha256::new();
        for path in &self.files {
            let bytes = fs::read(path).context(|| format!("cannot read {}", path.display()))?;
            let name = path.strip_prefix(checkout).unwrap_or(path);
            hasher.update(name.as_os_str().as_encoded_bytes());
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
        Ok(hex(&hasher.finalize()[..16]))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Builds `package` with the kernel profile and returns the executable's path.
fn build(checkout: &Path, package: &str) -> Result<PathBuf> {
    ensure_target(checkout)?;
    let target_folder = checkout.join("target/kernel");
    let mut cargo = Command::new("cargo");
    cargo.current_dir(checkout).args(["build", "--profile", "kernel", "--target", TARGET]);
    cargo.args(["-p", package, "--target-dir"]).arg(&target_folder);
    // What an outer cargo has set for its own build is not meant for this one.
    for name in
        ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "RUSTUP_TOOLCHAIN"]
    {
        cargo.env_remove(name);
    }
    let shown = std::io::stderr().is_terminal();
    cargo.stdin(Stdio::null()).stdout(Stdio::null());
    cargo.stderr(if shown { Stdio::inherit() } else { Stdio::piped() });
    let output = cargo.output().map_err(|error| {
        Error::new("cannot start cargo to build the kernel")
            .because(error)
            .hint("install Rust from https://rustup.rs or give a kernel with --kernel FILE")
    })?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        return Err(Error::new(format!("cargo cannot build {package} in {}", checkout.display())));
    }
    Ok(target_folder.join(TARGET).join("kernel").join(package))
}

/// Adds the kernel's target to the toolchain when rustup has not got it.
fn ensure_target(checkout: &Path) -> Result<()> {
    let sysroot = Command::new("rustc")
        .current_dir(checkout)
        .env_remove("RUSTUP_TOOLCHAIN")
        .args(["--print", "sysroot"])
        .output()
        .map_err(|error| {
            Error::new("cannot start rustc to build the kernel")
                .because(error)
                .hint("install Rust from https://rustup.rs or give a kernel with --kernel FILE")
        })?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    if Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    let added = Command::new("rustup")
        .current_dir(checkout)
        .env_remove("RUSTUP_TOOLCHAIN")
        .args(["target", "add", TARGET])
        .stdout(Stdio::null())
        .status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(Error::new(format!("the Rust toolchain has no target {TARGET}"))
        .hint(format!("run: rustup target add {TARGET}")))
}

/// `elf` cut off behind its last segment, without section headers: all that is ever loaded.
/// `None` when it is no 64-bit little-endian ELF file.
fn stripped(elf: &[u8]) -> Option<Vec<u8>> {
    use elf::endian::LittleEndian;
    let file = elf::ElfBytes::<LittleEndian>::minimal_parse(elf).ok()?;
    if file.ehdr.class != elf::file::Class::ELF64 {
        return None;
    }
    let segments = file.segments()?;
    let headers_end =
        file.ehdr.e_phoff + u64::from(file.ehdr.e_phnum) * u64::from(file.ehdr.e_phentsize);
    let end = segments
        .iter()
        .map(|segment| segment.p_offset.saturating_add(segment.p_filesz))
        .fold(headers_end, u64::max);
    let mut bytes = elf.get(..usize::try_from(end).ok()?)?.to_vec();
    // e_shoff; then e_shnum and e_shstrndx at the end of the header.
    bytes.get_mut(40..48)?.fill(0);
    bytes.get_mut(60..64)?.fill(0);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stripped_executable_keeps_its_segments() {
        let bytes = fs::read("/proc/self/exe").unwrap();
        let short = stripped(&bytes).unwrap();
        assert!(short.len() < bytes.len());
        let segments = |bytes: &[u8]| {
            let file = elf::ElfBytes::<elf::endian::LittleEndian>::minimal_parse(bytes).unwrap();
            file.segments().unwrap().iter().map(|segment| segment.p_offset).collect::<Vec<_>>()
        };
        assert_eq!(segments(&short), segments(&bytes));
        assert!(stripped(&bytes[..40]).is_none());
        assert!(stripped(b"#!/bin/sh\n").is_none());
    }
}

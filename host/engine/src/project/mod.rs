//! Building projects with the tools that their language has on this host.

mod c;
mod cargo;
mod make;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drupe_roots::Options;
use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Result};
use crate::home::Home;
use crate::manifest::Manifest;
use crate::roots::Origin;

/// How a project is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// A package of cargo.
    Rust,
    /// CMake.
    CMake,
    /// A makefile.
    Make,
    /// C sources in one folder.
    C,
    /// C++ sources in one folder, perhaps with C among them.
    Cpp,
}

impl Language {
    /// What the files in `folder` suggest; `None` when nothing does.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn detect(folder: &Path) -> Result<Option<Self>> {
        let has = |name: &str| folder.join(name).is_file();
        if has("Cargo.toml") {
            return Ok(Some(Self::Rust));
        }
        if has("CMakeLists.txt") {
            return Ok(Some(Self::CMake));
        }
        if ["GNUmakefile", "Makefile", "makefile"].into_iter().any(has) {
            return Ok(Some(Self::Make));
        }
        let sources = c::sources(folder)?;
        Ok(if sources.is_empty() {
            None
        } else if sources.iter().any(|source| c::is_cpp(source)) {
            Some(Self::Cpp)
        } else {
            Some(Self::C)
        })
    }
}

/// Builds the project in `folder`; returns what its root is made from. `progress` is told what
/// takes long.
///
/// # Errors
/// When a tool is missing or fails; its output has been shown.
pub fn build(
    folder: &Path,
    manifest: &Manifest,
    home: &Home,
    progress: &dyn Fn(&str),
) -> Result<Origin> {
    let folder = fs::canonicalize(folder).context(|| format!("cannot use {}", folder.display()))?;
    let name = match (&manifest.name, folder.file_name()) {
        (Some(name), _) => name.clone(),
        (None, Some(name)) => name.to_string_lossy().into_owned(),
        (None, None) => "program".to_owned(),
    };
    let project = Project { folder: &folder, manifest, name: &name, progress };
    let program = match (&manifest.build, Language::detect(&folder)?) {
        (Some(command), _) => make::run_command(&project, command)?,
        (None, Some(Language::Rust)) => cargo::build(&project)?,
        (None, Some(Language::CMake)) => make::cmake(&project, &project.builds(home)?)?,
        (None, Some(Language::Make)) => make::make(&project)?,
        (None, Some(language)) => c::build(&project, language, &project.builds(home)?)?,
        (None, None) if manifest.program.is_some() => project.named_program()?,
        (None, None) => {
            return Err(Error::not_runnable(format!(
                "{} is no project in a known language",
                folder.display()
            ))
            .hint("say in drupe.toml how to build it: build = \"…\" and program = \"…\""));
        }
    };
    let file_name = program.file_name().unwrap_or(name.as_ref());
    let copy = manifest
        .include
        .iter()
        .map(|path| (folder.join(path), Path::new("/app").join(path)))
        .collect();
    let options =
        Options { place: Some(Path::new("/app").join(file_name)), copy, include: Vec::new() };
    Ok(Origin::Program(program, options))
}

/// A project that is being built.
struct Project<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    name: &'a str,
    progress: &'a dyn Fn(&str),
}

impl Project<'_> {
    /// A folder for what is built outside of the project.
    fn builds(&self, home: &Home) -> Result<PathBuf> {
        let digest = Sha256::digest(self.folder.as_os_str().as_encoded_bytes());
        let key: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        home.folder(&format!("builds/{key}"))
    }

    /// The program that `drupe.toml` names.
    fn named_program(&self) -> Result<PathBuf> {
        let named = self.manifest.program.as_deref().unwrap_or(Path::new(""));
        let path = self.folder.join(named);
        if path.is_file() {
            return Ok(path);
        }
        Err(Error::new(format!("the build has not made {}", path.display()))
            .hint("check program = \"…\" in drupe.toml"))
    }
}

/// Runs a tool; its output is shown when it fails.
fn run_tool(command: &mut Command, what: &str) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        let error = Error::new(format!("cannot start {program} to {what}")).because(error);
        match program.as_str() {
            "cc" | "c++" | "make" => {
                error.hint("install a compiler (Debian: apt install build-essential)")
            }
            "cargo" => error.hint("install Rust from https://rustup.rs"),
            other => error.hint(format!("install {other}")),
        }
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    Err(Error::new(format!("{program} could not {what}")))
}

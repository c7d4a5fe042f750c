//! What a user names, and what it turns out to be.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::manifest::Manifest;
use crate::project;

/// What a name on the command line stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A folder with sources.
    Project(PathBuf),
    /// A folder with the files of a root.
    Folder(PathBuf),
    /// A file with an image.
    Archive(PathBuf),
    /// A program or script.
    Program(PathBuf),
}

impl Target {
    /// Finds out what `name` is: an existing path wins.
    ///
    /// # Errors
    /// When there is no such path, or it is nothing that can be run.
    pub fn resolve(name: &OsStr) -> Result<Self> {
        let path = PathBuf::from(name);
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(unknown(name));
            }
            Err(error) => {
                return Err(
                    Error::not_runnable(format!("cannot use {}", path.display())).because(error)
                );
            }
        };
        if metadata.is_dir() {
            return Self::folder(path);
        }
        if !metadata.is_file() {
            return Err(Error::not_runnable(format!(
                "{} is neither a file nor a folder",
                path.display()
            )));
        }
        let mut head = Vec::new();
        File::open(&path).and_then(|file| file.take(512).read_to_end(&mut head)).map_err(
            |error| Error::not_runnable(format!("cannot read {}", path.display())).because(error),
        )?;
        let is_tar = head.get(257..262) == Some(b"ustar");
        let is_gzip = head.starts_with(&[0x1f, 0x8b]);
        Ok(if is_tar || is_gzip { Self::Archive(path) } else { Self::Program(path) })
    }

    fn folder(path: PathBuf) -> Result<Self> {
        if Manifest::is_in(&path) || project::Language::detect(&path)?.is_some() {
            return Ok(Self::Project(path));
        }
        let has = |name: &str| path.join(name).is_dir();
        if has("bin") || has("usr") || has("etc") || has("sbin") {
            return Ok(Self::Folder(path));
        }
        let mut names =
            fs::read_dir(&path).context(|| format!("cannot list {}", path.display()))?.flatten();
        if names.next().is_none() {
            return Err(Error::not_runnable(format!("the folder {} is empty", path.display())));
        }
        Err(Error::not_runnable(format!(
            "{} is neither a project in a known language nor the root of a system",
            path.display()
        ))
        .hint("known are C, C++, Rust, make and CMake; or say in drupe.toml how to build it"))
    }
}

/// The error for a name that is no path.
fn unknown(name: &OsStr) -> Error {
    let shown = name.to_string_lossy();
    let error = Error::not_found(format!("{shown} is neither a path nor a local image"));
    let on_path = (!shown.contains('/')).then(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| is_program(file))
    });
    match on_path.flatten() {
        Some(found) => error.hint(format!("did you mean {}?", found.display())),
        None => error,
    }
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

//! From a name on the command line to a root with a program in it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use drupe_roots::{Options, Selection};

use crate::error::{Error, Result};
use crate::home::Home;
use crate::images::{self, Written};
use crate::manifest::Manifest;
use crate::project;
use crate::roots::{Origin, Root};
use crate::target::Target;

/// What programs find set when nobody says otherwise.
const ENVIRONMENT: &[&str] =
    &["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"];

/// A target that is understood, and built if it was source.
#[derive(Clone, Debug)]
pub struct Source {
    /// What its root is made from.
    pub origin: Origin,
    /// How it is run when nothing else is said.
    pub settings: Settings,
}

/// How a program is run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The arguments behind the program's name.
    pub arguments: Vec<Vec<u8>>,
    /// The environment, each `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// The working directory.
    pub working_directory: String,
}

impl Settings {
    /// Sets a variable, `NAME=value`, in place of one of the same name.
    pub fn set_variable(&mut self, variable: Vec<u8>) {
        let name =
            |variable: &[u8]| variable.split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
        let wanted = name(&variable);
        self.environment.retain(|other| name(other) != wanted);
        self.environment.push(variable);
    }
}

impl Source {
    /// Finds out what `name` is and builds it if it is source. `arguments` are the program's;
    /// the first one chooses the program when the target is a folder or image.
    ///
    /// # Errors
    /// When there is no such target, or it cannot be built.
    pub fn open(
        name: &OsStr,
        arguments: &[OsString],
        include: &[PathBuf],
        home: &Home,
        progress: &dyn Fn(&str),
    ) -> Result<Self> {
        let mut settings = Settings {
            arguments: arguments.iter().map(|argument| argument.clone().into_vec()).collect(),
            environment: ENVIRONMENT.iter().map(|variable| variable.as_bytes().to_vec()).collect(),
            working_directory: String::new(),
        };
        let origin = match Target::resolve(name)? {
            Target::Program(path) => Origin::Program(path, Options::default()),
            Target::Project(folder) => {
                let manifest = Manifest::of(&folder)?;
                let run = &manifest.run;
                if arguments.is_empty() {
                    settings.arguments = run
                        .arguments
                        .iter()
                        .map(|argument| argument.clone().into_bytes())
                        .collect();
                }
                for (name, value) in &run.environment {
                    settings.set_variable(format!("{name}={value}").into_bytes());
                }
                settings.working_directory = run.working_directory.clone().unwrap_or_default();
                project::build(&folder, &manifest, home, progress)?
            }
            Target::Folder(folder) => {
                let program = program_in(&folder, arguments.first())?;
                if !settings.arguments.is_empty() {
                    settings.arguments.remove(0);
                }
                Origin::Folder(folder, program)
            }
            Target::Archive(path) => {
                let archive = images::open(&path, home)?;
                let word = images::command(&archive, &path, &mut settings)?;
                Origin::Archive(path, word)
            }
        };
        let origin = match origin {
            Origin::Program(program, mut options) => {
                options.include.extend(include.iter().cloned());
                Origin::Program(program, options)
            }
            Origin::Folder(..) | Origin::Archive(..) if !include.is_empty() => {
                return Err(Error::new("--include adds to programs and projects only")
                    .hint("put the file into the folder or image"));
            }
            other => other,
        };
        Ok(Self { origin, settings })
    }

    /// The program's file on this host, if it comes from one.
    pub fn program_file(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Program(program, _) => Some(program),
            Origin::Folder(..) | Origin::Archive(..) => None,
        }
    }

    /// The files of its root, each with the reason.
    ///
    /// # Errors
    /// When something is missing or unreadable, or the program cannot run.
    pub fn select(&self) -> Result<Selection> {
        self.origin.select()
    }

    /// Its root image: a kept one when nothing has changed, otherwise made now.
    ///
    /// # Errors
    /// As [`Source::select`], or when the image cannot be written.
    pub fn root(&self, home: &Home, progress: &dyn Fn(&str)) -> Result<Root> {
        self.origin.prepare(home, progress)
    }

    /// Writes it to the new file `path` as an OCI archive with the name `name`.
    ///
    /// # Errors
    /// As [`Source::select`], or when the archive cannot be written.
    pub fn write_archive(
        &self,
        name: &str,
        path: &Path,
        home: &Home,
        progress: &dyn Fn(&str),
    ) -> Result<Written> {
        let selection = self.select()?;
        let root = self.root(home, progress)?;
        images::write(name, path, &selection, &root, &self.settings)
    }
}

/// The path, inside the root, of the program that `wanted` names, or of a shell.
fn program_in(root: &Path, wanted: Option<&OsString>) -> Result<PathBuf> {
    let exists = |path: &Path| {
        let inside = root.join(path.strip_prefix("/").unwrap_or(path));
        // Links with absolute targets lead elsewhere on the host; that they are there must do.
        inside.symlink_metadata().is_ok()
    };
    let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let found = match wanted {
        Some(wanted) if wanted.as_encoded_bytes().starts_with(b"/") => {
            Some(PathBuf::from(wanted)).filter(|path| exists(path))
        }
        Some(wanted) => {
            folders.iter().map(|folder| Path::new(folder).join(wanted)).find(|path| exists(path))
        }
        None => {
            ["/init", "/sbin/init", "/bin/sh"].iter().map(PathBuf::from).find(|path| exists(path))
        }
    };
    found.ok_or_else(|| match wanted {
        Some(wanted) => Error::not_found(format!(
            "{} has no program {}",
            root.display(),
            wanted.to_string_lossy()
        )),
        None => Error::not_found(format!("{} has neither init nor a shell", root.display()))
            .hint("name the program behind the folder: drupe run FOLDER /path/of/program"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_replaces_the_one_of_its_name() {
        let mut settings = Settings::default();
        for variable in ["A=1", "AB=2", "A=3"] {
            settings.set_variable(variable.into());
        }
        assert_eq!(settings.environment, [b"AB=2".to_vec(), b"A=3".to_vec()]);
    }
}

//! `drupe.toml`: what detection cannot guess about a project.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};

const NAME: &str = "drupe.toml";

/// The contents of a project's `drupe.toml`. Everything may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Manifest {
    /// The name of the program and the image.
    pub name: Option<String>,
    /// A command that builds the project, run by `sh` in its folder.
    pub build: Option<String>,
    /// The program that the build makes, relative to the project.
    pub program: Option<PathBuf>,
    /// Files and folders of the project that the program needs; they stand under `/app`.
    pub include: Vec<PathBuf>,
    /// For C and C++.
    pub c: C,
    /// How it is run.
    pub run: Run,
}

/// How C and C++ sources are compiled.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct C {
    /// Further options for the compiler.
    pub flags: Vec<String>,
    /// Libraries to link with, as behind `-l`.
    pub libraries: Vec<String>,
}

/// How a program is run when nothing else is said.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Run {
    /// Arguments when none are given.
    pub arguments: Vec<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// The working directory.
    pub working_directory: Option<String>,
}

impl Manifest {
    /// Whether the folder has one.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(NAME).is_file()
    }

    /// Reads the one of `folder`; an empty one when there is none.
    ///
    /// # Errors
    /// When it cannot be read or says what is not known.
    pub fn of(folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(Error::new(format!("cannot read {}", path.display())).because(error));
            }
        };
        Self::parse(&text, &path)
    }

    /// Reads the text of the file `path`.
    ///
    /// # Errors
    /// When it says what is not known.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            Error::new(format!("{} is not valid", path.display())).because(error.to_string())
        })
    }
}

//! What can go wrong while a root is put together.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::elf_file::ElfError;

/// Why no root can be made for a program.
#[derive(Debug)]
pub enum Error {
    /// A file that is needed cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The program, its interpreter or a library cannot be run.
    NotRunnable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ElfError,
    },
    /// The program, or a script's interpreter, names an interpreter that is not there.
    NoInterpreter {
        /// The program or script.
        path: PathBuf,
        /// What it names.
        interpreter: PathBuf,
    },
    /// A shared library is not there.
    NoLibrary {
        /// What needs it.
        path: PathBuf,
        /// The name that it asks for.
        library: String,
    },
    /// The file is of a kind that a root cannot hold.
    Unsupported(PathBuf),
    /// A path that cannot stand in an image.
    Path(PathBuf),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, .. } => write!(f, "cannot read {}", path.display()),
            Self::NotRunnable { path, .. } => write!(f, "cannot run {}", path.display()),
            Self::NoInterpreter { path, interpreter } => write!(
                f,
                "{} needs the interpreter {}, which this host does not have",
                path.display(),
                interpreter.display()
            ),
            Self::NoLibrary { path, library } => write!(
                f,
                "{} needs the library {library}, which this host does not have",
                path.display()
            ),
            Self::Unsupported(path) => {
                write!(f, "{} is neither a file, a folder nor a link", path.display())
            }
            Self::Path(path) => write!(f, "{} cannot stand in an image", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::NotRunnable { source, .. } => Some(source),
            _ => None,
        }
    }
}

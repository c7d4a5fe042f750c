//! Why an archive cannot be used.

use std::fmt;
use std::io;

/// Why an archive cannot be used.
#[derive(Debug)]
pub enum Error {
    /// Reading or writing failed.
    Io(io::Error),
    /// It is no archive of an image; says what is missing.
    NotAnImage(&'static str),
    /// It contradicts itself; says where.
    Damaged(String),
    /// It uses what is not supported; says what.
    Unsupported(String),
    /// It has nothing for this architecture.
    Architecture,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotAnImage(what) => write!(f, "it is no image archive: {what}"),
            Self::Damaged(what) => write!(f, "the image is damaged: {what}"),
            Self::Unsupported(what) => write!(f, "the image uses {what}, which is not supported"),
            Self::Architecture => f.write_str("the image has nothing for linux/amd64"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        // An archive that ends early is damaged, whoever notices.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Damaged("it is cut off".to_owned());
        }
        Self::Io(error)
    }
}

//! What cannot be had.

use std::fmt;

/// A failure, said for people: what failed, on what, and what to do.
#[derive(Debug)]
pub struct Error {
    what: String,
    hint: Option<String>,
    cause: Option<std::io::Error>,
}

/// A result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A failure.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), hint: None, cause: None }
    }

    /// What to do about it.
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Why it failed.
    pub(crate) fn because(mut self, cause: impl Into<std::io::Error>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

//! Errors for people: what failed, on what, why, and what to do next.

use std::fmt;

/// Result of an operation of the engine.
pub type Result<T> = std::result::Result<T, Error>;

/// What kind of failure it is: callers turn it into exit codes or HTTP statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// drupe or the host could not do it.
    Failed,
    /// The target exists but is nothing that can be run.
    NotRunnable,
    /// The target does not exist.
    NotFound,
}

/// An error with a message for people, an optional hint and its cause.
#[derive(Debug)]
pub struct Error {
    failure: Failure,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of drupe or the host: `message` says what failed and on what.
    pub fn new(message: impl Into<String>) -> Self {
        Self { failure: Failure::Failed, message: message.into(), hint: None, source: None }
    }

    /// A target that is nothing that can be run.
    pub fn not_runnable(message: impl Into<String>) -> Self {
        Self { failure: Failure::NotRunnable, ..Self::new(message) }
    }

    /// A target that does not exist.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self { failure: Failure::NotFound, ..Self::new(message) }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds why it failed.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    pub fn failure(&self) -> Failure {
        self.failure
    }

    /// What to do next, if there is advice.
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Turns a failure into an [`Error`] that says what was being done.
pub(crate) trait Context<T> {
    fn context<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T>
    for std::result::Result<T, E>
{
    fn context<M: Into<String>>(self, message: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|error| Error::new(message()).because(error))
    }
}

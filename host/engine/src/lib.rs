//! Builds images and runs instances, as a library: the command line and the daemon use it.
//!
//! A run has four steps: a target becomes a root and a [`Configuration`]; a [`Kernel`] is found or built; a
//! [`Provider`] makes a running [`Instance`] of them; [`attach`] connects it to the caller's
//! streams until it ends.
//!
//! Principles: whatever cannot work is refused before anything starts, with an [`Error`] that
//! says what to do; nothing is left behind, not even when drupe is killed; what a guest sends
//! is data and never trusted.
//!
//! Not here: parsing of command lines, printing of results.
#![forbid(unsafe_code)]

pub mod attach;
mod configuration;
pub mod doctor;
mod error;
mod home;
mod images;
pub mod keep;
mod kernel;
mod manifest;
mod memory_file;
mod prepare;
mod project;
pub mod provider;
mod roots;
mod symbols;
mod target;

pub use configuration::Configuration;
pub use error::{Error, Failure, Result};
pub use home::Home;
pub use images::Written;
pub use kernel::{Kernel, Platform};
pub use manifest::Manifest;

pub use prepare::{Settings, Source};
pub use provider::{Instance, Launch, Provider};
pub use roots::Root;

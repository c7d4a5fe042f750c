//! OCI image archives: one tar file that holds an image layout.
//!
//! [`write`] makes an archive that every container tool reads; the same tree gives the same
//! bytes. [`Archive`] reads what it and other tools have made: OCI archives, and those of
//! `docker save`.
//!
//! Principles: an image is an ordinary one (standard media types, no kernel inside); layers
//! are read where they lie, not unpacked, unless they are compressed; every digest is checked before what
//! it names is used; names that lead out of the root are refused.
//!
//! Not here: registries, signatures.
//!
//! Source: OCI Image Format Specification 1.1; Docker Image Specification 1.2.
#![forbid(unsafe_code)]

mod archive;
mod documents;
mod error;
mod layer;
mod write;

pub use archive::Archive;
pub use documents::ImageConfig;
pub use error::Error;
pub use write::{Image, write};

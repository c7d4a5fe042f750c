//! What a program needs from the host's file system, and why.
//!
//! [`select`] follows a program to everything that it needs and collects it in a [`RootTree`],
//! in which every file carries its reason:
//!
//! - A program from a Debian package brings the files of its package and of the packages that
//!   it depends on, as `dpkg`'s database tells (no `dpkg` is run), without documentation.
//! - Any other program brings its interpreter and shared libraries, found as the dynamic
//!   linker finds them.
//! - A script brings its interpreter, likewise.
//! - What the user includes by path, and a minimal `/etc`.
//!
//! Principles: what an ELF file or database says is checked before it is used; the same host
//! state gives the same tree; no secret of the host gets in unless it is named by its path;
//! symbolic links stay links, and what they lead through is kept.
//!
//! Not here: building programs, storing images.
#![forbid(unsafe_code)]

mod base;
pub mod dpkg;
mod elf_file;
mod error;
mod host;
mod image;
mod libraries;
pub mod linker_cache;
mod packages;
mod secrets;
mod select;
mod tree;

pub use elf_file::{ElfError, ElfFile};
pub use error::Error;
pub use image::write_image;
pub use select::{Options, Selection, select, select_folder};
pub use tree::{Entry, Node, RootTree, Source};

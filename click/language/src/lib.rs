//! The Click configuration language, from text to a flat graph of elements.
//!
//! A configuration is read in three steps: [`parse`] turns text into declarations and
//! connections, compound elements and groups are expanded away, and the result is a
//! [`Graph`]: elements of primitive classes with their configuration strings, and the
//! connections between their ports. What the strings mean is the elements' business; the
//! tools to take them apart are in [`config`] and [`value`].
//!
//! Principles: no input makes the parser panic or recurse without bound; every error
//! carries the position (`file:line`) in the form that Click's tools print, because other
//! programs read it; nothing here touches files, devices or clocks.
//!
//! Configurations may hold arbitrary bytes. Text is therefore carried as `str` in which
//! each character from U+0000 to U+00FF stands for one byte; [`text`] converts.
//!
//! Source: click(5), the Click language manual page, and the behaviour of Click 2.1.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod config;
pub mod expand;
pub mod graph;
pub mod report;
pub mod text;
pub mod value;

mod compound;
mod flatten;
mod lexer;
mod parser;
mod tunnel;

pub use compound::Libraries;
pub use graph::{Connection, Declaration, Graph, Port};
pub use parser::{Mode, Options, parse};
pub use report::{Landmark, Report, Severity};

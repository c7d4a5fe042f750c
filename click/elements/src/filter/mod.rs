//! Classifiers: patterns become a graph of tests on 32-bit words, which is simplified and
//! then turned into a form that runs fast.
//!
//! The text of a program is that of Click's `program` handlers.

mod bitmap;
pub(crate) mod language;
pub(crate) mod matcher;
mod meaning;
pub(crate) mod program;
mod simplify;

pub(crate) use matcher::{Matcher, Scratch};
pub(crate) use program::{Expression, Jump, Program, Test};

//! Writing images: collect a [`Tree`], then [`write`] it.
//!
//! The layout (every inode, directory block and file) is computed from names and sizes alone;
//! then the image goes out from the first byte to the last, and each file's data is asked for
//! once, in order.

mod emit;
mod plan;
mod tree;

pub use emit::{Options, WriteError, write};
pub use tree::{Attributes, Content, Tree, TreeError, View};

/// Bytes in a block of an image that is written, and what file data is aligned to.
pub const BLOCK_SIZE: usize = 4096;

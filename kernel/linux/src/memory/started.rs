//! What a program was started with, for who cannot read its memory.

use alloc::vec::Vec;

/// The strings and the auxiliary vector of the initial stack.
#[derive(Debug, Default)]
pub struct StartedWith {
    /// Arguments, each with its NUL.
    pub arguments: Vec<u8>,
    /// Environment, each string with its NUL.
    pub environment: Vec<u8>,
    /// The auxiliary vector as bytes.
    pub auxiliary: Vec<u8>,
}

/// Strings one after the other, each with its NUL.
pub fn joined(strings: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(strings.iter().map(|string| string.len() + 1).sum());
    for string in strings {
        bytes.extend_from_slice(string);
        bytes.push(0);
    }
    bytes
}

//! Scripts that name their interpreter in the first line.

use alloc::vec::Vec;

use errno::Errno;
use vfs::{Context, ExecuteAccess, Final, Resolve};

use super::Start;
use crate::error::{Result, fail};
use crate::file::read_pages;
use crate::user::Collected;

/// Interpreters that are scripts themselves, at most; and bytes of a first line.
const MAX_DEPTH: usize = 5;
const MAX_LINE: usize = 256;

/// Replaces a script by its interpreter, with the arguments that it gets. Gives the right to
/// execute what is left.
pub fn resolve(context: &Context<'_>, mut start: Start) -> Result<(Start, ExecuteAccess)> {
    for _ in 0..=MAX_DEPTH {
        let access = super::check(context, &start.location)?;
        let mut sink = Collected::new(MAX_LINE);
        read_pages(&**start.location.inode(), &mut sink, 0)?;
        let Some(line) = sink.bytes.strip_prefix(b"#!") else { return Ok((start, access)) };
        let (path, argument) = parse(line, sink.bytes.len() == MAX_LINE)?;
        let location = context.resolve(None, &path, Final::Follow, Resolve::default())?;
        let mut arguments: Vec<Vec<u8>> = Vec::with_capacity(start.arguments.len() + 2);
        arguments.push(path.clone());
        arguments.extend(argument);
        arguments.push(start.name);
        arguments.extend(start.arguments.into_iter().skip(1));
        start = Start { location, name: path, arguments, environment: start.environment };
    }
    fail(Errno::ELOOP)
}

/// The interpreter and its one argument.
fn parse(line: &[u8], cut_off: bool) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let end = line.iter().position(|&byte| byte == b'\n');
    let text = line[..end.unwrap_or(line.len())].trim_ascii();
    let name_end = text.iter().position(blank);
    if text.is_empty() || (end.is_none() && cut_off && name_end.is_none()) {
        return fail(Errno::ENOEXEC);
    }
    let path = text[..name_end.unwrap_or(text.len())].to_vec();
    let rest = name_end.map_or(&b""[..], |end| text[end..].trim_ascii());
    Ok((path, (!rest.is_empty()).then(|| rest.to_vec())))
}

//! Writing a tree as an EROFS image.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use erofs::write::{Options, Tree, WriteError, write};

use crate::tree::Source;

/// Writes `tree` as an image; returns its length in bytes. The same tree and contents give the
/// same bytes.
///
/// # Errors
/// When a file cannot be read, has become shorter, or the image cannot be written.
pub fn write_image(tree: &Tree<Source>, output: &mut dyn Write) -> io::Result<u64> {
    let mut open: Option<(PathBuf, File)> = None;
    let read = |source: &Source, position: u64, buffer: &mut [u8]| match source {
        Source::Bytes(bytes) => {
            let rest = usize::try_from(position).ok().and_then(|start| bytes.get(start..));
            let rest = rest.unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            Ok(count)
        }
        Source::Part(file, start) => file.read_at(buffer, start + position),
        Source::Host(path) => {
            let file = match &mut open {
                Some((name, file)) if name == path => file,
                other => &mut other.insert((path.clone(), open_host(path)?)).1,
            };
            file.read_at(buffer, position)
        }
    };
    write(tree, &Options::default(), read, |bytes| output.write_all(bytes)).map_err(|error| {
        match error {
            WriteError::Io(error) => error,
            other => io::Error::other(other.to_string()),
        }
    })
}

fn open_host(path: &PathBuf) -> io::Result<File> {
    File::open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

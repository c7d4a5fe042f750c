//! The standard streams: what the host connects the guest to.

use alloc::sync::Arc;
use core::any::Any;

use hal::Report;

use super::{File, FileTable, OpenFile, flags};
use crate::error::Result;
use crate::user::{Sink, Source};

/// Standard input: empty, as the host gives none yet.
struct Input;

impl File for Input {
    fn read(&self, _open: &OpenFile, _to: &mut dyn Sink, _position: u64) -> Result<usize> {
        Ok(0)
    }

    fn label(&self) -> alloc::string::String {
        "pipe:[1]".into()
    }

    fn reopen(self: Arc<Self>, _options: u32) -> Result<Arc<dyn File>> {
        Ok(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Standard output or error.
struct Output {
    kind: Report,
}

impl File for Output {
    fn write(&self, _open: &OpenFile, from: &mut dyn Source, _position: u64) -> Result<usize> {
        let mut done = 0;
        let mut chunk = [0; 1024];
        while from.left() > 0 {
            match from.get(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    hal::report(self.kind, 0, &chunk[..count]);
                    done += count;
                }
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn label(&self) -> alloc::string::String {
        alloc::format!("pipe:[{}]", self.kind as u8)
    }

    fn reopen(self: Arc<Self>, _options: u32) -> Result<Arc<dyn File>> {
        Ok(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A table with the three standard streams.
pub fn standard_streams() -> Result<FileTable> {
    let table = FileTable::new();
    let files: [(Arc<dyn File>, u32); 3] = [
        (Arc::new(Input), 0),
        (Arc::new(Output { kind: Report::Stdout }), flags::WRONLY),
        (Arc::new(Output { kind: Report::Stderr }), flags::WRONLY),
    ];
    for (file, access) in files {
        table.add(OpenFile::new(file, None, access), false, 0, 3)?;
    }
    Ok(table)
}

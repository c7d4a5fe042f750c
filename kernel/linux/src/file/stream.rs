//! The standard streams: what the host connects the guest to.

use alloc::sync::Arc;
use core::any::Any;

use hal::Report;

use super::{File, FileTable, OpenFile, flags};
use crate::error::Result;
use crate::user::Source;

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

/// A table with the three standard streams; `input` is what a program reads.
pub fn standard_streams(input: Arc<OpenFile>) -> Result<FileTable> {
    let output = |kind| OpenFile::new(Arc::new(Output { kind }), None, flags::WRONLY);
    table_of([input, output(Report::Stdout), output(Report::Stderr)])
}

/// A table whose three standard streams are one open file.
pub fn terminal_streams(terminal: &Arc<OpenFile>) -> Result<FileTable> {
    table_of([terminal, terminal, terminal].map(Arc::clone))
}

fn table_of(files: [Arc<OpenFile>; 3]) -> Result<FileTable> {
    let table = FileTable::new();
    for file in files {
        table.add(file, false, 0, 3)?;
    }
    Ok(table)
}

//! Text files read line by line.

use alloc::string::String;
use alloc::vec::Vec;

use click_language::text;
use click_runtime::Context;
use click_runtime::host::{Handle, Open};

/// Longest line; what is longer is cut into several.
const LONGEST: usize = 1 << 20;

/// A file, or text that stands for one.
#[derive(Default)]
pub(crate) struct Lines {
    handle: Option<Handle>,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Lines {
    /// Opens a file.
    pub(crate) fn open(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), String> {
        self.handle = Some(cx.host().open(name, Open::Read)?);
        self.ended = false;
        Ok(())
    }

    /// Reads from text instead.
    pub(crate) fn set_text(&mut self, text: &str) {
        self.buffer = text::to_bytes(text);
    }

    /// Reads more. False at the end.
    fn fill(&mut self, cx: &mut Context<'_>) -> bool {
        self.buffer.drain(..self.at);
        self.at = 0;
        let Some(handle) = self.handle.filter(|_| !self.ended) else { return false };
        let start = self.buffer.len();
        self.buffer.resize(start + (1 << 16), 0);
        let count = match cx.host().read(handle, &mut self.buffer[start..]) {
            Ok(count) => count,
            Err(error) => {
                cx.error(&error);
                0
            }
        };
        self.buffer.truncate(start + count);
        if count == 0 {
            self.ended = true;
            self.close(cx);
        }
        count > 0
    }

    /// The next line, without its end; none at the end of the file.
    pub(crate) fn line(&mut self, cx: &mut Context<'_>) -> Option<String> {
        let mut searched = 0;
        loop {
            let rest = &self.buffer[self.at..];
            let found = rest[searched..].iter().position(|&byte| byte == b'\n' || byte == b'\r');
            if let Some(found) = found.map(|found| found + searched) {
                // A carriage return at the end of the buffer may belong to a line feed.
                if rest[found] == b'\r' && found + 1 == rest.len() && self.fill(cx) {
                    continue;
                }
                let rest = &self.buffer[self.at..];
                let line = text::from_bytes(&rest[..found]);
                let both = rest[found] == b'\r' && rest.get(found + 1) == Some(&b'\n');
                self.at += found + if both { 2 } else { 1 };
                return Some(line);
            }
            searched = rest.len();
            if searched >= LONGEST || !self.fill(cx) {
                if self.at == self.buffer.len() {
                    return None;
                }
                let line = text::from_bytes(&self.buffer[self.at..]);
                self.at = self.buffer.len();
                return Some(line);
            }
        }
    }

    /// Closes the file.
    pub(crate) fn close(&mut self, cx: &mut Context<'_>) {
        if let Some(handle) = self.handle.take() {
            cx.host().close(handle);
        }
    }
}

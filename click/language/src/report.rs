//! Errors and warnings with positions, in the form that Click's tools print.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A position in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landmark {
    /// Name of the file, `config` for text from elsewhere.
    pub file: Arc<str>,
    /// Line, counted from 1; 0 when the position has none.
    pub line: u32,
}

impl Landmark {
    /// The position `file:line`.
    pub fn new(file: &str, line: u32) -> Self {
        Self { file: file.into(), line }
    }
}

impl core::fmt::Display for Landmark {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match (self.file.is_empty(), self.line) {
            (true, 0) => Ok(()),
            (true, line) => write!(out, "{line}"),
            (false, 0) => write!(out, "{}", self.file),
            (false, line) => write!(out, "{}:{line}", self.file),
        }
    }
}

/// How bad a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something to know.
    Message,
    /// Probably not what was meant.
    Warning,
    /// The configuration cannot be used.
    Error,
}

/// Messages in the order in which they arose, with at most one open context.
#[derive(Clone, Debug, Default)]
pub struct Report {
    messages: Vec<(Severity, String)>,
    contexts: Vec<Context>,
    errors: usize,
    warnings: usize,
}

#[derive(Clone, Debug)]
struct Context {
    heading: String,
    landmark: String,
    printed: bool,
}

impl Report {
    /// An empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an error at a position.
    pub fn error_at(&mut self, landmark: &Landmark, text: &str) {
        self.add(Severity::Error, Some(landmark.to_string()), text);
    }

    /// Adds a warning at a position.
    pub fn warning_at(&mut self, landmark: &Landmark, text: &str) {
        self.add(Severity::Warning, Some(landmark.to_string()), text);
    }

    /// Adds a message at a position.
    pub fn message_at(&mut self, landmark: &Landmark, text: &str) {
        self.add(Severity::Message, Some(landmark.to_string()), text);
    }

    /// Adds an error; inside a context it is indented below the context's heading.
    pub fn error(&mut self, text: &str) {
        self.add(Severity::Error, None, text);
    }

    /// Adds a warning.
    pub fn warning(&mut self, text: &str) {
        self.add(Severity::Warning, None, text);
    }

    /// Adds a message.
    pub fn message(&mut self, text: &str) {
        self.add(Severity::Message, None, text);
    }

    /// Opens a context: the heading is printed once, before the first message in it.
    pub fn enter(&mut self, landmark: Option<&Landmark>, heading: &str) {
        self.contexts.push(Context {
            heading: heading.into(),
            landmark: landmark.map(ToString::to_string).unwrap_or_default(),
            printed: false,
        });
    }

    /// Closes the innermost context.
    pub fn leave(&mut self) {
        self.contexts.pop();
    }

    /// Errors so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Warnings so far.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// Takes the lines to print, keeping the counts. With `warnings` false, warnings are
    /// left out.
    pub fn take_lines(&mut self, warnings: bool) -> Vec<String> {
        let taken = core::mem::take(&mut self.messages);
        taken
            .into_iter()
            .filter(|(severity, _)| warnings || *severity != Severity::Warning)
            .map(|(_, line)| line)
            .collect()
    }

    fn add(&mut self, severity: Severity, landmark: Option<String>, text: &str) {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Message => {}
        }
        let mut indent = String::new();
        for at in 0..self.contexts.len() {
            let context = &mut self.contexts[at];
            if !context.printed {
                context.printed = true;
                let line = if indent.is_empty() && !context.landmark.is_empty() {
                    format!("{}: {}", context.landmark, context.heading)
                } else {
                    format!("{indent}{}", context.heading)
                };
                self.messages.push((severity, line));
            }
            indent.push_str("  ");
        }
        let warning = if severity == Severity::Warning { "warning: " } else { "" };
        for (number, line) in text.lines().enumerate() {
            let warning = if number == 0 { warning } else { "" };
            let line = match &landmark {
                Some(landmark) if self.contexts.is_empty() && !landmark.is_empty() => {
                    format!("{landmark}: {warning}{line}")
                }
                _ => format!("{indent}{warning}{line}"),
            };
            self.messages.push((severity, line));
        }
        if text.is_empty() {
            self.messages.push((severity, indent));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_named_once() {
        let mut report = Report::new();
        report.enter(Some(&Landmark::new("f", 3)), "While configuring 'a :: B':");
        report.error("one");
        report.warning("two");
        report.leave();
        report.error_at(&Landmark::new("f", 4), "three");
        assert_eq!(
            report.take_lines(true),
            ["f:3: While configuring 'a :: B':", "  one", "  warning: two", "f:4: three"]
        );
        assert_eq!((report.errors(), report.warnings()), (2, 1));
    }
}

//! Handlers: named text values of elements that can be read or written while they run.

use alloc::borrow::Cow;
use alloc::string::String;

/// What a handler gives: a value (empty after a write), or what went wrong.
pub type Answer = Result<String, String>;

/// A handler as an element offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// Name.
    pub name: Cow<'static, str>,
    /// Can be read.
    pub read: bool,
    /// Can be written.
    pub write: bool,
    /// Reading takes a parameter.
    pub parameter: bool,
    /// The value is bytes, not text: no line end is added.
    pub raw: bool,
    /// Reading is for elements of the router only, not for people outside.
    pub private: bool,
    /// Writing takes no value, as for a push button.
    pub button: bool,
    /// The value is a boolean.
    pub checkbox: bool,
}

impl Handler {
    const fn new(name: &'static str, read: bool, write: bool) -> Self {
        Self {
            name: Cow::Borrowed(name),
            read,
            write,
            parameter: false,
            raw: false,
            private: false,
            button: false,
            checkbox: false,
        }
    }

    /// A handler to read.
    pub const fn read(name: &'static str) -> Self {
        Self::new(name, true, false)
    }

    /// A handler to write.
    pub const fn write(name: &'static str) -> Self {
        Self::new(name, false, true)
    }

    /// A handler to read and write.
    pub const fn both(name: &'static str) -> Self {
        Self::new(name, true, true)
    }

    /// A handler to read with a parameter.
    pub const fn query(name: &'static str) -> Self {
        let mut new = Self::new(name, true, false);
        new.parameter = true;
        new
    }

    /// A handler to write without a value.
    pub const fn button(name: &'static str) -> Self {
        let mut new = Self::new(name, false, true);
        new.button = true;
        new
    }

    /// A handler to read and write a boolean.
    pub const fn checkbox(name: &'static str) -> Self {
        let mut new = Self::new(name, true, true);
        new.checkbox = true;
        new
    }

    /// The same, with a raw value.
    #[must_use]
    pub const fn raw(mut self) -> Self {
        self.raw = true;
        self
    }

    /// The same, with reading kept to the router.
    #[must_use]
    pub const fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// The same, with a parameter.
    #[must_use]
    pub const fn with_parameter(mut self) -> Self {
        self.parameter = true;
        self
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: String) -> Self {
        self.name = Cow::Owned(name);
        self
    }

    /// The letters that the `handlers` handler prints behind the name.
    pub fn flags(&self) -> String {
        let mut text = String::new();
        for (set, letter) in [
            (self.read && !self.private, 'r'),
            (self.write, 'w'),
            (self.parameter, '+'),
            (self.raw, '%'),
            (self.button, 'b'),
            (self.checkbox, 'x'),
        ] {
            if set {
                text.push(letter);
            }
        }
        text
    }
}

/// A handler named in a configuration, with the value that belongs to the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The element; none means the router itself.
    pub element: Option<usize>,
    /// Name of the handler.
    pub handler: String,
    /// Value to write or parameter to read with.
    pub value: String,
}

//! The caller's terminal while a guest uses it.

use std::io;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// Puts the terminal of standard input into raw mode, so that every key reaches the guest, and
/// puts it back when dropped.
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// Changes the terminal; `None` when standard input is none.
    pub fn enter() -> io::Result<Option<Self>> {
        let input = rustix::stdio::stdin();
        if !rustix::termios::isatty(input) {
            return Ok(None);
        }
        let before = tcgetattr(input)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(input, OptionalActions::Flush, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Rows and columns of the terminal on standard output or input, if one is there.
pub fn size() -> Option<(u16, u16)> {
    let streams = [rustix::stdio::stdout(), rustix::stdio::stdin()];
    let size = streams.into_iter().find_map(|stream| rustix::termios::tcgetwinsize(stream).ok())?;
    Some((size.ws_row, size.ws_col))
}

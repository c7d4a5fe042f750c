//! The line discipline: what happens to bytes between a terminal and its programs. It only
//! computes; see termios(3).

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::settings::{Settings, input, key, local, output};

/// The longest line, its end included, and the most input that waits (`MAX_CANON`).
const MAX_INPUT: usize = 4096;
/// The most output that waits.
const MAX_OUTPUT: usize = 8192;

/// A key that raises a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Interrupt,
    Quit,
    Suspend,
}

/// Input and output of a terminal.
pub struct Discipline {
    /// How it works.
    pub settings: Settings,
    /// The line that is being typed.
    editing: VecDeque<u8>,
    /// What can be read.
    data: VecDeque<u8>,
    /// How many bytes of `data` each finished line has.
    lines: VecDeque<usize>,
    /// What the terminal has still to show.
    pub output: VecDeque<u8>,
    column: usize,
    literal: bool,
    /// Output stands still (`^S`).
    pub stopped: bool,
}

impl Default for Discipline {
    fn default() -> Self {
        Self::new()
    }
}

impl Discipline {
    /// Nothing typed, default settings.
    pub fn new() -> Self {
        Self {
            settings: Settings::new(),
            editing: VecDeque::new(),
            data: VecDeque::new(),
            lines: VecDeque::new(),
            output: VecDeque::new(),
            column: 0,
            literal: false,
            stopped: false,
        }
    }

    fn is_canonical(&self) -> bool {
        self.settings.local(local::ICANON)
    }

    /// Changes the settings. What was typed stays.
    pub fn set(&mut self, settings: Settings) {
        let before = self.is_canonical();
        self.settings = settings;
        if before && !self.is_canonical() {
            self.lines.clear();
            self.data.append(&mut self.editing);
        } else if !before && self.is_canonical() && !self.data.is_empty() {
            self.lines.push_back(self.data.len());
        }
        if !self.settings.input(input::IXON) {
            self.stopped = false;
        }
    }

    /// Bytes that a read gives at most.
    pub fn readable(&self) -> usize {
        if self.is_canonical() { self.lines.iter().sum() } else { self.data.len() }
    }

    /// Whether a read has something to give, be it an end of file.
    pub fn is_readable(&self) -> bool {
        if self.is_canonical() {
            return !self.lines.is_empty();
        }
        let [time, minimum] = [key::TIME, key::MIN].map(|key| self.settings.keys[key]);
        self.data.len() >= if time == 0 { usize::from(minimum).max(1) } else { 1 }
    }

    /// How long a read that finds nothing waits: tenths of a second, `None` without limit.
    pub fn patience(&self) -> Option<u8> {
        let [time, minimum] = [key::TIME, key::MIN].map(|key| self.settings.keys[key]);
        (!self.is_canonical() && minimum == 0).then_some(time)
    }

    /// Whether more can be typed.
    pub fn has_input_room(&self) -> bool {
        // A line that is too long loses bytes instead of standing in the way of its end.
        self.data.len() < MAX_INPUT
    }

    /// Whether more can be shown.
    pub fn has_output_room(&self) -> bool {
        self.output.len() < MAX_OUTPUT && !self.stopped
    }

    /// What a read of `room` bytes would give, without taking it; `None`: it has to wait.
    pub fn look(&self, room: usize) -> Option<Vec<u8>> {
        if !self.is_readable() && self.data.len() < room.max(1) {
            return None;
        }
        let limit = if self.is_canonical() { *self.lines.front()? } else { self.data.len() };
        Some(self.data.iter().take(limit.min(room)).copied().collect())
    }

    /// Takes what was read.
    pub fn take(&mut self, count: usize) {
        self.data.drain(..count.min(self.data.len()));
        if let Some(line) = self.lines.front_mut() {
            *line -= count.min(*line);
            if *line == 0 {
                self.lines.pop_front();
            }
        }
    }

    /// Forgets what was typed.
    pub fn flush_input(&mut self) {
        self.editing.clear();
        self.data.clear();
        self.lines.clear();
        self.literal = false;
    }

    /// Puts a byte out without looking at it.
    fn put(&mut self, byte: u8) {
        match byte {
            b'\r' => self.column = 0,
            8 => self.column = self.column.saturating_sub(1),
            0x20.. => self.column += 1,
            _ => {}
        }
        self.output.push_back(byte);
    }

    /// A program writes a byte.
    pub fn write(&mut self, byte: u8) {
        let settings = self.settings;
        if !settings.output(output::OPOST) {
            self.put(byte);
            return;
        }
        match byte {
            b'\n' if settings.output(output::ONLCR) => {
                self.put(b'\r');
                self.put(b'\n');
            }
            b'\n' => {
                if settings.output(output::ONLRET) {
                    self.column = 0;
                }
                self.put(b'\n');
            }
            b'\r' if settings.output(output::ONOCR) && self.column == 0 => {}
            b'\r' if settings.output(output::OCRNL) => self.put(b'\n'),
            b'\t' => {
                let spaces = 8 - self.column % 8;
                if settings.output & output::XTABS == output::XTABS {
                    (0..spaces).for_each(|_| self.put(b' '));
                } else {
                    self.put(b'\t');
                    self.column += spaces;
                }
            }
            byte => self.put(byte),
        }
    }

    fn shows_as_control(&self, byte: u8) -> bool {
        (byte < 0x20 || byte == 0x7f) && self.settings.local(local::ECHOCTL)
    }

    fn echo(&mut self, byte: u8) {
        if !self.settings.local(local::ECHO) {
            if byte == b'\n' && self.settings.local(local::ECHONL | local::ICANON) {
                self.write(byte);
            }
            return;
        }
        if self.shows_as_control(byte) && byte != b'\t' && byte != b'\n' {
            self.put(b'^');
            self.put(byte ^ 0x40);
        } else {
            self.write(byte);
        }
    }

    /// Wipes the last typed byte, here and on the terminal.
    fn erase(&mut self) -> Option<u8> {
        let mut byte = self.editing.pop_back()?;
        // The later bytes of a UTF-8 character are not seen.
        const IUTF8: u32 = 0o40000;
        while self.settings.input(IUTF8) && byte & 0xc0 == 0x80 {
            byte = self.editing.pop_back()?;
        }
        if self.settings.local(local::ECHO) {
            if !self.settings.local(local::ECHOE) {
                self.echo(self.settings.keys[key::ERASE]);
            } else {
                let width = match byte {
                    b'\t' => 1,
                    byte if self.shows_as_control(byte) => 2,
                    _ => 1,
                };
                for _ in 0..width {
                    self.put(8);
                    self.put(b' ');
                    self.put(8);
                }
            }
        }
        Some(byte)
    }

    fn kill(&mut self) {
        if self.settings.local(local::ECHOKE | local::ECHOE) {
            while self.erase().is_some() {}
            return;
        }
        self.editing.clear();
        self.echo(self.settings.keys[key::KILL]);
        if self.settings.local(local::ECHOK) {
            self.write(b'\n');
        }
    }

    fn erase_word(&mut self) {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        let mut seen = false;
        while let Some(&last) = self.editing.back() {
            if is_word(last) {
                seen = true;
            } else if seen {
                break;
            }
            self.erase();
        }
    }

    fn finish_line(&mut self, end: Option<u8>) {
        let length = self.editing.len() + usize::from(end.is_some());
        self.data.append(&mut self.editing);
        self.data.extend(end);
        self.lines.push_back(length);
    }

    /// A byte is typed. A key that raises a signal is given back.
    pub fn typed(&mut self, byte: u8) -> Option<Key> {
        let settings = self.settings;
        let mut byte = if settings.input(input::ISTRIP) { byte & 0x7f } else { byte };
        let extended = settings.local(local::IEXTEN);
        if core::mem::take(&mut self.literal) {
            self.add(byte);
            return None;
        }
        if settings.input(input::IXON) {
            if settings.is_key(byte, key::START) {
                self.stopped = false;
                return None;
            }
            if settings.is_key(byte, key::STOP) {
                self.stopped = true;
                return None;
            }
            if settings.input(input::IXANY) {
                self.stopped = false;
            }
        }
        if settings.local(local::ISIG) {
            let keys =
                [(key::INTR, Key::Interrupt), (key::QUIT, Key::Quit), (key::SUSP, Key::Suspend)];
            for (index, found) in keys {
                if settings.is_key(byte, index) {
                    if !settings.local(local::NOFLSH) {
                        self.flush_input();
                    }
                    self.stopped = false;
                    self.echo(byte);
                    return Some(found);
                }
            }
        }
        match byte {
            b'\r' if settings.input(input::IGNCR) => return None,
            b'\r' if settings.input(input::ICRNL) => byte = b'\n',
            b'\n' if settings.input(input::INLCR) => byte = b'\r',
            _ => {}
        }
        if !self.is_canonical() {
            self.add(byte);
            return None;
        }
        let is = |key| settings.is_key(byte, key);
        if is(key::ERASE) {
            self.erase();
        } else if is(key::KILL) {
            self.kill();
        } else if extended && is(key::WERASE) {
            self.erase_word();
        } else if extended && is(key::LNEXT) {
            self.literal = true;
            if settings.local(local::ECHO | local::ECHOCTL) {
                self.put(b'^');
                self.put(8);
            }
        } else if extended && is(key::REPRINT) && settings.local(local::ECHO) {
            self.echo(byte);
            self.write(b'\n');
            for byte in self.editing.clone() {
                self.echo(byte);
            }
        } else if byte == b'\n' || is(key::EOL) || (extended && is(key::EOL2)) {
            self.echo(byte);
            self.finish_line(Some(byte));
        } else if is(key::EOF) {
            self.finish_line(None);
        } else {
            self.add(byte);
        }
        None
    }

    fn add(&mut self, byte: u8) {
        if !self.is_canonical() {
            if self.data.len() < MAX_INPUT {
                self.echo(byte);
                self.data.push_back(byte);
            }
        } else if self.editing.len() < MAX_INPUT - 1 {
            self.echo(byte);
            self.editing.push_back(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn type_all(discipline: &mut Discipline, text: &[u8]) -> Vec<Key> {
        text.iter().filter_map(|&byte| discipline.typed(byte)).collect()
    }

    #[test]
    fn lines_are_edited_and_read_one_at_a_time() {
        let mut discipline = Discipline::new();
        type_all(&mut discipline, b"abx\x7fc\rsecond\n");
        assert_eq!(discipline.look(100).unwrap(), b"abc\n");
        discipline.take(4);
        assert_eq!(discipline.look(3).unwrap(), b"sec");
        discipline.take(3);
        assert_eq!(discipline.look(100).unwrap(), b"ond\n");
        discipline.take(4);
        assert_eq!(discipline.look(100), None);
        let shown: Vec<u8> = discipline.output.iter().copied().collect();
        assert_eq!(shown, b"abx\x08 \x08c\r\nsecond\r\n");
    }

    #[test]
    fn an_end_of_file_is_read_once() {
        let mut discipline = Discipline::new();
        type_all(&mut discipline, b"\x04x\n");
        assert_eq!(discipline.look(10).unwrap(), b"");
        discipline.take(0);
        assert_eq!(discipline.look(10).unwrap(), b"x\n");
    }

    #[test]
    fn signals_drop_the_line() {
        let mut discipline = Discipline::new();
        assert_eq!(type_all(&mut discipline, b"lost\x03kept\n"), [Key::Interrupt]);
        assert_eq!(discipline.look(10).unwrap(), b"kept\n");
    }
}

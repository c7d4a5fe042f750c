//! Text to tokens, keeping track of file and line.

use alloc::string::{String, ToString};
use alloc::sync::Arc;

use crate::config::{is_comment, unquote};
use crate::report::Landmark;
use crate::text::{is_name, is_space};

/// A token of the language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    End,
    Identifier(String),
    Variable(String),
    Arrow,
    DoubleArrow,
    Colons,
    Bars,
    Dots,
    Elementclass,
    Require,
    Provide,
    Define,
    Character(char),
}

impl Token {
    /// The token's text, as error messages quote it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::End => String::new(),
            Self::Identifier(text) | Self::Variable(text) => text.clone(),
            Self::Arrow => "->".into(),
            Self::DoubleArrow => "=>".into(),
            Self::Colons => "::".into(),
            Self::Bars => "||".into(),
            Self::Dots => "...".into(),
            Self::Elementclass => "elementclass".into(),
            Self::Require => "require".into(),
            Self::Provide => "provide".into(),
            Self::Define => "define".into(),
            Self::Character(character) => character.to_string(),
        }
    }
}

/// One file being read.
#[derive(Clone)]
pub(crate) struct Source {
    text: Arc<str>,
    at: usize,
    file: Arc<str>,
    original: Arc<str>,
    line: u32,
    /// Lines of preprocessor directives that made no sense.
    pub(crate) bad_directives: alloc::vec::Vec<Landmark>,
}

fn is_word(byte: u8) -> bool {
    is_name(char::from(byte)) || byte == b'@'
}

impl Source {
    pub(crate) fn new(text: &str, file: &str) -> Self {
        let file: Arc<str> = if file.is_empty() { "config".into() } else { file.into() };
        Self {
            text: text.into(),
            at: 0,
            file: file.clone(),
            original: file,
            line: 1,
            bad_directives: alloc::vec::Vec::new(),
        }
    }

    pub(crate) fn landmark(&self) -> Landmark {
        Landmark { file: self.file.clone(), line: self.line }
    }

    fn count_lines(&mut self, from: usize, to: usize) {
        let bytes = &self.text.as_bytes()[from..to];
        let mut previous = if from > 0 { self.text.as_bytes()[from - 1] } else { 0 };
        for &byte in bytes {
            if byte == b'\r' || (byte == b'\n' && previous != b'\r') {
                self.line += 1;
            }
            previous = byte;
        }
    }

    /// Moves on to `to`, counting lines.
    fn advance(&mut self, to: usize) {
        let to = to.min(self.text.len());
        self.count_lines(self.at, to);
        self.at = to;
    }

    fn at_line_start(&self, at: usize) -> bool {
        at == 0 || matches!(self.text.as_bytes()[at - 1], b'\n' | b'\r')
    }

    /// Reads `# 12 "file"` or `#line 12 "file"`; stops before the end of the line.
    fn directive(&mut self) {
        let text = self.text.clone();
        let rest = &text[self.at + 1..];
        let line_end = self.at + 1 + rest.find(['\n', '\r']).unwrap_or(rest.len());
        let directive = text[self.at + 1..line_end].trim_start_matches([' ', '\t']);
        let directive = match directive.strip_prefix("line") {
            Some(after) if after.starts_with([' ', '\t']) => after.trim_start_matches([' ', '\t']),
            _ => directive,
        };
        let digits = directive.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            self.bad_directives.push(self.landmark());
        } else {
            let number = directive[..digits].parse::<u32>().unwrap_or(u32::MAX);
            // The line after the directive has this number.
            self.line = number.saturating_sub(1);
            let name = directive[digits..].trim_start_matches([' ', '\t']);
            if let Some(name) = name.strip_prefix('"') {
                let end = closing_quote(name);
                let name = unquote(&alloc::format!("\"{}\"", &name[..end]));
                self.file = if name.is_empty() { self.original.clone() } else { name.into() };
            }
        }
        self.at = line_end;
    }

    fn skip_blank(&mut self) {
        let text = self.text.clone();
        let bytes = text.as_bytes();
        while self.at < bytes.len() {
            let byte = bytes[self.at];
            if is_space(char::from(byte)) {
                let space = bytes[self.at..].iter();
                let length = space.take_while(|&&byte| is_space(char::from(byte))).count();
                self.advance(self.at + length);
            } else if is_comment(bytes, self.at) {
                self.advance(crate::config::skip_comment(bytes, self.at));
            } else if byte == b'#' && self.at_line_start(self.at) {
                self.directive();
            } else {
                break;
            }
        }
    }

    /// The next token.
    pub(crate) fn token(&mut self) -> Token {
        self.skip_blank();
        let text = self.text.clone();
        let rest = &text[self.at..];
        let bytes = rest.as_bytes();
        let Some(&first) = bytes.first() else { return Token::End };
        if is_word(first) {
            let mut end = 1;
            loop {
                end += bytes[end..].iter().take_while(|&&byte| is_word(byte)).count();
                // A slash joins words but does not end one.
                if bytes.get(end) == Some(&b'/') && bytes.get(end + 1).is_some_and(|&b| is_word(b))
                {
                    end += 1;
                } else {
                    break;
                }
            }
            self.at += end;
            return match &rest[..end] {
                "elementclass" => Token::Elementclass,
                "require" => Token::Require,
                "provide" => Token::Provide,
                "define" => Token::Define,
                word => Token::Identifier(word.into()),
            };
        }
        if first == b'$' {
            let name = bytes[1..].iter().take_while(|&&byte| is_name(char::from(byte))).count();
            if name > 0 {
                self.at += 1 + name;
                return Token::Variable(rest[1..=name].into());
            }
        }
        for (written, token) in [
            ("->", Token::Arrow),
            ("=>", Token::DoubleArrow),
            ("::", Token::Colons),
            ("||", Token::Bars),
            ("...", Token::Dots),
        ] {
            if rest.starts_with(written) {
                self.at += written.len();
                return token;
            }
        }
        let character = rest.chars().next().unwrap_or(' ');
        self.at += character.len_utf8();
        Token::Character(character)
    }

    /// The configuration string up to, not including, the parenthesis that closes it.
    pub(crate) fn configuration(&mut self) -> String {
        let text = self.text.clone();
        let bytes = text.as_bytes();
        let mut out = String::new();
        let mut from = self.at;
        let mut depth = 1u32;
        while self.at < bytes.len() {
            match bytes[self.at] {
                b'(' => depth += 1,
                b')' => {
                    depth -= 1;
                    if depth == 0 {
                        break;
                    }
                }
                b'#' if self.at > 0 && self.at_line_start(self.at) => {
                    out.push_str(&text[from..self.at]);
                    self.directive();
                    from = self.at;
                    continue;
                }
                b'\'' | b'"' => {
                    self.advance(crate::config::skip_quoted(bytes, self.at));
                    continue;
                }
                b'\\' if bytes.get(self.at + 1) == Some(&b'<') => {
                    let end = hex_end(bytes, self.at);
                    self.advance(end);
                    continue;
                }
                _ if is_comment(bytes, self.at) => {
                    self.advance(crate::config::skip_comment(bytes, self.at));
                    continue;
                }
                _ => {}
            }
            self.advance(self.at + 1);
        }
        out.push_str(&text[from..self.at]);
        out
    }
}

fn hex_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'>' {
        at = if is_comment(bytes, at) { crate::config::skip_comment(bytes, at) } else { at + 1 };
    }
    (at + 1).min(bytes.len())
}

/// Where the quote closes in the text after the opening one, or its end.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn tokens(text: &str) -> Vec<Token> {
        let mut source = Source::new(text, "");
        core::iter::from_fn(|| Some(source.token()).filter(|token| *token != Token::End)).collect()
    }

    #[test]
    fn words_and_signs() {
        let list = tokens("a/b@1 :: C(->)=>||...$x // no\n/* no */ [");
        let text: Vec<String> = list.iter().map(Token::text).collect();
        assert_eq!(text, ["a/b@1", "::", "C", "(", "->", ")", "=>", "||", "...", "x", "["]);
    }

    #[test]
    fn lines_and_directives() {
        let mut source = Source::new("a\r\nb\n# 7 \"f\"\nc", "");
        source.token();
        source.token();
        assert_eq!(source.landmark().to_string(), "config:2");
        source.token();
        assert_eq!(source.landmark().to_string(), "f:7");
    }

    #[test]
    fn configuration_text_ends_at_its_own_parenthesis() {
        let mut source = Source::new("a (b) \")\" // )\n), c", "");
        assert_eq!(source.configuration(), "a (b) \")\" // )\n");
        assert_eq!(source.landmark().line, 2);
    }
}

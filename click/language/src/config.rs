//! Configuration strings: splitting into arguments and words, comments, quotes.
//!
//! Source: click(5), "Configuration strings".

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::text::is_space;

/// Position after the comment that starts at `at`; the end if it is not closed.
pub(crate) fn skip_comment(text: &[u8], at: usize) -> usize {
    if text.get(at + 1) == Some(&b'/') {
        let mut at = at + 2;
        while at < text.len() {
            match text[at] {
                b'\n' => return at + 1,
                b'\r' => return at + if text.get(at + 1) == Some(&b'\n') { 2 } else { 1 },
                _ => at += 1,
            }
        }
        text.len()
    } else {
        let mut at = at + 2;
        while at + 1 < text.len() {
            if &text[at..at + 2] == b"*/" {
                return at + 2;
            }
            at += 1;
        }
        text.len()
    }
}

pub(crate) fn is_comment(text: &[u8], at: usize) -> bool {
    text[at] == b'/' && matches!(text.get(at + 1), Some(b'/' | b'*'))
}

/// Position after white space and comments.
pub(crate) fn skip_comment_space(text: &[u8], mut at: usize) -> usize {
    while at < text.len() {
        if is_space(char::from(text[at])) {
            at += 1;
        } else if is_comment(text, at) {
            at = skip_comment(text, at);
        } else {
            break;
        }
    }
    at
}

/// Position after the `\<...>` that starts at `at`.
fn skip_hex(text: &[u8], mut at: usize) -> usize {
    at += 2;
    while at < text.len() {
        if text[at] == b'>' {
            return at + 1;
        }
        at = if is_comment(text, at) { skip_comment(text, at) } else { at + 1 };
    }
    text.len()
}

/// Position after the quoted text whose opening quote is at `at`.
pub(crate) fn skip_quoted(text: &[u8], at: usize) -> usize {
    let quote = text[at];
    let mut at = at + 1;
    while at < text.len() {
        if text[at] == quote {
            return at + 1;
        } else if text[at] == b'\\' && quote == b'"' {
            at = if text.get(at + 1) == Some(&b'<') { skip_hex(text, at) } else { at + 2 };
        } else {
            at += 1;
        }
    }
    text.len()
}

/// One piece that loses its meaning when cut: a quoted text, `\<...>`, or one byte.
fn skip_piece(text: &[u8], at: usize) -> usize {
    match text[at] {
        b'"' | b'\'' => skip_quoted(text, at),
        b'\\' if text.get(at + 1) == Some(&b'<') => skip_hex(text, at),
        _ => at + 1,
    }
}

/// Text from `at` to the next comma outside quotes (or the end), without the comments and
/// spaces around it; comments inside become one space. Gives the position of the comma.
fn uncomment_until(text: &str, at: usize, comma: bool) -> (String, usize) {
    let bytes = text.as_bytes();
    let mut at = skip_comment_space(bytes, at);
    let mut result = String::new();
    let (mut left, mut right) = (at, at);
    let mut closed = false;
    while at < bytes.len() {
        if is_space(char::from(bytes[at])) {
            at += 1;
        } else if is_comment(bytes, at) {
            at = skip_comment(bytes, at);
            closed = true;
        } else if comma && bytes[at] == b',' {
            break;
        } else {
            if closed {
                result.push_str(&text[left..right]);
                result.push(' ');
                left = at;
                closed = false;
            }
            at = skip_piece(bytes, at);
            right = at;
        }
    }
    result.push_str(&text[left..right]);
    (result, at)
}

/// `text` without comments and without space at its ends.
pub fn uncomment(text: &str) -> String {
    uncomment_until(text, 0, false).0
}

/// The comma-separated arguments of a configuration string. An empty last one is left out.
pub fn split_arguments(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (argument, comma) = uncomment_until(text, at, true);
        if !argument.is_empty() || comma < text.len() {
            arguments.push(argument);
        }
        at = comma + 1;
    }
    arguments
}

/// Position after the word that starts at `at`.
fn skip_word(text: &[u8], mut at: usize) -> usize {
    while at < text.len() && !is_space(char::from(text[at])) && !is_comment(text, at) {
        at = skip_piece(text, at);
    }
    at
}

/// The space-separated words of an argument.
pub fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut at = skip_comment_space(text.as_bytes(), 0);
    while at < text.len() {
        let end = skip_word(text.as_bytes(), at);
        words.push(text[at..end].to_owned());
        at = skip_comment_space(text.as_bytes(), end);
    }
    words
}

/// Takes the first word off `text`, with the space around it.
pub fn shift_word(text: &mut String) -> String {
    let start = skip_comment_space(text.as_bytes(), 0);
    let end = skip_word(text.as_bytes(), start);
    let word = text[start..end].to_owned();
    let rest = skip_comment_space(text.as_bytes(), end);
    text.drain(..rest);
    word
}

/// Appends what the backslash sequence at `at` stands for; gives the position after it.
fn unescape(text: &str, at: usize, out: &mut String) -> usize {
    let bytes = text.as_bytes();
    let simple = |out: &mut String, character| {
        out.push(character);
        at + 2
    };
    match bytes.get(at + 1) {
        None => {
            out.push('\\');
            bytes.len()
        }
        Some(b'\r') => at + if bytes.get(at + 2) == Some(&b'\n') { 3 } else { 2 },
        Some(b'\n') => at + 2,
        Some(b'a') => simple(out, '\x07'),
        Some(b'b') => simple(out, '\x08'),
        Some(b'f') => simple(out, '\x0c'),
        Some(b'n') => simple(out, '\n'),
        Some(b'r') => simple(out, '\r'),
        Some(b't') => simple(out, '\t'),
        Some(b'v') => simple(out, '\x0b'),
        Some(b'0'..=b'7') => {
            let digits = bytes[at + 1..].iter().take(3);
            let digits = digits.take_while(|digit| (b'0'..=b'7').contains(digit)).count();
            let octal = &bytes[at + 1..at + 1 + digits];
            let value = octal.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
            out.push(char::from(value as u8));
            at + 1 + digits
        }
        Some(b'x') => {
            let mut end = at + 2;
            let mut value = 0u8;
            while let Some(digit) = bytes.get(end).and_then(|&byte| char::from(byte).to_digit(16)) {
                value = value.wrapping_mul(16).wrapping_add(digit as u8);
                end += 1;
            }
            out.push(char::from(value));
            end
        }
        Some(b'<') => {
            let mut pending: Option<u8> = None;
            let mut at = at + 2;
            while at < bytes.len() && bytes[at] != b'>' {
                if is_comment(bytes, at) {
                    at = skip_comment(bytes, at);
                    continue;
                }
                if let Some(digit) = char::from(bytes[at]).to_digit(16) {
                    pending = match pending {
                        None => Some(digit as u8),
                        Some(high) => {
                            out.push(char::from(high * 16 + digit as u8));
                            None
                        }
                    };
                }
                at += 1;
            }
            (at + 1).min(bytes.len())
        }
        Some(_) => {
            let character = text[at + 1..].chars().next().unwrap_or('\\');
            out.push(character);
            at + 1 + character.len_utf8()
        }
    }
}

/// The text that an argument stands for: comments, quotes and backslash sequences resolved.
pub fn unquote(text: &str) -> String {
    let text = uncomment(text);
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            byte @ (b'"' | b'\'') if quote.is_none() => {
                quote = Some(byte);
                at += 1;
            }
            byte if quote == Some(byte) => {
                quote = None;
                at += 1;
            }
            b'\\'
                if at + 1 < bytes.len()
                    && (quote == Some(b'"') || (quote.is_none() && bytes[at + 1] == b'<')) =>
            {
                at = unescape(&text, at, &mut out);
            }
            _ => {
                let character = text[at..].chars().next().unwrap_or(' ');
                out.push(character);
                at += character.len_utf8();
            }
        }
    }
    out
}

/// `text` in double quotes, such that [`unquote`] gives it back.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '\\' | '"' | '$' => {
                out.push('\\');
                out.push(character);
            }
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            ' '..='~' => out.push(character),
            _ => {
                let value = u32::from(character);
                out.push('\\');
                for shift in [6, 3, 0] {
                    out.push(char::from(b'0' + ((value >> shift) & 7) as u8));
                }
            }
        }
    }
    out.push('"');
    out
}

/// A single word, unquoted; none if `text` is empty or several words.
pub fn word(text: &str) -> Option<String> {
    let mut rest = text.to_owned();
    let first = shift_word(&mut rest);
    (rest.is_empty() && !first.is_empty()).then(|| unquote(&first))
}

/// Whether `text` may be a keyword: capitals, digits and underscores, led by a capital or
/// an underscore.
pub fn is_keyword(text: &str) -> bool {
    let rest = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    match text.as_bytes() {
        [first, others @ ..] => {
            (first.is_ascii_uppercase() || *first == b'_') && others.iter().all(|&b| rest(b))
        }
        [] => false,
    }
}

/// Splits `KEYWORD rest`; none if the argument does not start with a keyword.
pub fn keyword(argument: &str) -> Option<(String, String)> {
    let mut rest = argument.to_owned();
    let first = shift_word(&mut rest);
    is_keyword(&first).then_some((first, rest))
}

/// Assigns arguments to the formals of a compound element. A formal is described by its
/// keyword: empty for a positional one, `__REST__` for the last that takes what is left.
/// None if they do not fit.
pub fn assign(arguments: &[String], formals: &[&str]) -> Option<Vec<String>> {
    let Some(last) = formals.last().filter(|last| !last.is_empty()) else {
        return (arguments.len() == formals.len()).then(|| arguments.to_vec());
    };
    let rest = *last == "__REST__";
    let named = formals.len() - usize::from(rest);
    let positional = formals[..named].iter().take_while(|formal| formal.is_empty()).count();
    let mut values: Vec<Option<String>> = alloc::vec![None; named];
    let mut remaining: Vec<&str> = Vec::new();
    let mut supplied = 0;
    let mut any_keyword = false;
    for argument in arguments {
        if supplied >= positional {
            let found = keyword(argument).and_then(|(name, value)| {
                let slot = formals[..named].iter().position(|formal| *formal == name)?;
                Some((slot, value))
            });
            match found {
                Some((slot, value)) => {
                    values[slot] = Some(value);
                    any_keyword = true;
                }
                None if !rest => return None,
                None => {
                    remaining.push(argument);
                    supplied += usize::from(!any_keyword);
                }
            }
            continue;
        }
        values[supplied] = Some(argument.clone());
        supplied += 1;
    }
    let mut values: Vec<String> = values.into_iter().collect::<Option<_>>()?;
    if rest {
        values.push(remaining.join(", "));
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn arguments_and_words() {
        assert_eq!(split_arguments("a, \"b,c\" /* x, */ d, "), ["a", "\"b,c\" d"]);
        assert_eq!(split_arguments(", a"), ["", "a"]);
        assert_eq!(split_arguments(" // only\n"), [""; 0]);
        assert_eq!(split_words(" a  'b c'/* d */e \\<00 01>x"), ["a", "'b c'", "e", "\\<00 01>x"]);
        let mut text = " write  x.y 3 ".to_string();
        assert_eq!((shift_word(&mut text).as_str(), text.as_str()), ("write", "x.y 3 "));
    }

    #[test]
    fn quoting_and_back() {
        assert_eq!(unquote("a\"b\\n\\101\\x4142\"'\\n'"), "ab\nAB\\n");
        assert_eq!(unquote("\\<48 65 6c/* no */6C 6f>"), "Hello");
        assert_eq!(unquote("\"\\"), "\\");
        for text in ["", "a b", "\"$\\", "\n\t\r", "\u{0}\u{ff}x7"] {
            assert_eq!(unquote(&quote(text)), text);
        }
    }

    #[test]
    fn formals() {
        let strings = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let given = strings(&["A", "TWO B"]);
        assert_eq!(assign(&given, &["", ""]), Some(given.clone()));
        assert_eq!(assign(&given, &["", "__REST__"]), Some(strings(&["A", "TWO B"])));
        assert_eq!(assign(&given, &["", "TWO", "__REST__"]), Some(strings(&["A", "B", ""])));
        assert_eq!(assign(&strings(&["A"]), &["", "TWO"]), None);
        assert_eq!(
            assign(&strings(&["1", "2", "COUNT 3", "FOO 4"]), &["", "COUNT", "__REST__"]),
            Some(strings(&["1", "3", "2, FOO 4"]))
        );
    }
}

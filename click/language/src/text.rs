//! Bytes as text: each character U+0000 to U+00FF stands for one byte.

use alloc::string::String;
use alloc::vec::Vec;

/// Text that stands for `bytes`, one character per byte.
pub fn from_bytes(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// The bytes that `text` stands for. Characters above U+00FF, which [`from_bytes`] never
/// makes, become their UTF-8 form.
pub fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match u8::try_from(u32::from(character)) {
            Ok(byte) => bytes.push(byte),
            Err(_) => {
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
    bytes
}

/// The number of bytes that `text` stands for.
pub fn len(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { to_bytes(text).len() }
}

/// White space as the language understands it: space, tab, newline, carriage return,
/// vertical tab and form feed.
pub fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

/// A character that may stand in the name of a variable.
pub fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Whether `text` matches the shell pattern `pattern` (`*`, `?`, `[...]`, `\x`).
pub fn glob_match(text: &str, pattern: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    // The usual two-pointer walk: on a mismatch go back to the last star and let it
    // take one character more. Linear in the product of both lengths at worst.
    let (mut at, mut p) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match one(&pattern, p, text[at]) {
            Some(next) => {
                at += 1;
                p = next;
                continue;
            }
            None if pattern.get(p) == Some(&'*') => {
                star = Some((p + 1, at));
                p += 1;
                continue;
            }
            None => {}
        }
        let Some((after, from)) = star else { return false };
        star = Some((after, from + 1));
        p = after;
        at = from + 1;
    }
    pattern[p..].iter().all(|&character| character == '*')
}

/// Matches one character against the pattern element at `p`; gives the next position.
fn one(pattern: &[char], p: usize, character: char) -> Option<usize> {
    match *pattern.get(p)? {
        '*' => None,
        '?' => Some(p + 1),
        '\\' if p + 1 < pattern.len() => (pattern[p + 1] == character).then_some(p + 2),
        '[' => {
            let close = (p + 2..pattern.len()).find(|&at| pattern[at] == ']')?;
            let negated = matches!(pattern[p + 1], '^' | '!');
            let set = &pattern[p + 1 + usize::from(negated)..close];
            let mut at = 0;
            let mut found = false;
            while at < set.len() {
                if at + 2 < set.len() && set[at + 1] == '-' {
                    found |= (set[at]..=set[at + 2]).contains(&character);
                    at += 3;
                } else {
                    found |= set[at] == character;
                    at += 1;
                }
            }
            (found != negated).then_some(close + 1)
        }
        exact => (exact == character).then_some(p + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_the_way_through_text() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(to_bytes(&from_bytes(&all)), all);
        assert_eq!(len(&from_bytes(&all)), 256);
    }

    #[test]
    fn glob_patterns() {
        assert!(glob_match("abc", "a*c") && glob_match("abc", "?b?") && glob_match("", "*"));
        assert!(glob_match("q7", "q[0-9]") && !glob_match("qx", "q[0-9]"));
        assert!(!glob_match("abc", "ab") && glob_match("a*", "a\\*"));
    }
}

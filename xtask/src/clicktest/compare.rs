//! Comparing what a script wrote with what it should have written.

use anyhow::{Context, Result};
use fancy_regex::{Regex, escape};

use super::parse::{Expected, Syntax};

/// The first difference, or none.
pub fn difference(
    expected: &Expected,
    actual: &[u8],
    ignored: &[&Expected],
) -> Result<Option<String>> {
    if expected.syntax == Syntax::Exact {
        let differs = expected.content != actual;
        return Ok(
            differs.then(|| format!("differs from the {} bytes expected", expected.content.len()))
        );
    }
    let mut skip = Vec::new();
    for section in ignored {
        for line in lines(&section.content) {
            if !line.is_empty() {
                skip.push(pattern(section, &line)?);
            }
        }
    }
    let squeeze = |line: String| if expected.any_space { squeeze(&line) } else { line };
    let matches = |regex: &Regex, line: &str| regex.is_match(line).unwrap_or(false);
    let actual: Vec<String> = lines(actual)
        .into_iter()
        .filter(|line| !line.is_empty() && !skip.iter().any(|regex| matches(regex, line)))
        .map(squeeze)
        .collect();
    let wanted: Vec<String> =
        lines(&expected.content).into_iter().filter(|line| !line.is_empty()).map(squeeze).collect();
    for at in 0..wanted.len().max(actual.len()) {
        let (wanted, actual) = match (wanted.get(at), actual.get(at)) {
            (Some(wanted), Some(actual)) => (wanted, actual),
            (Some(wanted), None) => {
                return Ok(Some(format!("line {}: expected {wanted:?}, found the end", at + 1)));
            }
            (None, actual) => {
                let actual = actual.cloned().unwrap_or_default();
                return Ok(Some(format!("line {}: expected the end, found {actual:?}", at + 1)));
            }
        };
        if !matches(&pattern(expected, wanted)?, actual) {
            return Ok(Some(format!("line {}: expected {wanted:?}\nfound {actual:?}", at + 1)));
        }
    }
    Ok(None)
}

/// Lines without space at their ends. Bytes count as characters of the same number.
fn lines(text: &[u8]) -> Vec<String> {
    let line = |line: &[u8]| {
        let text: String = line.iter().map(|&byte| char::from(byte)).collect();
        text.trim_end().to_owned()
    };
    text.split(|&byte| byte == b'\n').map(line).collect()
}

fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The regular expression of an expected line.
fn pattern(expected: &Expected, line: &str) -> Result<Regex> {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inside, after) = after.split_once("}}").unwrap_or((after, ""));
        let (before, after) = if inside.starts_with('?') {
            (before.trim_end(), after.trim_start())
        } else {
            (before, after)
        };
        if expected.syntax == Syntax::Pattern {
            text.push_str(before);
            if !inside.starts_with('?') {
                text.push_str(&format!("{{{{{inside}}}}}"));
            }
        } else {
            text.push_str(&escape(before));
            if !inside.starts_with('?') {
                let case = if expected.any_case { "i" } else { "" };
                text.push_str(&format!("(?{case}:{inside})"));
            }
        }
        rest = after;
    }
    if expected.syntax == Syntax::Pattern {
        text.push_str(rest);
        let case = if expected.any_case { "(?i)" } else { "" };
        text = format!("{case}(?:{text})");
    } else {
        text.push_str(&escape(rest));
    }
    Regex::new(&format!("^(?:{text})\\s*$")).with_context(|| format!("pattern {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(syntax: Syntax, content: &str) -> Expected {
        let content = content.as_bytes().to_vec();
        Expected { syntax, any_case: false, any_space: false, content }
    }

    #[test]
    fn braces_hold_patterns_and_comments() {
        let expected = expect(Syntax::Braces, "a.b {{\\d+}}\n\nfoo  {{? why}}\n");
        assert_eq!(difference(&expected, b"a.b 12  \nfoo\n", &[]).unwrap(), None);
        assert!(difference(&expected, b"axb 12\nfoo\n", &[]).unwrap().is_some());
        assert!(difference(&expected, b"a.b 12\n", &[]).unwrap().is_some());
    }

    #[test]
    fn ignored_lines_do_not_count() {
        let expected = expect(Syntax::Braces, "one\n");
        let ignored = expect(Syntax::Pattern, "warning.*\n");
        assert_eq!(difference(&expected, b"warning: x\none\n", &[&ignored]).unwrap(), None);
        assert!(difference(&expected, b"a warning: x\none\n", &[&ignored]).unwrap().is_some());
    }

    #[test]
    fn exact_text_is_exact() {
        let expected = expect(Syntax::Exact, "one \n");
        assert_eq!(difference(&expected, b"one \n", &[]).unwrap(), None);
        assert!(difference(&expected, b"one\n", &[]).unwrap().is_some());
    }
}

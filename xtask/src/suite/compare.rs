//! Compares two runs of the suite, and reads the list of known failures.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result, bail};

use super::run::Outcome;

const KNOWN: &str = "tests/linux/known-failures.txt";

/// A case whose lines are not equal.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    pub case: String,
    pub expected: String,
    pub actual: String,
}

impl Difference {
    /// The observations that differ; both lines whole where they do not match key by key.
    pub fn shown(&self, [expected, actual]: [&str; 2]) -> String {
        let mut text = format!("differs: {}", self.case);
        let left = observations(&self.expected);
        let right = observations(&self.actual);
        let same_keys =
            left.len() == right.len() && left.iter().zip(&right).all(|(a, b)| a.0 == b.0);
        let width = expected.len().max(actual.len());
        if same_keys {
            for ((key, a), (_, b)) in left.iter().zip(&right).filter(|(a, b)| a != b) {
                let _ = write!(text, "\n  {key}: {expected} {a}, {actual} {b}");
            }
        } else {
            let _ = write!(text, "\n  {expected:width$}:{}", self.expected);
            let _ = write!(text, "\n  {actual:width$}:{}", self.actual);
        }
        text
    }
}

/// `key=value` pairs of a line; values in quotes may hold spaces.
fn observations(line: &str) -> Vec<(&str, &str)> {
    let mut pairs = Vec::new();
    let mut rest = line.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let mut quoted = false;
        let mut escaped = false;
        let end = after.find(|character| {
            let stop = character == ' ' && !quoted;
            quoted ^= character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            stop
        });
        let (value, tail) = after.split_at(end.unwrap_or(after.len()));
        pairs.push((key, value));
        rest = tail.trim_start();
    }
    pairs
}

/// The cases whose lines differ, or which are in one run only.
pub fn differences(expected: &Outcome, actual: &Outcome) -> Vec<Difference> {
    let mut found = Vec::new();
    let absent = " (did not run)".to_owned();
    for (case, line) in &expected.lines {
        let other = actual.lines.get(case).unwrap_or(&absent);
        if other != line {
            found.push(Difference {
                case: case.clone(),
                expected: line.clone(),
                actual: other.clone(),
            });
        }
    }
    for (case, line) in &actual.lines {
        if !expected.lines.contains_key(case) {
            found.push(Difference {
                case: case.clone(),
                expected: absent.clone(),
                actual: line.clone(),
            });
        }
    }
    found
}

/// The cases that are known to fail on `provider`, with the reasons.
pub fn known_failures(provider: &str) -> Result<BTreeMap<String, String>> {
    parse_known(&fs::read_to_string(KNOWN).context(KNOWN)?, provider)
}

fn parse_known(text: &str, provider: &str) -> Result<BTreeMap<String, String>> {
    let mut known = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let entry = line.split_once(": ").and_then(|(head, reason)| {
            let (place, case) = head.split_once(' ')?;
            (!reason.trim().is_empty()).then_some((place, case, reason))
        });
        let Some((place, case, reason)) = entry else {
            bail!("{KNOWN}: not of the form `provider case: reason`: {line}");
        };
        if place == provider || place == "any" {
            known.insert(case.to_owned(), reason.to_owned());
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(lines: &[(&str, &str)]) -> Outcome {
        let lines = lines.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Outcome { lines, left_out: 0 }
    }

    #[test]
    fn differing_and_missing_cases_are_found() {
        let expected = outcome(&[("a", " x=1"), ("b", " x=1"), ("c", " x=1")]);
        let actual = outcome(&[("a", " x=1"), ("b", " x=2"), ("d", " x=1")]);
        let cases: Vec<_> =
            differences(&expected, &actual).into_iter().map(|found| found.case).collect();
        assert_eq!(cases, ["b", "c", "d"]);
    }

    #[test]
    fn only_differing_observations_are_shown() {
        let difference = Difference {
            case: "read".to_owned(),
            expected: " a=1 t=\"x \\\"y=z\" b=errno:EIO".to_owned(),
            actual: " a=1 t=\"x \\\"y=z\" b=0".to_owned(),
        };
        assert_eq!(
            difference.shown(["linux", "drupe"]),
            "differs: read\n  b: linux errno:EIO, drupe 0"
        );
    }

    #[test]
    fn a_known_failure_needs_a_reason() {
        assert!(parse_known("process open_x: ", "process").is_err());
        assert!(parse_known("process open_x", "process").is_err());
        let known = parse_known("# c\nany a: r1\nqemu b: r2\n", "process");
        assert_eq!(known.unwrap_or_default().into_keys().collect::<Vec<_>>(), ["a"]);
    }
}

//! Values on the command line: sizes, times, variables.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Bytes from `64M`, `1G`, `512k` or a plain number.
pub fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let wrong = || "write a size as 64M or 1G".to_owned();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let shift = match unit.trim_end_matches("ib").trim_end_matches('b') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes < 1 << 46);
    let bytes = bytes.ok_or("that is more than any machine has")?;
    if bytes < 1 << 20 {
        return Err("a guest needs at least 1M".to_owned());
    }
    Ok(bytes.next_multiple_of(4096))
}

/// A time from `10`, `10s`, `500ms`, `2m` or `1h`.
pub fn parse_time(text: &str) -> std::result::Result<Duration, String> {
    let wrong = || "write a time as 10, 500ms or 2m".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let seconds = match &text[digits.len()..] {
        "" | "s" => number,
        "ms" => number / 1000.0,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(wrong()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

/// The variables that `--env-file` and `-e` set, each `NAME=value`: a name alone takes the
/// value that drupe has got, if any.
pub fn variables(files: &[PathBuf], given: &[OsString]) -> Result<Vec<Vec<u8>>> {
    let mut variables = Vec::new();
    for file in files {
        let text = fs::read_to_string(file)
            .with_context(|| format!("cannot read the variables in {}", file.display()))?;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let variable = variable(OsStr::new(line))
                .with_context(|| format!("{}, line {}", file.display(), number + 1))?;
            variables.extend(variable);
        }
    }
    for given in given {
        variables.extend(variable(given)?);
    }
    Ok(variables)
}

fn variable(text: &OsStr) -> Result<Option<Vec<u8>>> {
    let bytes = text.as_encoded_bytes();
    match bytes.iter().position(|byte| *byte == b'=') {
        Some(0) => bail!("{} has no name in front of the =", text.display()),
        Some(_) => Ok(Some(bytes.to_vec())),
        None if bytes.is_empty() => bail!("a variable needs a name"),
        None => Ok(std::env::var_os(text).map(|value| {
            let value = value.into_vec();
            [bytes, b"=", &value].concat()
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times() {
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        for wrong in ["", "M", "64X", "99999999T", "12", "-1M", "18446744073709551615"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_time("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_time("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "x", "-1", "1e400", "nan", "5 s"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn variables_are_checked() {
        let given = ["A=1".into(), "DRUPE_SURELY_UNSET".into(), "B=x=y".into()];
        assert_eq!(variables(&[], &given).unwrap(), [b"A=1".to_vec(), b"B=x=y".to_vec()]);
        assert!(variables(&[], &["=1".into()]).is_err());
    }
}

//! Reading test files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// How the lines of a section are to be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Syntax {
    /// As they are.
    Exact,
    /// Text with regular expressions in double braces.
    Braces,
    /// Each line is a regular expression.
    Pattern,
}

/// Text to compare with.
#[derive(Clone, Debug)]
pub struct Expected {
    /// How to read it.
    pub syntax: Syntax,
    /// Whether patterns ignore case.
    pub any_case: bool,
    /// Whether amounts of space do not matter.
    pub any_space: bool,
    /// The text.
    pub content: Vec<u8>,
}

/// A test.
#[derive(Default, Debug)]
pub struct Test {
    /// Its file.
    pub path: PathBuf,
    /// The line of its script.
    pub line: usize,
    /// The shell script.
    pub script: Vec<u8>,
    /// Scripts that must succeed for the test to make sense.
    pub requirements: Vec<Vec<u8>>,
    /// Input files by name.
    pub files: Vec<(String, Vec<u8>)>,
    expected: Vec<(String, Expected)>,
    ignored: Vec<(String, Expected)>,
}

impl Test {
    /// The files to compare, each with one or more texts of which one must fit.
    pub fn expectations(&self) -> Vec<(&str, Vec<&Expected>)> {
        let mut all: Vec<(&str, Vec<&Expected>)> = Vec::new();
        for (name, expected) in &self.expected {
            match all.iter_mut().find(|(known, _)| known == name) {
                Some((_, alternatives)) => alternatives.push(expected),
                None => all.push((name, vec![expected])),
            }
        }
        all
    }

    /// Patterns of lines that do not count in a file.
    pub fn ignored(&self, name: &str) -> Vec<&Expected> {
        let fits = |known: &str| known == "all" || known == name;
        self.ignored.iter().filter(|(known, _)| fits(known)).map(|(_, text)| text).collect()
    }
}

/// The words behind a section's name.
#[derive(Default)]
struct Options {
    flags: String,
    length: Option<usize>,
    names: Vec<String>,
}

impl Options {
    fn read(words: &[&str]) -> Self {
        let mut options = Self::default();
        for word in words {
            if let Some(flags) = word.strip_prefix('-') {
                options.flags.push_str(flags);
            } else if let Some(Ok(length)) = word.strip_prefix('+').map(str::parse) {
                options.length = Some(length);
            } else {
                options.names.push((*word).to_owned());
            }
        }
        options
    }

    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }

    /// The text as the flags ask for it.
    fn content(&self, raw: &[u8]) -> Vec<u8> {
        let mut content = raw.to_vec();
        if self.has('d') {
            let lines = raw.split_inclusive(|&byte| byte == b'\n');
            let cut =
                |line: &'_ [u8]| if line == b"\n" { line.to_vec() } else { line[1..].to_vec() };
            content = lines.map(cut).collect::<Vec<_>>().concat();
        }
        if self.has('e') {
            content = base64(&content);
        }
        content
    }

    fn expected(&self, syntax: Syntax, raw: &[u8]) -> Expected {
        Expected {
            syntax,
            any_case: self.has('i'),
            any_space: self.has('w'),
            content: self.content(raw),
        }
    }
}

/// Decodes Base64, passing over what is not part of it.
fn base64(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    for &byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
        }
    }
    out
}

/// Reads the tests in a file.
pub fn file(path: &Path) -> Result<Vec<Test>> {
    let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut tests = vec![Test { path: path.to_path_buf(), ..Test::default() }];
    sections(path, &content, &mut tests)?;
    tests.retain(|test| !test.script.is_empty());
    Ok(tests)
}

fn sections(path: &Path, content: &[u8], tests: &mut Vec<Test>) -> Result<()> {
    let mut at = 0;
    let mut number = 0;
    while at < content.len() {
        let line = line(content, at);
        at += line.len();
        number += 1;
        if !is_section(line) {
            continue;
        }
        let head = String::from_utf8_lossy(line);
        let words: Vec<&str> = head[1..].split_whitespace().collect();
        let [kind, words @ ..] = words.as_slice() else { continue };
        let options = Options::read(words);
        let start = at;
        match options.length {
            Some(length) => at = (at + length).min(content.len()),
            None => {
                while at < content.len() {
                    let next = self::line(content, at);
                    if is_section(next) {
                        break;
                    }
                    at += next.len();
                }
            }
        }
        let raw = &content[start..at];
        let place = || format!("{}:{number}", path.display());
        match *kind {
            "eof" => break,
            "eot" => tests.push(Test { path: path.to_path_buf(), ..Test::default() }),
            "include" => {
                let name = options.names.first().with_context(place)?;
                let other = path.with_file_name(name);
                let text = std::fs::read(&other).with_context(place)?;
                sections(&other, &text, tests)?;
            }
            kind => {
                let test = tests.last_mut().with_context(place)?;
                section(test, kind, options, raw, number).with_context(place)?;
            }
        }
        number += raw.iter().filter(|&&byte| byte == b'\n').count();
    }
    Ok(())
}

fn section(
    test: &mut Test,
    kind: &str,
    mut options: Options,
    raw: &[u8],
    line: usize,
) -> Result<()> {
    let kind = match kind {
        "stdin" => {
            options.names = vec!["stdin".into()];
            "file"
        }
        "stdout" | "stderr" => {
            options.names = vec![kind.into()];
            "expect"
        }
        kind => kind,
    };
    match kind {
        "script" => {
            test.line = line;
            test.script.extend_from_slice(raw);
        }
        "require" => test.requirements.push(raw.to_vec()),
        "file" => {
            for name in &options.names {
                test.files.push((name.clone(), options.content(raw)));
            }
        }
        "expect" | "expectv" | "expectx" => {
            let expected = options.expected(syntax(kind), raw);
            for name in &options.names {
                test.expected.push((name.clone(), expected.clone()));
            }
        }
        "ignore" | "ignorev" | "ignorex" => {
            let expected = options.expected(syntax(kind), raw);
            if options.names.is_empty() {
                options.names.push("all".into());
            }
            for name in options.names {
                test.ignored.push((name, expected.clone()));
            }
        }
        "info" | "cut" | "desc" => {}
        other => bail!("unknown section %{other}"),
    }
    Ok(())
}

fn syntax(kind: &str) -> Syntax {
    match kind.as_bytes().last() {
        Some(b'v') => Syntax::Exact,
        Some(b'x') => Syntax::Pattern,
        _ => Syntax::Braces,
    }
}

/// The line at `at`, with its end.
fn line(content: &[u8], at: usize) -> &[u8] {
    let rest = &content[at..];
    let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1);
    &rest[..end]
}

fn is_section(line: &[u8]) -> bool {
    line.first() == Some(&b'%') && line.get(1).is_some_and(u8::is_ascii_alphabetic)
}

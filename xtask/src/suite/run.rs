//! Runs the runner at a place, over hangs and crashes, and collects one line per case.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Place;

/// Beyond a case's own deadline: what a machine may take to boot and to print.
const PATIENCE: Duration = Duration::from_secs(30);

/// Until the first line: what it may take to build a kernel, too.
const FIRST_LINE: Duration = Duration::from_secs(600);

/// Which cases run, and how.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Part of a case's name or file.
    pub filter: Option<String>,
    /// What the cases must not need; see `NEEDS_…` in `tests/linux/suite.h`.
    pub without: Vec<String>,
    /// All cases in one process, for kernels that cannot fork.
    pub no_fork: bool,
    /// Seconds per case.
    pub deadline: u64,
}

impl Default for Selection {
    fn default() -> Self {
        Self { filter: None, without: Vec::new(), no_fork: false, deadline: 10 }
    }
}

impl Selection {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Some(filter) = &self.filter {
            arguments.extend(["--match".to_owned(), filter.clone()]);
        }
        if !self.without.is_empty() {
            arguments.extend(["--without".to_owned(), self.without.join(",")]);
        }
        if self.no_fork {
            arguments.push("--no-fork".to_owned());
        }
        arguments.extend(["--deadline".to_owned(), self.deadline.to_string()]);
        arguments
    }
}

/// What a run came to.
#[derive(Default, Debug)]
pub struct Outcome {
    /// Each case's observations, with what it wrote to standard output.
    pub lines: BTreeMap<String, String>,
    /// Cases that the selection's `without` left out.
    pub left_out: usize,
}

/// The names of all cases in order, whatever is selected: the runner counts in this list.
fn names(binary: &Path, arguments: &[String]) -> Result<Vec<String>> {
    let output = Command::new(binary)
        .arg("--list")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", binary.display()))?;
    if !output.status.success() {
        bail!("{} --list ended with {}", binary.display(), output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

/// Runs the selected cases of `binary` at `place`.
pub fn all(place: Place, binary: &Path, selection: &Selection) -> Result<Outcome> {
    let order = names(binary, &[])?;
    let expected = names(binary, &selection.arguments())?;
    if expected.is_empty() {
        bail!("no case matches");
    }
    let everything = Selection { without: Vec::new(), no_fork: false, ..selection.clone() };
    let left_out = names(binary, &everything.arguments())?.len() - expected.len();
    let mut outcome = Outcome { left_out, ..Outcome::default() };
    let mut from = 0;
    loop {
        let mut arguments = vec!["--all".to_owned(), "--from".to_owned(), from.to_string()];
        arguments.extend(selection.arguments());
        let mut session = Session::start(place.command(binary, &arguments))?;
        let end = session.follow(PATIENCE + Duration::from_secs(selection.deadline), &mut outcome);
        session.stop();
        let (case, how) = match end {
            End::Complete => break,
            End::Stopped { case, how } => (case, how),
        };
        let Some(case) = case else {
            bail!("the runner on {} {how} before its first case or between two", place.name());
        };
        println!("{case}: the runner {how}; going on behind it");
        outcome.lines.entry(case.clone()).or_insert_with(|| format!(" ended={how}"));
        let at = order.iter().position(|name| *name == case);
        from = at.with_context(|| format!("the runner ran {case}, which it does not list"))? + 1;
        if expected.iter().all(|name| outcome.lines.contains_key(name)) {
            break;
        }
    }
    Ok(outcome)
}

/// How a session ended.
enum End {
    Complete,
    Stopped { case: Option<String>, how: &'static str },
}

/// One start of the runner.
struct Session {
    child: Child,
    lines: Receiver<String>,
}

impl Session {
    fn start(mut command: Command) -> Result<Self> {
        let mut child =
            command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let output = child.stdout.take().context("the runner has a standard output")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// Reads lines into `outcome` until the end, a crash, or a silence of `patience`.
    fn follow(&mut self, patience: Duration, outcome: &mut Outcome) -> End {
        let mut case = None;
        let mut written = String::new();
        let mut wait = FIRST_LINE;
        loop {
            let line = match self.lines.recv_timeout(std::mem::replace(&mut wait, patience)) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => return End::Stopped { case, how: "hung" },
                Err(RecvTimeoutError::Disconnected) => {
                    return End::Stopped { case, how: "died" };
                }
            };
            match parse(&line) {
                Line::Run(name) => {
                    case = Some(name.to_owned());
                    written.clear();
                }
                Line::Case(name, observations) => {
                    outcome.lines.insert(name.to_owned(), format!("{observations}{written}"));
                    case = None;
                    written.clear();
                }
                Line::End => return End::Complete,
                Line::Other => {
                    written.push_str(" | ");
                    written.push_str(&line);
                }
            }
        }
    }

    fn stop(mut self) {
        // It may have ended by itself; either way it must not be left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(PartialEq, Eq, Debug)]
enum Line<'a> {
    Run(&'a str),
    Case(&'a str, &'a str),
    End,
    Other,
}

fn parse(line: &str) -> Line<'_> {
    if line == "end" {
        return Line::End;
    }
    if let Some(name) = line.strip_prefix("run ") {
        return Line::Run(name);
    }
    let case = line.strip_prefix("case ").and_then(|rest| rest.split_once(':'));
    case.map_or(Line::Other, |(name, observations)| Line::Case(name, observations))
}

#[cfg(test)]
mod tests {
    use super::{Line, parse};

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(parse("run write_twice"), Line::Run("write_twice"));
        assert_eq!(
            parse("case write_twice: fd=3 text=\"a:b\""),
            Line::Case("write_twice", " fd=3 text=\"a:b\"")
        );
        assert_eq!(parse("case empty:"), Line::Case("empty", ""));
        assert_eq!(parse("end"), Line::End);
        assert_eq!(parse("# written"), Line::Other);
    }
}

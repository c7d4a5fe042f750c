//! The project's own tasks: `cargo xtask <command>`.
//!
//! Principles: a stage says its name, its time and its counts; a tool that is missing is a
//! skip that is listed, and under `CI=true` a skip is a failure; nothing is downloaded except
//! by `setup`.
#![forbid(unsafe_code)]

mod bench;
mod clickbench;
mod clicktest;
mod docs;
mod escape;
mod fuzz;
mod guest;
mod kernels;
mod process;
mod setup;
mod suite;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask <command>

  setup             install what the tests need (Debian packages, as root or with sudo)
  test [--quick|--full]
                    run the tests: --quick before a commit, --full adds suites and soak runs
  bench [NAME...] [--output json] [--rounds N]
                    measure, against peers in the same run (bench --help lists NAMEs)
  tidy              check layers, the unsafe allow-list and file sizes
  tidy              check layers, the unsafe allow-list, file sizes and generated pages
  docs              make the pages of the book that come from tables of the code
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    std::env::set_current_dir(process::root())?;
    match arguments.as_slice() {
        ["setup"] => setup::run(),
        ["test"] => test::run(test::Tier::Default),
        ["test", "--quick"] => test::run(test::Tier::Quick),
        ["test", "--full"] => test::run(test::Tier::Full),
        ["tidy"] => tidy::run(),
        ["bench", rest @ ..] => bench::command(rest),
        ["fuzz", rest @ ..] => fuzz::command(rest),
        ["docs"] => docs::run(),
        ["programs", rest @ ..] => guest::command(rest),
        ["cpython", rest @ ..] => guest::cpython_command(rest),
        ["suite", rest @ ..] => suite::command(rest),
        ["escape", rest @ ..] => escape::command(rest),
        ["clickbench", rest @ ..] => clickbench::command(rest),
        ["clicktest", rest @ ..] => clicktest::command(rest),
        ["help" | "--help" | "-h"] | [] => {
            let more = [
                guest::USAGE,
                suite::USAGE,
                escape::USAGE,
                fuzz::USAGE,
                clicktest::USAGE,
                clickbench::USAGE,
            ];
            print!("{USAGE}{}", more.concat());
            Ok(())
        }
        other => bail!("unknown command `{}`\n\n{USAGE}", other.join(" ")),
    }
}

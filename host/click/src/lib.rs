//! Click's commands: the router in a process, and the tools around configurations.
//!
//! The name under which the program is called says what it is: `click`, `click-flatten`,
//! `click-check`, `click-pretty`, `click-buildtool`. Under any other name the first
//! argument does (`drupe click run`, `flatten`, ...). Options, output and messages are
//! those of Click's programs, because scripts depend on them.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use click_language::text::from_bytes;

mod driver;
mod files;
mod host;
mod options;
mod threads;
mod tools;

pub use host::ProcessHost;

const HELP: &str = "\
Click routers: configurations in Click's language, run as a process.

Usage: drupe click COMMAND [OPTION]... [ROUTERFILE]

  run        Run a configuration.
  check      Say whether a configuration is fine.
  flatten    Expand compound elements.
  pretty     Make a page with the graph.
  read       Print handlers of a running router.
  write      Write a handler of a running router.
  elements   Print the reference of the elements.
  buildtool  Say what is there, for scripts.

Each command explains itself with --help. Called by the name of one of Click's programs
(click, click-check, click-flatten, click-pretty, click-buildtool), drupe is that program.
";

/// Whether a program of this name is one of Click's.
pub fn is_program(name: &str) -> bool {
    PROGRAMS.contains(&name)
}

const PROGRAMS: [&str; 5] =
    ["click", "click-flatten", "click-check", "click-pretty", "click-buildtool"];

/// Runs the command that `arguments` (with the program's name first) ask for. Gives the
/// exit status.
pub fn run(arguments: &[OsString]) -> u8 {
    let text: Vec<String> = arguments.iter().map(|word| from_bytes(word.as_bytes())).collect();
    let Some((program, rest)) = text.split_first() else { return 2 };
    let name = program.rsplit('/').next().unwrap_or(program);
    if is_program(name)
        && let Some(status) = command(name, rest)
    {
        return status;
    }
    let (first, rest) = rest.split_first().map_or(("", rest), |(first, rest)| (first, rest));
    if matches!(first, "" | "help" | "--help" | "-h") {
        print!("{HELP}");
        return 0;
    }
    let name = if first == "run" { "click".into() } else { format!("click-{first}") };
    command(&name, rest).unwrap_or_else(|| {
        eprintln!("drupe click: unknown command '{first}'\n\n{HELP}");
        2
    })
}

fn command(name: &str, arguments: &[String]) -> Option<u8> {
    Some(match name {
        "click" => driver::main(arguments),
        "click-flatten" => tools::flatten(arguments),
        "click-check" => tools::check(arguments),
        "click-pretty" => tools::pretty(arguments),
        "click-buildtool" => tools::buildtool(arguments),
        "click-read" => tools::read(arguments),
        "click-write" => tools::write(arguments),
        "click-elements" => tools::elements(arguments),
        _ => return None,
    })
}

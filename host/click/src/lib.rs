//! Click's commands: the router in a process, and the tools around configurations.
//!
//! The name under which the program is called says what it is: `click`, `click-flatten`,
//! `click-check`, `click-pretty`, `click-buildtool`. Under any other name the first
//! argument does (`drupe-click run`, `flatten`, ...). Options, output and messages are
//! those of Click's programs, because scripts depend on them.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use click_language::text::from_bytes;

mod driver;
mod files;
mod host;
mod options;
mod tools;

pub use host::ProcessHost;

/// Runs the command that `arguments` (with the program's name first) ask for. Gives the
/// exit status.
pub fn run(arguments: &[OsString]) -> u8 {
    let text: Vec<String> = arguments.iter().map(|word| from_bytes(word.as_bytes())).collect();
    let Some((program, rest)) = text.split_first() else { return 2 };
    let name = program.rsplit('/').next().unwrap_or(program);
    if let Some(status) = command(name, rest) {
        return status;
    }
    let short = rest.split_first().and_then(|(first, rest)| {
        let name = match first.as_str() {
            "run" => "click".into(),
            other => format!("click-{other}"),
        };
        command(&name, rest)
    });
    short.unwrap_or_else(|| {
        eprintln!("usage: {name} run|flatten|check|pretty|buildtool [OPTION]... [ROUTERFILE]");
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
        _ => return None,
    })
}

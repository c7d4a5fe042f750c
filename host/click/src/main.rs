//! Click's commands by the name under which they are called.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    ExitCode::from(drupe_click::run(&arguments))
}

//! `drupe`: builds, runs and watches unikernels.
//!
//! One file per subcommand. Here are only the list of them, and what becomes of an error: its
//! chain is printed once, and one function chooses the exit code.

mod build;
mod click;
mod doctor;
mod gdb;
mod prune;
mod run;
mod syscalls;
mod terminal;
mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// drupe turns programs into unikernels and runs them.
#[derive(Parser)]
#[command(name = "drupe", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Build(build::Build),
    Click(click::Click),
    Doctor(doctor::Doctor),
    Syscalls(syscalls::Syscalls),
    Prune(prune::Prune),
}

fn main() -> ExitCode {
    if let Some(status) = click::by_name() {
        return ExitCode::from(status);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // Help and version are no errors.
            return if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
        }
    };
    let result = match arguments.command {
        Command::Run(run) => run.execute(),
        Command::Build(build) => build.execute(),
        Command::Click(click) => Ok(click.execute()),
        Command::Doctor(doctor) => doctor.execute(),
        Command::Syscalls(syscalls) => syscalls.execute(),
        Command::Prune(prune) => prune.execute(),
    };
    let code = exit_code(&result);
    if let Err(error) = result {
        eprintln!("drupe: {error:#}");
        let advice =
            error.chain().find_map(|cause| cause.downcast_ref::<drupe_engine::Error>()?.advice());
        if let Some(advice) = advice {
            eprintln!("       {advice}");
        }
    }
    ExitCode::from(code)
}

/// Exit code of drupe's own failures, as with docker.
const FAILED: u8 = 125;

/// The exit code for `result`: the program's own where there is one, otherwise what shells and
/// docker have made customary.
fn exit_code(result: &anyhow::Result<u8>) -> u8 {
    use drupe_engine::{Error, Failure};
    match result {
        Ok(status) => *status,
        Err(error) => match error.downcast_ref::<Error>().map(Error::failure) {
            Some(Failure::NotRunnable) => 126,
            Some(Failure::NotFound) => 127,
            _ => FAILED,
        },
    }
}

/// Tells what takes long.
fn progress(text: &str) {
    eprintln!("drupe: {text}");
}

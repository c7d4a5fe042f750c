//! `cargo xtask docs`: the pages of the book that are made from tables of the code.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use abi_linux::{CALLS, State, absent};
use anyhow::{Context, Result};

const SYSTEM_CALLS: &str = "docs/src/syscalls.md";

/// Writes the pages.
pub fn run() -> Result<()> {
    fs::write(SYSTEM_CALLS, system_calls()).with_context(|| format!("cannot write {SYSTEM_CALLS}"))
}

/// The pages that are not as the tables say.
pub fn stale() -> Vec<&'static Path> {
    let is_current = fs::read_to_string(SYSTEM_CALLS).is_ok_and(|page| page == system_calls());
    if is_current { Vec::new() } else { vec![Path::new(SYSTEM_CALLS)] }
}

fn system_calls() -> String {
    let full = CALLS.iter().filter(|call| call.state == State::Full).count();
    let mut page = format!(
        "# System calls\n\n\
         <!-- Made by `cargo xtask docs` from abi/linux; do not edit. -->\n\n\
         What a guest's kernel has of Linux's system calls on x86-64: {full} are full, {} partial, and\n\
         {} absent, which fail with `ENOSYS` and are reported once. `drupe syscalls` prints this table.\n\n\
         | number | call | state | what is missing |\n|---|---|---|---|\n",
        CALLS.len() - full,
        absent::NAMES.len(),
    );
    for call in CALLS {
        let (state, missing) = match call.state {
            State::Full => ("full", ""),
            State::Partial(missing) => ("partial", missing),
        };
        let line = format!("| {} | `{}` | {state} | {missing} |", call.number, call.name);
        let _ = writeln!(page, "{line}");
    }
    page.push_str("\nAbsent: ");
    let names: Vec<String> = absent::NAMES.iter().map(|(_, name)| format!("`{name}`")).collect();
    page.push_str(&names.join(", "));
    page.push_str(".\n");
    page
}

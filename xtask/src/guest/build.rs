//! Compiles programs of the guest stage, cached by content under `target/programs`.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::process::check;

const OUTPUT: &str = "target/programs";

/// What stands for the program's path in a command.
pub const PLACE: &str = "OUT";

/// Runs `command`, which writes the program to [`PLACE`], unless it did so for the same sources;
/// the program's path.
pub fn program(name: &str, command: &[&str]) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    command.hash(&mut hasher);
    for source in command.iter().map(Path::new).filter(|path| path.is_file()) {
        fs::read(source)?.hash(&mut hasher);
    }
    let stem: String =
        name.chars().take_while(|letter| *letter != ':').filter(|c| c.is_alphanumeric()).collect();
    let program = Path::new(OUTPUT).join(format!("{stem}-{:016x}", hasher.finish()));
    if !program.exists() {
        fs::create_dir_all(OUTPUT)?;
        let fresh = program.with_extension("new");
        let arguments = command[1..].iter().map(|word| match *word {
            PLACE => fresh.as_os_str(),
            word => word.as_ref(),
        });
        // Go links statically without a C compiler's help.
        check(Command::new(command[0]).args(arguments).env("CGO_ENABLED", "0"))?;
        fs::rename(&fresh, &program)?;
    }
    Ok(fs::canonicalize(program)?)
}

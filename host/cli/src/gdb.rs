//! A script for gdb, so that `--gdb` is of use without knowing where anything is.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use drupe_engine::Home;

/// Writes the script for a guest that waits on `port` and returns its path.
///
/// The kernel's symbols are valid from its first instruction on, where the guest waits. Those of
/// the program are added when it has a fixed place.
pub fn write_script(
    home: &Home,
    port: u16,
    kernel: &Path,
    program: Option<&Path>,
) -> Result<PathBuf> {
    let script = home.folder("gdb")?.join(format!("{port}.gdb"));
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    let mut text = String::from("set confirm off\nset architecture i386:x86-64\n");
    text += &format!("symbol-file {}\n", quoted(kernel));
    if let Some(program) = program
        && let Ok(Ok(elf)) = drupe_roots::ElfFile::open(program)
        && !elf.is_shared
    {
        text += &format!("add-symbol-file {}\n", quoted(program));
    }
    text += &format!("target remote 127.0.0.1:{port}\n");
    fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
    Ok(script)
}

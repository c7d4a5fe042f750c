//! A script for gdb, so that `--gdb` is of use without knowing where anything is.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use drupe_engine::{Error, Home};

/// Refuses a port that somebody listens on.
pub fn check_port(port: u16) -> Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop).map_err(|error| {
        Error::new(format!("the debugger's port {port} cannot be used"))
            .because(error)
            .hint("choose another one with --gdb PORT")
            .into()
    })
}

/// Writes the script for a guest that waits on `port` and returns its path. It goes on to where
/// the first program is loaded and stops there, with the symbols of kernel, program and dynamic
/// linker at their places: the kernel moves itself at its start, programs are put anywhere.
pub fn write_script(
    home: &Home,
    port: u16,
    kernel: &Path,
    program: Option<&Path>,
) -> Result<PathBuf> {
    let script = home.folder("gdb")?.join(format!("{port}.gdb"));
    // The debugger may be started elsewhere.
    let quoted = |path: &Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        format!("\"{}\"", path.display())
    };
    let kernel = quoted(kernel);
    let mut text = format!(
        "set confirm off\n\
         set pagination off\n\
         set architecture i386:x86-64\n\
         set trust-readonly-sections on\n\
         symbol-file {kernel}\n\
         target remote 127.0.0.1:{port}\n\
         thbreak *drupe_kernel_moves\n\
         continue\n\
         symbol-file\n\
         symbol-file {kernel} -o $rax\n\
         thbreak *drupe_program_loaded\n\
         continue\n"
    );
    if let Some(program) = program
        && let Ok(Ok(elf)) = drupe_roots::ElfFile::open(program)
    {
        let _ = writeln!(text, "add-symbol-file {} -o $rdi", quoted(program));
        if let Some(linker) = elf.interpreter.as_deref() {
            let _ = writeln!(text, "add-symbol-file {} -o $rsi", quoted(linker));
        }
    }
    text += "echo The program is loaded. Breakpoints in it: hbreak main, then continue.\\n\n";
    fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
    Ok(script)
}

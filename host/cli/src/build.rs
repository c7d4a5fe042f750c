//! `drupe build`.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use drupe_engine::{Home, Source};
use drupe_roots::{Node, Selection};

use crate::values::Format;

/// Make an OCI image of a program
#[derive(Args)]
pub struct Build {
    /// Where to write the image [default: NAME.tar]
    #[arg(short = 'o', long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// List the files of the image and why each is in it, and write nothing
    #[arg(long)]
    explain: bool,

    /// Add a file or folder of the host at its place
    #[arg(long, value_name = "PATH")]
    include: Vec<PathBuf>,

    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,

    /// What to make an image of
    target: OsString,

    /// Arguments that it is run with when no others are given
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

impl Build {
    /// Builds the image, or explains what it would hold.
    pub fn execute(self) -> Result<u8> {
        let home = Home::from_environment()?;
        let target = &self.target;
        let source = Source::open(target, &self.arguments, &self.include, &home, &crate::progress)?;
        if self.explain {
            let selection = source.select()?;
            let mut output = BufWriter::new(io::stdout().lock());
            let listed = match self.output {
                Format::Text => list(&selection, &mut output),
                Format::Json => list_json(&selection, &mut output),
            };
            return match listed.and_then(|()| output.flush()) {
                // A reader such as head may leave early.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
                result => result.map(|()| 0).context("cannot print the list"),
            };
        }
        let name = image_name(target);
        let file = self.file.unwrap_or_else(|| PathBuf::from(format!("{name}.tar")));
        let written = source.write_archive(&name, &file, &home, &crate::progress)?;
        match self.output {
            Format::Text => println!(
                "{}: {} files, {} bytes, {}",
                file.display(),
                written.files,
                written.length,
                written.digest
            ),
            Format::Json => println!(
                "{}",
                serde_json::json!({
                    "file": file,
                    "name": name,
                    "digest": written.digest,
                    "files": written.files,
                    "bytes": written.length,
                })
            ),
        }
        Ok(0)
    }
}

/// A name for the image of `target`: what references to images allow.
fn image_name(target: &OsString) -> String {
    let path = std::fs::canonicalize(target).unwrap_or_else(|_| PathBuf::from(target));
    let stem = path.file_stem().unwrap_or(Path::new("image").as_os_str());
    let name: String = stem
        .to_string_lossy()
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' })
        .collect();
    let name = name.trim_matches(['-', '_']);
    if name.is_empty() { "image".to_owned() } else { name.to_owned() }
}

/// A line per file, then what was left out, then the sum.
fn list(selection: &Selection, output: &mut dyn Write) -> io::Result<()> {
    let mut files = 0;
    for (path, entry) in selection.tree.iter() {
        let path = String::from_utf8_lossy(path);
        match &entry.node {
            Node::Folder => continue,
            Node::File { size, .. } => writeln!(output, "{size:>10}  {path}  ({})", entry.reason)?,
            Node::Link(target) => {
                let target = String::from_utf8_lossy(target);
                writeln!(output, "      link  {path} -> {target}  ({})", entry.reason)?;
            }
        }
        files += 1;
    }
    for (path, reason) in &selection.left_out {
        writeln!(output, "  left out  {}  ({reason})", path.display())?;
    }
    let size = selection.tree.size();
    writeln!(output, "{files} files, {size} bytes; the program is {}", selection.program.display())
}

fn list_json(selection: &Selection, output: &mut dyn Write) -> io::Result<()> {
    let files: Vec<serde_json::Value> = selection
        .tree
        .iter()
        .map(|(path, entry)| {
            let path = String::from_utf8_lossy(path);
            let reason = &*entry.reason;
            match &entry.node {
                Node::Folder => serde_json::json!({"path": path, "kind": "folder", "reason": reason}),
                Node::File { size, .. } => {
                    serde_json::json!({"path": path, "kind": "file", "size": size, "reason": reason})
                }
                Node::Link(target) => {
                    let target = String::from_utf8_lossy(target);
                    serde_json::json!({"path": path, "kind": "link", "target": target, "reason": reason})
                }
            }
        })
        .collect();
    let left_out: Vec<serde_json::Value> = selection
        .left_out
        .iter()
        .map(|(path, reason)| serde_json::json!({"path": path, "reason": reason}))
        .collect();
    let document = serde_json::json!({
        "program": selection.program,
        "size": selection.tree.size(),
        "files": files,
        "left_out": left_out,
    });
    serde_json::to_writer_pretty(&mut *output, &document)?;
    writeln!(output)
}

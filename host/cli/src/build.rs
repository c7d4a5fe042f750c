//! `drupe build`.

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use drupe_engine::{Home, Source};

/// Make an image of a program
#[derive(Args)]
pub struct Build {
    /// Where to write the image
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// List the files of the image and why each is in it
    #[arg(long)]
    explain: bool,

    /// Add a file or folder of the host at its place
    #[arg(long, value_name = "PATH")]
    include: Vec<PathBuf>,

    /// What to make an image of
    target: OsString,
}

impl Build {
    /// Builds the image, or explains what it would hold.
    pub fn execute(self) -> Result<u8> {
        let home = Home::from_environment()?;
        let source = Source::open(&self.target, &[], &self.include, &home, &crate::progress)?;
        if self.explain {
            let listed = explain(&source)?;
            // A reader such as head may leave early.
            match listed.write_to(&mut BufWriter::new(io::stdout().lock())) {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                result => result.context("cannot print the list")?,
            }
        }
        Ok(0)
    }
}

/// The files of a root, ready to be printed.
struct Listing(drupe_roots::Selection);

fn explain(source: &Source) -> Result<Listing> {
    Ok(Listing(source.select()?))
}

impl Listing {
    fn write_to(&self, output: &mut dyn Write) -> io::Result<()> {
        use drupe_roots::Node;
        let Self(selection) = self;
        let mut files = 0;
        for (path, entry) in selection.tree.iter() {
            let path = String::from_utf8_lossy(path);
            match &entry.node {
                Node::Folder => continue,
                Node::File { size, .. } => {
                    writeln!(output, "{size:>10}  {path}  ({})", entry.reason)?
                }
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
        writeln!(
            output,
            "{files} files, {size} bytes; the program is {}",
            selection.program.display()
        )?;
        output.flush()
    }
}

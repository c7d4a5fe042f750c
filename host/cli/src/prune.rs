//! `drupe prune`.

use anyhow::Result;
use clap::Args;
use drupe_engine::{Home, keep};

use crate::values::{Format, parse_size};

/// Remove root images that drupe keeps; the next runs make them again
#[derive(Args)]
pub struct Prune {
    /// Remove kernels and compiled projects, too
    #[arg(long)]
    all: bool,

    /// Keep those that were used last, up to this size together
    #[arg(long, value_name = "SIZE", value_parser = parse_size, conflicts_with = "all")]
    keep: Option<u64>,

    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

impl Prune {
    /// Removes, and says how much it was.
    pub fn execute(self) -> Result<u8> {
        let home = Home::from_environment()?;
        let pruned = if self.all {
            keep::prune_all(&home)?
        } else {
            keep::prune(&home, self.keep.unwrap_or(0))?
        };
        match self.output {
            Format::Text => println!(
                "{} files with {} MiB removed from {}",
                pruned.files,
                pruned.bytes >> 20,
                home.path().display()
            ),
            Format::Json => println!(
                "{}",
                serde_json::json!({
                    "home": home.path(),
                    "files": pruned.files,
                    "bytes": pruned.bytes,
                })
            ),
        }
        Ok(0)
    }
}

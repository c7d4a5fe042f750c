//! Finding and reading configurations and libraries.

use std::path::Path;

use click_language::Libraries;
use click_language::text::{from_bytes, to_bytes};

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// The path that text in a configuration means.
pub fn path(text: &str) -> std::path::PathBuf {
    OsString::from_vec(to_bytes(text)).into()
}

/// Reads a configuration; `-` or nothing is standard input. Gives its text and the name
/// that messages use.
pub fn read_configuration(file: Option<&str>) -> Result<(String, String), String> {
    use std::io::Read;
    match file {
        None | Some("" | "-") => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .map_err(|error| format!("<stdin>: {}", crate::host::reason(&error)))?;
            Ok((from_bytes(&bytes), "<stdin>".into()))
        }
        Some(file) => match std::fs::read(path(file)) {
            Ok(bytes) => Ok((from_bytes(&bytes), file.into())),
            Err(error) => Err(format!("{file}: {}", crate::host::reason(&error))),
        },
    }
}

/// Libraries in the folder of the requiring file and along the Click path.
pub struct Shelf {
    /// `CLICKPATH`: folders separated by colons; an empty one stands for the usual places.
    pub clickpath: String,
}

impl Shelf {
    /// The path from the environment, or the one that was given.
    pub fn new(given: Option<String>) -> Self {
        let environment = || std::env::var("CLICKPATH").unwrap_or_default();
        Self { clickpath: given.unwrap_or_else(environment) }
    }
}

impl Libraries for Shelf {
    fn find(&mut self, name: &str, folder: &str) -> Option<Result<(String, String), String>> {
        let mut candidates = Vec::new();
        if name.starts_with('/') {
            candidates.push(name.to_owned());
        } else {
            let own = if folder == "." { name.into() } else { format!("{folder}/{name}") };
            candidates.push(own);
            for place in self.clickpath.split(':').filter(|place| !place.is_empty()) {
                candidates.push(format!("{place}/conf/{name}"));
                candidates.push(format!("{place}/{name}"));
            }
        }
        let found =
            candidates.into_iter().find(|candidate| Path::new(&path(candidate)).is_file())?;
        Some(match std::fs::read(path(&found)) {
            Ok(bytes) => Ok((found, from_bytes(&bytes))),
            Err(error) => Err(format!("{found}: {}", crate::host::reason(&error))),
        })
    }
}

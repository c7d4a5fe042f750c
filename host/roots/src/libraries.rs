//! The shared libraries of a program, found as the dynamic linker finds them (`ld.so(8)`).

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::elf_file::{ElfError, ElfFile};
use crate::error::Error;
use crate::host::{Importer, unreadable};
use crate::linker_cache;

/// Where Debian's dynamic linker looks without being told.
const DEFAULT_FOLDERS: &[&str] = &[
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
];

const MUSL_FOLDERS: &[&str] = &["/lib", "/usr/local/lib", "/usr/lib"];

/// Finds libraries on this host.
#[derive(Default)]
pub struct Libraries {
    cache: Option<HashMap<String, PathBuf>>,
}

/// A file whose libraries are to be found.
struct Wanting {
    path: PathBuf,
    elf: ElfFile,
    /// `DT_RPATH` of what loaded it.
    inherited: Vec<String>,
}

impl Libraries {
    /// Takes the interpreter and all libraries of the program `path`, directly needed or not.
    pub fn import(
        &mut self,
        importer: &mut Importer,
        path: &Path,
        elf: ElfFile,
    ) -> Result<(), Error> {
        let mut folders = DEFAULT_FOLDERS;
        let mut known: HashSet<String> = HashSet::new();
        if let Some(interpreter) = &elf.interpreter {
            let reason: Arc<str> = format!("interpreter of {}", path.display()).into();
            open(interpreter).map_err(|error| match error {
                Error::Unreadable { source, .. }
                    if source.kind() == std::io::ErrorKind::NotFound =>
                {
                    Error::NoInterpreter { path: path.to_owned(), interpreter: interpreter.clone() }
                }
                other => other,
            })?;
            importer.import(interpreter, &reason, true)?;
            let name = interpreter.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("ld-musl") {
                folders = MUSL_FOLDERS;
                // The interpreter is the C library.
                known.extend(["libc.so".to_owned(), "libc.musl-x86_64.so.1".to_owned()]);
            }
            known.insert(name.into_owned());
        }
        let mut waiting =
            VecDeque::from([Wanting { path: path.to_owned(), elf, inherited: Vec::new() }]);
        while let Some(wanting) = waiting.pop_front() {
            let mut names = wanting.elf.needed.clone();
            // The C library opens it when a thread is cancelled or ends.
            let optional = "libgcc_s.so.1".to_owned();
            if names.contains(&"libc.so.6".to_owned()) && !names.contains(&optional) {
                names.push(optional.clone());
            }
            for name in names {
                if !known.insert(name.clone()) {
                    continue;
                }
                let Some((place, elf)) = self.find(&name, &wanting, folders) else {
                    if name == optional {
                        continue;
                    }
                    return Err(Error::NoLibrary { path: wanting.path, library: name });
                };
                let reason: Arc<str> = format!("library of {}", wanting.path.display()).into();
                importer.import(&place, &reason, true)?;
                let inherited =
                    wanting.inherited.iter().chain(&wanting.elf.rpath).cloned().collect();
                waiting.push_back(Wanting { path: place, elf, inherited });
            }
        }
        Ok(())
    }

    fn find(
        &mut self,
        name: &str,
        wanting: &Wanting,
        folders: &[&str],
    ) -> Option<(PathBuf, ElfFile)> {
        let sound = |path: PathBuf| open(&path).ok().map(|elf| (path, elf));
        if name.contains('/') {
            return sound(name.into());
        }
        let origin = std::fs::canonicalize(&wanting.path).ok()?;
        let origin = origin.parent()?.to_string_lossy().into_owned();
        let own: Vec<&String> = if wanting.elf.runpath.is_empty() {
            wanting.elf.rpath.iter().chain(wanting.inherited.iter().rev()).collect()
        } else {
            wanting.elf.runpath.iter().collect()
        };
        for folder in own {
            let folder = expand(folder, &origin);
            if folder.starts_with('/')
                && let Some(found) = sound(Path::new(&folder).join(name))
            {
                return Some(found);
            }
        }
        if folders == DEFAULT_FOLDERS
            && let Some(path) = self.cached(name)
            && let Some(found) = sound(path)
        {
            return Some(found);
        }
        folders.iter().find_map(|folder| sound(Path::new(folder).join(name)))
    }

    fn cached(&mut self, name: &str) -> Option<PathBuf> {
        let cache = self.cache.get_or_insert_with(|| {
            let mut cache = HashMap::new();
            for library in linker_cache::of_host() {
                cache.entry(library.name).or_insert(library.path.into());
            }
            cache
        });
        cache.get(name).cloned()
    }
}

/// Replaces what the dynamic linker replaces in search paths.
fn expand(folder: &str, origin: &str) -> String {
    folder
        .replace("${ORIGIN}", origin)
        .replace("$ORIGIN", origin)
        .replace("${LIB}", "lib/x86_64-linux-gnu")
        .replace("$LIB", "lib/x86_64-linux-gnu")
        .replace("${PLATFORM}", "x86_64")
        .replace("$PLATFORM", "x86_64")
}

/// The headers of the ELF file `path`.
pub fn open(path: &Path) -> Result<ElfFile, Error> {
    let metadata = std::fs::metadata(path).map_err(unreadable(path))?;
    if !metadata.is_file() {
        return Err(Error::NotRunnable { path: path.to_owned(), source: ElfError::NotElf });
    }
    ElfFile::open(path)
        .map_err(unreadable(path))?
        .map_err(|source| Error::NotRunnable { path: path.to_owned(), source })
}

/// Puts a linker cache into the tree when it holds libraries that are not found without one.
pub fn add_linker_cache(importer: &mut Importer) {
    let cache_path = Path::new("/etc/ld.so.cache");
    if importer.tree.contains(cache_path) {
        return;
    }
    let mut is_needed = false;
    let mut kept = Vec::new();
    for library in linker_cache::of_host() {
        let path = Path::new(&library.path);
        if importer.locate(path).is_none() {
            continue;
        }
        let folder = path.parent().unwrap_or(path).to_string_lossy();
        is_needed |= !DEFAULT_FOLDERS.contains(&&*folder);
        kept.push(library);
    }
    if is_needed {
        use crate::tree::{Entry, Node, Source};
        let bytes = linker_cache::write(&kept);
        let node = Node::File { size: bytes.len() as u64, source: Source::Bytes(bytes.into()) };
        let reason = "made for libraries outside of the default folders".into();
        importer.tree.insert(cache_path, Entry { node, permissions: 0o644, mtime: 0, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_this_test_are_found_and_links_are_kept() {
        let program = std::env::current_exe().unwrap();
        let elf = open(&program).unwrap();
        let mut importer = Importer::default();
        Libraries::default().import(&mut importer, &program, elf).unwrap();
        let libc = importer.locate(Path::new("/lib/x86_64-linux-gnu/libc.so.6")).unwrap();
        let entry = importer.tree.get(&libc).unwrap();
        assert!(entry.reason.starts_with("library of "), "{}", entry.reason);
        assert!(importer.locate(Path::new("/lib64/ld-linux-x86-64.so.2")).is_some());
    }

    #[test]
    fn a_missing_library_and_interpreter_are_named() {
        let program = std::env::current_exe().unwrap();
        let mut elf = open(&program).unwrap();
        elf.needed.push("libnowhere.so.3".to_owned());
        let error = Libraries::default().import(&mut Importer::default(), &program, elf.clone());
        assert!(error.unwrap_err().to_string().contains("libnowhere.so.3"));
        elf.interpreter = Some("/lib/ld-nowhere.so".into());
        let error = Libraries::default().import(&mut Importer::default(), &program, elf);
        assert!(error.unwrap_err().to_string().contains("/lib/ld-nowhere.so"));
    }
}

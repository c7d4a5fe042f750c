//! Following a program to everything that it needs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dpkg::Database;
use crate::elf_file::{ElfError, script_interpreter};
use crate::error::Error;
use crate::host::{Importer, copy_folder, unreadable};
use crate::libraries::{self, Libraries};
use crate::tree::RootTree;
use crate::{base, packages};

/// Scripts may name scripts as their interpreters; Linux allows five.
const INTERPRETERS_FOLLOWED: u32 = 5;

/// What else is wanted.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Files and folders of the host to be added at their places.
    pub include: Vec<PathBuf>,
    /// Files and folders of the host, and where in the root they are to stand.
    pub copy: Vec<(PathBuf, PathBuf)>,
    /// Where the program stands in the root, when not where it stands on the host.
    pub place: Option<PathBuf>,
}

/// A root for a program.
#[derive(Debug)]
pub struct Selection {
    /// The files.
    pub tree: RootTree,
    /// The program's path in it.
    pub program: PathBuf,
    /// What was left out although a package lists it or a folder holds it, and why.
    pub left_out: Vec<(PathBuf, &'static str)>,
    /// What of the host this depends on: as long as none of them changes, the selection stays
    /// the same.
    pub inputs: Vec<PathBuf>,
}

/// Collects what the program in the file `program` needs.
///
/// # Errors
/// When something that it needs is missing or cannot be read, or it is no program.
pub fn select(program: &Path, options: &Options) -> Result<Selection, Error> {
    let mut selector = Selector {
        importer: Importer::default(),
        database: Database::open(Path::new("/var/lib/dpkg")),
        libraries: Libraries::default(),
    };
    let program = std::path::absolute(program).map_err(unreadable(program))?;
    let place = selector.program(&program, options.place.as_deref(), 0)?;
    for path in &options.include {
        selector.include(path)?;
    }
    let Selector { mut importer, database, .. } = selector;
    let reason: Arc<str> = "named in the project".into();
    for (from, place) in &options.copy {
        if from.is_dir() {
            copy_folder(&mut importer, from, place, false, &reason)?;
        } else {
            importer.import_file(place, from, &reason)?;
        }
    }
    libraries::add_linker_cache(&mut importer);
    if database.is_some() {
        importer.inputs.push("/var/lib/dpkg/status".into());
    }
    importer.inputs.push("/etc/ld.so.cache".into());
    Ok(finish(importer, place))
}

/// Takes the folder `root` as a root, as it is. `program` is what is to be run in it.
///
/// # Errors
/// When the folder cannot be read.
pub fn select_folder(root: &Path, program: &Path) -> Result<Selection, Error> {
    let mut importer = Importer::default();
    let reason: Arc<str> = format!("in the folder {}", root.display()).into();
    copy_folder(&mut importer, root, Path::new("/"), true, &reason)?;
    Ok(finish(importer, program.to_owned()))
}

fn finish(mut importer: Importer, program: PathBuf) -> Selection {
    base::add(&mut importer.tree);
    importer.inputs.sort();
    importer.inputs.dedup();
    let Importer { tree, left_out, inputs, .. } = importer;
    Selection { tree, program, left_out, inputs }
}

struct Selector {
    importer: Importer,
    database: Option<Database>,
    libraries: Libraries,
}

impl Selector {
    /// Takes the program `path` and what it needs; returns where it is in the root.
    fn program(&mut self, path: &Path, place: Option<&Path>, depth: u32) -> Result<PathBuf, Error> {
        let real = fs::canonicalize(path).map_err(unreadable(path))?;
        let mut file = File::open(&real).map_err(unreadable(&real))?;
        if !file.metadata().map_err(unreadable(&real))?.is_file() {
            return Err(Error::Unsupported(path.to_owned()));
        }
        let script = script_interpreter(&mut file).map_err(unreadable(&real))?;
        if let Some((interpreter, argument)) = &script {
            if depth == INTERPRETERS_FOLLOWED {
                let source = ElfError::Malformed("too many interpreters of interpreters");
                return Err(Error::NotRunnable { path: path.to_owned(), source });
            }
            self.interpreter(path, interpreter, argument.as_deref(), depth)?;
        }
        let elf = match script {
            Some(_) => None,
            None => Some(libraries::open(&real)?),
        };
        let reason: Arc<str> = "the program".into();
        if let Some(package) = self.owner(&real)
            && let Some(database) = &self.database
        {
            self.importer.import(path, &reason, true)?;
            packages::import(&mut self.importer, database, &[package])?;
            return Ok(path.to_owned());
        }
        if let Some(elf) = elf {
            self.libraries.import(&mut self.importer, &real, elf)?;
        }
        match place {
            Some(place) => {
                self.importer.import_file(place, &real, &reason)?;
                // It was built just now; the same sources are to give the same image.
                self.importer.tree.set_time(place, 0);
                Ok(place.to_owned())
            }
            None => {
                self.importer.import(path, &reason, true)?;
                Ok(path.to_owned())
            }
        }
    }

    /// Takes the interpreter of the script `path`, and what `env` would find for it.
    fn interpreter(
        &mut self,
        path: &Path,
        interpreter: &Path,
        argument: Option<&str>,
        depth: u32,
    ) -> Result<(), Error> {
        let missing = |interpreter: &Path| Error::NoInterpreter {
            path: path.to_owned(),
            interpreter: interpreter.to_owned(),
        };
        if !interpreter.is_absolute() || !interpreter.exists() {
            return Err(missing(interpreter));
        }
        let is_env = interpreter.file_name().is_some_and(|name| name == "env");
        let name = argument
            .map(|argument| argument.strip_prefix("-S").unwrap_or(argument).trim())
            .and_then(|argument| argument.split_whitespace().next());
        let Some(name) = name.filter(|_| is_env) else {
            self.program(interpreter, None, depth + 1)?;
            return Ok(());
        };
        // Of env's package only env itself.
        let reason: Arc<str> = format!("interpreter of {}", path.display()).into();
        let env = self.importer.import(interpreter, &reason, true)?;
        let elf = libraries::open(&env)?;
        self.libraries.import(&mut self.importer, &env, elf)?;
        let folders =
            ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
        let found =
            folders.iter().map(|folder| Path::new(folder).join(name)).find(|file| file.is_file());
        let found = found.ok_or_else(|| missing(Path::new(name)))?;
        self.program(&found, None, depth + 1)?;
        Ok(())
    }

    fn owner(&self, real: &Path) -> Option<String> {
        let mut paths = vec![real.to_owned()];
        // Packages may list their files under the names from before /bin became /usr/bin.
        if let Ok(rest) = real.strip_prefix("/usr") {
            paths.push(Path::new("/").join(rest));
        }
        self.database.as_ref()?.owner(&paths)
    }

    /// Takes what a user named: a file with its libraries, or a folder with all in it.
    fn include(&mut self, path: &Path) -> Result<(), Error> {
        let path = std::path::absolute(path).map_err(unreadable(path))?;
        let reason: Arc<str> = "included by name".into();
        let metadata = fs::metadata(&path).map_err(unreadable(&path))?;
        if metadata.is_dir() {
            return self.importer.import_all(&path, &reason);
        }
        let place = self.importer.import(&path, &reason, true)?;
        match libraries::open(&place) {
            Ok(elf) => self.libraries.import(&mut self.importer, &place, elf),
            // Data, not a program.
            Err(Error::NotRunnable { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select_shell() -> Selection {
        select(Path::new("/bin/dash"), &Options::default()).unwrap()
    }

    #[test]
    fn a_package_brings_its_dependencies_without_documentation_or_secrets() {
        let selection = select_shell();
        let has = |path: &str| selection.tree.contains(Path::new(path));
        assert!(has("/usr/bin/dash") && has("/bin") && has("/usr/bin/ls"));
        assert!(has("/usr/lib/x86_64-linux-gnu/libc.so.6"));
        assert!(!has("/usr/share/doc/dash") && !has("/etc/shadow") && !has("/root/.bashrc"));
        let entry = selection.tree.get(Path::new("/usr/lib/x86_64-linux-gnu/libc.so.6")).unwrap();
        assert!(entry.reason.starts_with("package libc6"), "{}", entry.reason);
    }

    #[test]
    fn split_interpreters_are_whole() {
        // Of perl-modules, while the program is of perl-base. Its major version is in the path.
        let Ok(versions) = fs::read_dir("/usr/share/perl") else { return };
        let selection = select(Path::new("/usr/bin/perl"), &Options::default()).unwrap();
        let modules: Vec<_> =
            versions.flatten().map(|entry| entry.path().join("Test/More.pm")).collect();
        assert!(modules.iter().any(|module| selection.tree.contains(module)));
    }

    #[test]
    fn internal_shell_scripts_bring_tools_and_commands_do_not() {
        let has_sed = |program: &str| {
            let selection = select(Path::new(program), &Options::default()).unwrap();
            selection.tree.contains(Path::new("/usr/bin/sed"))
        };
        assert!(!has_sed("/usr/bin/gzip"));
        assert!(!Path::new("/usr/lib/erlang/bin/erl").exists() || has_sed("/usr/bin/escript"));
    }

    #[test]
    fn the_same_host_gives_the_same_image() {
        let image = |selection: Selection| {
            let mut bytes = Vec::new();
            crate::write_image(&selection.tree.to_image().unwrap(), &mut bytes).unwrap();
            bytes
        };
        assert!(image(select_shell()) == image(select_shell()));
    }

    #[test]
    fn scripts_bring_their_interpreters() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "#!/usr/bin/env dash\nls\n").unwrap();
        let options = Options { place: Some("/app/script".into()), ..Options::default() };
        let selection = select(&script, &options).unwrap();
        for path in ["/app/script", "/usr/bin/env", "/usr/bin/dash", "/usr/bin/ls"] {
            assert!(selection.tree.contains(Path::new(path)), "{path}");
        }
        fs::write(&script, "#!/nowhere/sh\n").unwrap();
        assert!(matches!(select(&script, &options), Err(Error::NoInterpreter { .. })));
        fs::write(&script, format!("#!{}\n", script.display())).unwrap();
        assert!(matches!(select(&script, &options), Err(Error::NotRunnable { .. })));
    }

    #[test]
    fn included_folders_lose_their_secrets() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["id_rsa", "data"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let include = vec![folder.path().to_owned()];
        let selection =
            select(Path::new("/bin/true"), &Options { include, ..Options::default() }).unwrap();
        assert!(selection.tree.contains(&folder.path().join("data")));
        assert!(!selection.tree.contains(&folder.path().join("id_rsa")));
        assert_eq!(selection.left_out.last().unwrap().0, folder.path().join("id_rsa"));
    }
}

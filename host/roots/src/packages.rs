//! The files of Debian packages.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use md5::{Digest, Md5};

use crate::dpkg::Database;
use crate::elf_file::script_interpreter;
use crate::error::Error;
use crate::host::Importer;
use crate::secrets;

/// Documentation, translations and what only installed systems use.
const DOCUMENTATION: &[&str] = &[
    "/usr/share/doc",
    "/usr/share/doc-base",
    "/usr/share/man",
    "/usr/share/info",
    "/usr/share/locale",
    "/usr/share/lintian",
    "/usr/share/bug",
    "/usr/share/help",
];

/// Locales are large; the one that needs no choice stays.
const LOCALES: &str = "/usr/lib/locale";
const C_LOCALE: &str = "/usr/lib/locale/C.utf8";

/// Shells, and the packages that Debian's scripts use without declaring it, because they are
/// always installed.
const SHELLS: &[&str] = &["bash", "dash", "ksh", "mksh", "zsh"];
const SHELL_TOOLS: &[&str] = &[
    "coreutils",
    "debianutils",
    "diffutils",
    "findutils",
    "grep",
    "gzip",
    "hostname",
    "mawk",
    "ncurses-bin",
    "sed",
    "tar",
];

/// Takes the files of `names` and of all packages that they depend on.
pub fn import(importer: &mut Importer, database: &Database, names: &[String]) -> Result<(), Error> {
    let names: Vec<String> = names.iter().flat_map(|name| completed(database, name)).collect();
    let mut closure = database.closure(&names);
    let uses_shell =
        |name: &String| SHELLS.contains(&name.as_str()) || has_shell_script(database, name);
    if names.iter().any(uses_shell) {
        let tools: Vec<String> = SHELL_TOOLS.iter().map(|&name| name.to_owned()).collect();
        let known: HashSet<String> = closure.iter().map(|(name, _)| name.clone()).collect();
        let tools = database.closure(&tools).into_iter().filter(|(name, _)| !known.contains(name));
        closure.extend(tools.map(|(name, by)| (name, by.or(Some("shell scripts".to_owned())))));
    }
    let mut compiled = Compiled::default();
    for (name, needed_by) in &closure {
        let Some(package) = database.get(name) else { continue };
        let reason: Arc<str> = match needed_by {
            Some(needed_by) => format!("package {name}, needed by {needed_by}").into(),
            None => format!("package {name}").into(),
        };
        for path in database.files(name) {
            if is_documentation(&path) {
                continue;
            }
            if let Some(sum) = package.conffiles.get(&path)
                && !is_as_shipped(&path, sum)
            {
                importer.left_out.push((path, "it was changed on this host"));
                continue;
            }
            import_file(importer, &path, &reason)?;
            compiled.import(importer, &path, &reason)?;
        }
    }
    let has = |name: &str| closure.iter().any(|(package, _)| package == name);
    generated(importer, &has)
}

/// The package `name` and, where Debian splits what users know as one program, the installed
/// package with the rest: the interpreters of Python and Perl are apart from their modules.
fn completed(database: &Database, name: &str) -> Vec<String> {
    let whole = match name {
        "perl-base" => Some("perl"),
        name => name.strip_suffix("-minimal"),
    };
    let whole = whole.filter(|whole| database.get(whole).is_some());
    [Some(name), whole].into_iter().flatten().map(str::to_owned).collect()
}

/// Whether the package has shell scripts that its programs start: those that are not commands
/// themselves.
fn has_shell_script(database: &Database, name: &str) -> bool {
    let internal =
        |path: &&PathBuf| path.starts_with("/usr/lib") || path.starts_with("/usr/libexec");
    database.files(name).iter().filter(internal).any(|path| {
        let is_program = fs::symlink_metadata(path)
            .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
        is_program && is_shell_script(path).unwrap_or(false)
    })
}

fn is_shell_script(path: &Path) -> std::io::Result<bool> {
    let Some((interpreter, _)) = script_interpreter(&mut File::open(path)?)? else {
        return Ok(false);
    };
    let name = interpreter.file_name().unwrap_or_default();
    Ok(name == "sh" || SHELLS.iter().any(|shell| name == *shell))
}

/// Takes `path` unless it is a secret, is gone or cannot be read.
fn import_file(importer: &mut Importer, path: &Path, reason: &Arc<str>) -> Result<(), Error> {
    if secrets::is_secret(path) {
        importer.left_out.push((path.to_owned(), "it may hold a secret"));
        return Ok(());
    }
    match importer.import(path, reason, false) {
        Ok(_) => Ok(()),
        // Removed after it was installed, or diverted.
        Err(Error::Unreadable { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(())
        }
        Err(Error::Unreadable { .. }) => {
            importer.left_out.push((path.to_owned(), "it is not readable"));
            Ok(())
        }
        Err(Error::Unsupported(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_documentation(path: &Path) -> bool {
    DOCUMENTATION.iter().any(|folder| path.starts_with(folder))
        || (path.starts_with(LOCALES) && path != Path::new(LOCALES) && !path.starts_with(C_LOCALE))
}

fn is_as_shipped(path: &Path, sum: &str) -> bool {
    let Ok(bytes) = fs::read(path) else { return false };
    let digest = Md5::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>() == sum
}

/// Python modules that were compiled when the package was installed: without them every start
/// of an interpreter would compile again.
#[derive(Default)]
struct Compiled {
    folders: HashMap<PathBuf, Vec<PathBuf>>,
}

impl Compiled {
    fn import(
        &mut self,
        importer: &mut Importer,
        path: &Path,
        reason: &Arc<str>,
    ) -> Result<(), Error> {
        if path.extension().is_none_or(|extension| extension != "py") {
            return Ok(());
        }
        let (Some(folder), Some(stem)) = (path.parent(), path.file_stem()) else { return Ok(()) };
        let cache = folder.join("__pycache__");
        let files = self.folders.entry(cache).or_insert_with_key(|cache| {
            let mut files: Vec<PathBuf> = fs::read_dir(cache)
                .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
                .unwrap_or_default();
            files.sort();
            files
        });
        let prefix = format!("{}.", stem.to_string_lossy());
        for file in files.iter() {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(&prefix) && name.ends_with(".pyc") {
                import_file(importer, file, reason)?;
            }
        }
        Ok(())
    }
}

/// Takes what installing packages has made and no package lists.
fn generated(importer: &mut Importer, has: &dyn Fn(&str) -> bool) -> Result<(), Error> {
    let reason = |text: &str| -> Arc<str> { text.into() };
    if has("libc6") && Path::new(C_LOCALE).is_dir() {
        importer.import_all(Path::new(C_LOCALE), &reason("the locale C.UTF-8"))?;
    }
    if has("libtinfo6") && Path::new("/lib/terminfo").is_dir() {
        importer.import_all(Path::new("/lib/terminfo"), &reason("terminal descriptions"))?;
    }
    if has("libc6") && Path::new("/bin/sh").exists() {
        importer.import(Path::new("/bin/sh"), &reason("the shell of system(3)"), true)?;
    }
    if has("ca-certificates") {
        let bundle = Path::new("/etc/ssl/certs/ca-certificates.crt");
        import_file(importer, bundle, &reason("certificates of package ca-certificates"))?;
        links_into_tree(importer, Path::new("/etc/ssl/certs"), &reason("certificate"))?;
    }
    if has("ca-certificates-java") {
        let store = Path::new("/etc/ssl/certs/java/cacerts");
        import_file(importer, store, &reason("certificates of package ca-certificates-java"))?;
    }
    alternatives(importer)
}

/// Takes the links in `folder` whose targets are in the tree.
fn links_into_tree(importer: &mut Importer, folder: &Path, reason: &Arc<str>) -> Result<(), Error> {
    for path in links(folder) {
        let Ok(target) = fs::read_link(&path) else { continue };
        if importer.locate(&folder.join(target)).is_some() {
            import_file(importer, &path, reason)?;
        }
    }
    Ok(())
}

/// Takes Debian's alternatives (`update-alternatives(1)`) that lead into the tree: the generic
/// name and the link that stands for the choice.
fn alternatives(importer: &mut Importer) -> Result<(), Error> {
    let chosen: Vec<PathBuf> = links(Path::new("/etc/alternatives"))
        .into_iter()
        .filter(|path| {
            fs::read_link(path).is_ok_and(|target| {
                !is_documentation(&target) && importer.locate(&target).is_some()
            })
        })
        .collect();
    if chosen.is_empty() {
        return Ok(());
    }
    let generic = generic_names();
    for path in chosen {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let reason: Arc<str> = format!("alternative {name}").into();
        import_file(importer, &path, &reason)?;
        if let Some(link) = generic.get(&name) {
            import_file(importer, link, &reason)?;
        }
    }
    Ok(())
}

/// The links that each alternative is reached by. The administrative files hold the mode, the link of the
/// group itself, then pairs of name and link of its slaves until an empty line.
fn generic_names() -> HashMap<String, PathBuf> {
    let mut names = HashMap::new();
    for entry in fs::read_dir("/var/lib/dpkg/alternatives").into_iter().flatten().flatten() {
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let mut lines = text.lines().skip(1);
        if let Some(link) = lines.next() {
            names.insert(entry.file_name().to_string_lossy().into_owned(), link.into());
        }
        while let (Some(name), Some(link)) =
            (lines.next().filter(|name| !name.is_empty()), lines.next())
        {
            names.insert(name.to_owned(), link.into());
        }
    }
    names
}

/// The symbolic links in `folder`, sorted.
fn links(folder: &Path) -> Vec<PathBuf> {
    let mut links: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
        .map(|entry| entry.path())
        .collect();
    links.sort();
    links
}

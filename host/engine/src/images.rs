//! Image archives: what they say about running them, and writing them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use abi_guest::User;
use drupe_oci::{Archive, Image, ImageConfig};
use drupe_roots::{Selection, Source};
use erofs::write::{Content, Tree};

use crate::error::{Error, Result};
use crate::home::{Home, unfinished};
use crate::prepare::Settings;
use crate::roots::Root;

/// An archive that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// Digest of its manifest.
    pub digest: String,
    /// Number of its files and links.
    pub files: usize,
    /// Length of the archive in bytes.
    pub length: u64,
}

/// Opens the archive `path`.
pub fn open(path: &Path, home: &Home) -> Result<Archive> {
    let spool = home.clone();
    Archive::open(path, move || spool.spool()).map_err(|error| {
        let hint = matches!(error, drupe_oci::Error::NotAnImage(_)).then_some(
            "drupe runs OCI archives (drupe build, skopeo copy … oci-archive:FILE) and those of docker save",
        );
        let error = unusable(path, error);
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })
}

fn unusable(path: &Path, error: drupe_oci::Error) -> Error {
    Error::not_runnable(format!("cannot use the image {}", path.display())).because(error)
}

/// The files of the image.
pub fn tree(archive: &Archive, path: &Path) -> Result<Tree<Source>> {
    archive.root().map_err(|error| unusable(path, error))
}

/// The program as the image's command (or the user's) names it; the rest goes into `settings`.
/// The user's arguments stand in `settings` already.
pub fn command(archive: &Archive, path: &Path, settings: &mut Settings) -> Result<OsString> {
    let config = archive.config();
    let bytes = |words: &[String]| words.iter().map(|word| word.clone().into_bytes()).collect();
    let mut words: Vec<Vec<u8>> = bytes(&config.entrypoint);
    if settings.arguments.is_empty() {
        words.extend::<Vec<Vec<u8>>>(bytes(&config.cmd));
    } else {
        words.append(&mut settings.arguments);
    }
    if words.is_empty() {
        return Err(Error::not_found(format!("the image {} names no program", path.display()))
            .hint("name it behind the image: drupe run IMAGE /path/of/program"));
    }
    let program = words.remove(0);
    settings.arguments = words;
    for variable in &config.env {
        settings.set_variable(variable.clone().into_bytes());
    }
    settings.working_directory.clone_from(&config.working_dir);
    Ok(OsString::from_vec(program))
}

/// Where the program `word` is in the image.
pub fn find_program(
    tree: &Tree<Source>,
    archive: &Archive,
    word: &OsStr,
    path: &Path,
) -> Result<PathBuf> {
    let config = archive.config();
    let candidates: Vec<PathBuf> = if word.as_bytes().contains(&b'/') {
        let folder = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
        vec![Path::new(folder).join(word)]
    } else {
        let search = config.env.iter().find_map(|variable| variable.strip_prefix("PATH="));
        let search =
            search.unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        search.split(':').map(|folder| Path::new(folder).join(word)).collect()
    };
    let is_there =
        |candidate: &&PathBuf| matches!(tree.get(candidate.as_os_str().as_bytes()), Ok(Some(_)));
    candidates.iter().find(is_there).cloned().ok_or_else(|| {
        Error::not_found(format!(
            "the image {} has no program {}",
            path.display(),
            word.to_string_lossy()
        ))
    })
}

/// The user that the image names as `user[:group]`, in numbers or names.
pub fn user(tree: &Tree<Source>, named: &str, path: &Path) -> Result<User> {
    if named.is_empty() {
        return Ok(User::default());
    }
    let unknown = || {
        Error::not_runnable(format!("the image {} names the unknown user {named}", path.display()))
    };
    let (user, group) = match named.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (named, None),
    };
    let accounts = text(tree, b"/etc/passwd");
    let account = accounts.lines().map(fields).find(|fields| match user.parse::<u32>() {
        Ok(number) => fields.get(2).is_some_and(|field| field.parse() == Ok(number)),
        Err(_) => fields.first() == Some(&user),
    });
    let number = |fields: &Option<Vec<&str>>, index: usize| -> Option<u32> {
        fields.as_ref()?.get(index)?.parse().ok()
    };
    let uid = user.parse().ok().or_else(|| number(&account, 2)).ok_or_else(unknown)?;
    let gid = match group {
        None => number(&account, 3).unwrap_or(0),
        Some(group) => {
            let groups = text(tree, b"/etc/group");
            let line = groups.lines().map(fields).find(|fields| fields.first() == Some(&group));
            group.parse().ok().or_else(|| number(&line, 2)).ok_or_else(unknown)?
        }
    };
    Ok(User { uid, gid })
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

/// The text of a small file in the tree; empty when there is none.
fn text(tree: &Tree<Source>, path: &[u8]) -> String {
    const LONGEST: u64 = 1 << 20;
    let Ok(Some(found)) = tree.get(path) else { return String::new() };
    let Content::File { size, data } = found.content else { return String::new() };
    let mut bytes = vec![0; (*size).min(LONGEST) as usize];
    let read = match data {
        Source::Part(file, start) => file.read_exact_at(&mut bytes, *start),
        Source::Host(path) => File::open(path).and_then(|file| file.read_exact_at(&mut bytes, 0)),
        Source::Bytes(source) => {
            bytes = source[..bytes.len()].to_vec();
            Ok(())
        }
    };
    match read {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}

/// Writes `selection` as an image with the name `name` to `path`.
pub fn write(
    name: &str,
    path: &Path,
    selection: &Selection,
    root: &Root,
    settings: &Settings,
) -> Result<Written> {
    let unwritable = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(format!("cannot write {}", path.display())).because(error)
    };
    let unfinished = unfinished(path);
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&unfinished);
    let file = file.map_err(|error| unwritable(error.into()))?;
    let hash = root.image.file_stem().unwrap_or_default().to_string_lossy();
    let image = Image {
        name,
        tree: &selection.tree,
        config: config(root, settings),
        annotations: BTreeMap::from([
            ("dev.drupe.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("dev.drupe.root".to_owned(), format!("sha256:{hash}")),
        ]),
    };
    let written = drupe_oci::write(&image, &file).and_then(|digest| {
        let length = file.metadata()?.len();
        fs::rename(&unfinished, path)?;
        Ok(Written { digest, files: selection.tree.iter().count(), length })
    });
    written.map_err(|error| {
        let _ = fs::remove_file(&unfinished);
        unwritable(error.into())
    })
}

fn config(root: &Root, settings: &Settings) -> ImageConfig {
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    ImageConfig {
        user: String::new(),
        env: settings.environment.iter().map(text).collect(),
        entrypoint: vec![root.program.to_string_lossy().into_owned()],
        cmd: settings.arguments.iter().map(text).collect(),
        working_dir: settings.working_directory.clone(),
    }
}

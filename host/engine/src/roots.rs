//! Root images, kept by their contents.
//!
//! For each program that was prepared there is a recipe: what of the host the root depends on
//! (path, time, length, inode) and which image came out. A run compares these instead of
//! following the program again; nothing is trusted by name alone.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use abi_guest::User;
use drupe_roots::{Options, Selection, Source, select, select_folder, write_image};
use erofs::write::Tree;
use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Result};
use crate::home::{Home, unfinished, write_whole};
use crate::{images, keep};

/// First word of a recipe; another one is another format or another way of selecting.
pub(crate) const FORMAT: &[u8] = b"drupe-recipe-2";

/// A root that is ready to be started from.
#[derive(Clone, Debug)]
pub struct Root {
    /// The EROFS image.
    pub image: PathBuf,
    /// The program's path in it.
    pub program: PathBuf,
    /// Who the program runs as.
    pub user: User,
}

impl Root {
    /// Opens the image.
    ///
    /// # Errors
    /// When it is gone or cannot be read.
    pub fn open(&self) -> Result<File> {
        File::open(&self.image)
            .context(|| format!("cannot open the root image {}", self.image.display()))
    }
}

/// What a root is made from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A program of the host and what it needs.
    Program(PathBuf, Options),
    /// A folder as it is, and the program to be run in it.
    Folder(PathBuf, PathBuf),
    /// An image archive, and the program as its command names it.
    Archive(PathBuf, OsString),
}

/// What an image is made of.
struct Parts {
    tree: Tree<Source>,
    size: u64,
    program: PathBuf,
    user: User,
    inputs: Vec<PathBuf>,
}

impl Origin {
    /// Collects the files.
    ///
    /// # Errors
    /// When something is missing or unreadable, or the program cannot run.
    pub fn select(&self) -> Result<Selection> {
        let selection = match self {
            Self::Program(program, options) => select(program, options),
            Self::Folder(folder, program) => select_folder(folder, program),
            Self::Archive(path, _) => {
                return Err(Error::new(format!("{} is an image already", path.display())));
            }
        };
        selection.map_err(explain)
    }

    fn parts(&self, home: &Home) -> Result<Parts> {
        if let Self::Archive(path, word) = self {
            let archive = images::open(path, home)?;
            let tree = images::tree(&archive, path)?;
            let program = images::find_program(&tree, &archive, word, path)?;
            let user = images::user(&tree, &archive.config().user, path)?;
            return Ok(Parts { tree, size: 0, program, user, inputs: vec![path.clone()] });
        }
        let selection = self.select()?;
        Ok(Parts {
            tree: selection.tree.to_image().context(|| "the files cannot stand in an image")?,
            size: selection.tree.size(),
            program: selection.program,
            user: User::default(),
            inputs: selection.inputs,
        })
    }

    /// A name for the recipe of this origin, as this very drupe makes it: another one may choose
    /// other files.
    fn key(&self) -> String {
        let mut hasher = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let bytes = |path: &Path| absolute(path).into_os_string().into_vec();
        field(std::env::current_exe().map(|own| fingerprint(&own)).unwrap_or_default().as_bytes());
        match self {
            Self::Program(program, options) => {
                field(b"program");
                field(&bytes(program));
                field(&options.place.as_deref().map(bytes).unwrap_or_default());
                for path in &options.include {
                    field(&bytes(path));
                }
                field(b"copy");
                for (from, place) in &options.copy {
                    field(&bytes(from));
                    field(&bytes(place));
                }
            }
            Self::Folder(folder, program) => {
                field(b"folder");
                field(&bytes(folder));
                field(program.as_os_str().as_bytes());
            }
            Self::Archive(path, word) => {
                field(b"archive");
                field(&bytes(path));
                field(word.as_bytes());
            }
        }
        hex(&hasher.finalize()[..16])
    }

    /// The root image for this origin: a kept one when nothing has changed, otherwise made
    /// now. `progress` is told what takes long.
    ///
    /// # Errors
    /// As [`Origin::select`], or when the image cannot be written.
    pub fn prepare(&self, home: &Home, progress: &dyn Fn(&str)) -> Result<Root> {
        let folder = home.folder("roots")?;
        let recipe_file = folder.join(format!("{}.recipe", self.key()));
        if let Some(root) = fs::read(&recipe_file).ok().and_then(|bytes| valid(&bytes, &folder)) {
            // Images that are used are kept; that this cannot be noted is no reason to fail.
            let file = File::options().write(true).open(&recipe_file);
            let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
            return Ok(root);
        }
        let parts = self.parts(home)?;
        if parts.size > 16 << 20 {
            progress(&format!("making a root image of {} MiB", parts.size >> 20));
        }
        // Before the files are read: one that changes in between is noticed by the next run.
        let states: Vec<u8> = parts.inputs.iter().flat_map(|path| state(path)).collect();
        let image = store(&folder, &mut |output| write_image(&parts.tree, output))?;
        let Parts { program, user, .. } = parts;
        let mut recipe = FORMAT.to_vec();
        let user_field = format!("{} {}", user.uid, user.gid);
        for part in [image.as_bytes(), program.as_os_str().as_bytes(), user_field.as_bytes()] {
            recipe.push(0);
            recipe.extend(part);
        }
        recipe.extend(states);
        write_whole(&recipe_file, &recipe)?;
        keep::prune(home, keep::ROOTS_KEPT)?;
        Ok(Root { image: folder.join(image), program, user })
    }
}

/// Writes an image into `folder` under the hash of its contents; returns its file name.
pub(crate) fn store(
    folder: &Path,
    write: &mut dyn FnMut(&mut dyn Write) -> io::Result<u64>,
) -> Result<String> {
    let unfinished = unfinished(&folder.join("image"));
    let written = File::create(&unfinished).and_then(|file| {
        let mut output =
            Hashing { output: BufWriter::with_capacity(1 << 20, file), hasher: Sha256::new() };
        write(&mut output)?;
        output.flush()?;
        Ok(hex(&output.hasher.finalize()))
    });
    let stored = written.and_then(|hash| {
        let name = format!("{hash}.erofs");
        fs::rename(&unfinished, folder.join(&name))?;
        Ok(name)
    });
    stored.map_err(|error| {
        let _ = fs::remove_file(&unfinished);
        crate::home::unwritable(format!("cannot make a root image in {}", folder.display()), error)
    })
}

struct Hashing {
    output: BufWriter<File>,
    hasher: Sha256,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// The fields of a recipe for an input: its path and what tells whether it has changed, each after a zero.
fn state(path: &Path) -> Vec<u8> {
    let mut field = vec![0];
    field.extend(path.as_os_str().as_bytes());
    field.push(0);
    field.extend(fingerprint(path).as_bytes());
    field
}

fn fingerprint(path: &Path) -> String {
    match fs::symlink_metadata(path) {
        Ok(data) => format!(
            "{}.{:09} {} {} {:o}",
            data.mtime(),
            data.mtime_nsec(),
            if data.is_dir() { 0 } else { data.size() },
            data.ino(),
            data.mode()
        ),
        Err(_) => "absent".to_owned(),
    }
}

/// The file name of a recipe's image.
pub(crate) fn image_of(recipe: &[u8]) -> Option<PathBuf> {
    let mut fields = recipe.split(|byte| *byte == 0);
    let is_recipe = fields.next() == Some(FORMAT);
    let name = PathBuf::from(OsString::from_vec(fields.next()?.to_vec()));
    (is_recipe && name.components().count() == 1).then_some(name)
}

/// The root of a recipe, if all that it depends on is unchanged.
fn valid(recipe: &[u8], folder: &Path) -> Option<Root> {
    let mut fields = recipe.split(|byte| *byte == 0);
    let path = |bytes: &[u8]| PathBuf::from(OsString::from_vec(bytes.to_vec()));
    if fields.next() != Some(FORMAT) {
        return None;
    }
    let image = folder.join(path(fields.next()?));
    let program = path(fields.next()?);
    let (uid, gid) = std::str::from_utf8(fields.next()?).ok()?.split_once(' ')?;
    let user = User { uid: uid.parse().ok()?, gid: gid.parse().ok()? };
    while let Some(name) = fields.next() {
        if fingerprint(&path(name)).as_bytes() != fields.next()? {
            return None;
        }
    }
    image.is_file().then_some(Root { image, program, user })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Adds what to do about it.
fn explain(error: drupe_roots::Error) -> Error {
    use drupe_roots::{ElfError, Error as Cause};
    let message = error.to_string();
    match error {
        Cause::NotRunnable { path, source } => {
            let is_source = path.extension().is_some_and(|ending| {
                ["c", "cc", "cpp", "cxx", "rs"].iter().any(|known| ending == *known)
            });
            let hint = match source {
                ElfError::NotElf if is_source => {
                    Some("sources are built by folder: name the folder that they are in")
                }
                ElfError::NotElf => Some(
                    "a target is a program, a project folder, a root folder or an image; scripts begin with #!",
                ),
                _ => None,
            };
            let error = Error::not_runnable(message).because(source);
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        }
        Cause::NoLibrary { ref library, .. } => Error::not_runnable(message)
            .hint(format!("install the package with {library}, or see: ldd PROGRAM")),
        Cause::NoInterpreter { .. } => {
            Error::not_runnable(message).hint("install the interpreter, or change the #! line")
        }
        Cause::Unreadable { path, source } if source.kind() == io::ErrorKind::NotFound => {
            Error::not_found(format!("{} does not exist", path.display()))
        }
        Cause::Unreadable { source, .. } => Error::not_runnable(message).because(source),
        Cause::Unsupported(_) | Cause::Path(_) => Error::not_runnable(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_made_again_only_when_something_changed() {
        let home_folder = tempfile::tempdir().unwrap();
        let home = Home::at(home_folder.path());
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("true");
        fs::copy("/bin/true", &program).unwrap();
        let origin = Origin::Program(program.clone(), Options::default());
        let first = origin.prepare(&home, &|_| ()).unwrap();
        fs::remove_file(&first.image).unwrap();
        let again = origin.prepare(&home, &|_| ()).unwrap();
        assert_eq!(first.image, again.image);
        let made = fs::metadata(&first.image).unwrap().modified().unwrap();
        let kept = origin.prepare(&home, &|_| ()).unwrap();
        assert_eq!(fs::metadata(&kept.image).unwrap().modified().unwrap(), made);
        fs::copy("/bin/false", &program).unwrap();
        let changed = origin.prepare(&home, &|_| ()).unwrap();
        assert_ne!(first.image, changed.image);
        let bytes = fs::read(&changed.image).unwrap();
        erofs::Image::new(&bytes).unwrap();
    }
}

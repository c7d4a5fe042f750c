//! Limits on what is kept: the caches under drupe's home do not grow without end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::{Context, Result};
use crate::home::Home;

/// Bytes of root images that are kept.
pub const ROOTS_KEPT: u64 = 8 << 30;

/// A file that a run left unfinished is nobody's after this time.
const UNFINISHED_KEPT: Duration = Duration::from_secs(60 * 60);

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Number of files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Pruned {
    fn remove(&mut self, path: &Path) {
        let length = fs::symlink_metadata(path).map_or(0, |data| data.len());
        if fs::remove_file(path).is_ok() {
            self.files += 1;
            self.bytes += length;
        }
    }

    fn remove_folder(&mut self, folder: &Path) -> Result<()> {
        for path in files(folder) {
            self.remove(&path);
        }
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).context(|| format!("cannot remove {}", folder.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Removes everything that drupe can make again: root images, kernels, what was compiled.
///
/// # Errors
/// When something cannot be removed.
pub fn prune_all(home: &Home) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    for name in ["roots", "kernels", "builds", "gdb", "kvm", "tmp"] {
        pruned.remove_folder(&home.path().join(name))?;
    }
    Ok(pruned)
}

/// Removes what was left unfinished, and the root images that were not used for longest until
/// the rest has at most `limit` bytes.
///
/// # Errors
/// When the folder of root images cannot be listed.
pub fn prune(home: &Home, limit: u64) -> Result<Pruned> {
    let folder = home.folder("roots")?;
    let mut pruned = Pruned::default();
    remove_unfinished(&folder, &mut pruned);
    remove_unfinished(&home.path().join("kernels"), &mut pruned);
    let mut images: BTreeMap<PathBuf, Image> = BTreeMap::new();
    for path in files(&folder) {
        let Ok(data) = fs::symlink_metadata(&path) else { continue };
        let used = data.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        if path.extension().is_some_and(|ending| ending == "erofs") {
            let image = images.entry(path).or_default();
            image.bytes = data.len();
            image.used = image.used.max(used);
        } else if let Some(name) = fs::read(&path).ok().as_deref().and_then(crate::roots::image_of)
        {
            let image = images.entry(folder.join(name)).or_default();
            image.used = image.used.max(used);
            image.recipes.push(path);
        }
    }
    let mut images: Vec<(PathBuf, Image)> = images.into_iter().collect();
    images.sort_by_key(|(_, image)| std::cmp::Reverse(image.used));
    let mut kept = 0u64;
    for (path, image) in images {
        kept = kept.saturating_add(image.bytes);
        // A recipe without its image is of no use.
        if kept > limit || image.bytes == 0 {
            pruned.remove(&path);
            for recipe in &image.recipes {
                pruned.remove(recipe);
            }
        }
    }
    Ok(pruned)
}

/// A root image, and what names it.
struct Image {
    bytes: u64,
    used: SystemTime,
    recipes: Vec<PathBuf>,
}

impl Default for Image {
    fn default() -> Self {
        Self { bytes: 0, used: SystemTime::UNIX_EPOCH, recipes: Vec::new() }
    }
}

/// Removes files of runs that were killed while they wrote them.
fn remove_unfinished(folder: &Path, pruned: &mut Pruned) {
    for path in files(folder) {
        let is_part = path.extension().is_some_and(|ending| ending == "part");
        let is_old = || {
            let modified = fs::symlink_metadata(&path).and_then(|data| data.modified()).ok();
            let age = modified.and_then(|time| time.elapsed().ok());
            age.is_some_and(|age| age > UNFINISHED_KEPT)
        };
        // The name says which process writes it: see `home::unfinished`.
        if is_part && (crate::home::writer_is_gone(&path) || is_old()) {
            pruned.remove(&path);
        }
    }
}

/// The files of a folder; none when it is not there.
fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        let roots = home.folder("roots").unwrap();
        let hour = |hours: u64| SystemTime::now() - Duration::from_secs(hours * 3600);
        let write = |name: &str, bytes: &[u8], hours| {
            fs::write(roots.join(name), bytes).unwrap();
            let file = fs::File::options().write(true).open(roots.join(name)).unwrap();
            file.set_modified(hour(hours)).unwrap();
        };
        for (name, hours) in [("a", 1), ("b", 3), ("c", 2)] {
            write(&format!("{name}.erofs"), &[0; 100], 9);
            let recipe = [crate::roots::FORMAT, name.as_bytes(), b".erofs\0/bin/x\x000 0"];
            let recipe = [recipe[0], b"\0", recipe[1], recipe[2]].concat();
            write(&format!("{name}.recipe"), &recipe, hours);
        }
        write("image.999999999-0.part", b"unfinished", 0);
        let left = |roots: &Path| {
            let mut names: Vec<String> = files(roots)
                .iter()
                .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(prune(&home, 1000).unwrap(), Pruned { files: 1, bytes: 10 });
        prune(&home, 250).unwrap();
        assert_eq!(left(&roots), ["a.erofs", "a.recipe", "c.erofs", "c.recipe"]);
        prune(&home, 100).unwrap();
        assert_eq!(left(&roots), ["a.erofs", "a.recipe"]);
        prune_all(&home).unwrap();
        assert!(!roots.exists());
    }
}

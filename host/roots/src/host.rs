//! Taking files from the host into a tree, with the links that lead to them.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::secrets;
use crate::tree::{Entry, Node, RootTree, Source};

/// As many links in a row as Linux follows.
const LINKS_FOLLOWED: u32 = 40;

/// A tree that is being filled from the host.
#[derive(Default)]
pub struct Importer {
    pub tree: RootTree,
    /// What was not taken although it was due, and why.
    pub left_out: Vec<(PathBuf, &'static str)>,
    /// Files, links and folders of the host that the tree was made from.
    pub inputs: Vec<PathBuf>,
    /// Folders that were resolved: as named, and without links.
    folders: HashMap<PathBuf, PathBuf>,
}

impl Importer {
    /// Takes `path`, the folders above it and, if `follow`, what it leads to as a link. Returns where it
    /// really is.
    pub fn import(
        &mut self,
        path: &Path,
        reason: &Arc<str>,
        follow: bool,
    ) -> Result<PathBuf, Error> {
        self.import_link(path, reason, follow, 0)
    }

    fn import_link(
        &mut self,
        path: &Path,
        reason: &Arc<str>,
        follow: bool,
        depth: u32,
    ) -> Result<PathBuf, Error> {
        let Some(name) = path.file_name() else {
            return self.folder(path, reason, depth);
        };
        let parent = path.parent().unwrap_or(Path::new("/"));
        let place = self.folder(parent, reason, depth)?.join(name);
        let metadata = fs::symlink_metadata(&place).map_err(unreadable(&place))?;
        if metadata.is_symlink() {
            let target = fs::read_link(&place).map_err(unreadable(&place))?;
            self.inputs.push(place.clone());
            self.insert_link(&place, &target, &metadata, reason);
            if follow {
                let target = place.parent().unwrap_or(Path::new("/")).join(target);
                if depth >= LINKS_FOLLOWED {
                    return Err(unreadable(&place)(io::Error::other("too many symbolic links")));
                }
                return self.import_link(&target, reason, true, depth + 1);
            }
        } else if metadata.is_dir() {
            self.insert_folder(&place, &metadata, reason);
        } else {
            self.import_file(&place, &place, reason)?;
        }
        Ok(place)
    }

    /// Takes the regular file `host` as `guest`. The folders above are not looked at.
    pub fn import_file(
        &mut self,
        guest: &Path,
        host: &Path,
        reason: &Arc<str>,
    ) -> Result<(), Error> {
        let metadata = fs::metadata(host).map_err(unreadable(host))?;
        if !metadata.is_file() {
            return Err(Error::Unsupported(host.to_owned()));
        }
        if metadata.mode() & 0o004 == 0 {
            // Perhaps only others may not read it; better to know now than half-way.
            File::open(host).map_err(unreadable(host))?;
        }
        self.inputs.push(host.to_owned());
        let node = Node::File { size: metadata.len(), source: Source::Host(host.to_owned()) };
        self.tree.insert(guest, entry(node, &metadata, reason));
        Ok(())
    }

    /// Takes everything in the folder `path`, except secrets.
    pub fn import_all(&mut self, path: &Path, reason: &Arc<str>) -> Result<(), Error> {
        let place = self.folder(path, reason, 0)?;
        // Who names a folder with secrets wants what is in it, except for the keys themselves.
        let is_named = secrets::is_secret(&place);
        let mut waiting = vec![place];
        while let Some(folder) = waiting.pop() {
            self.inputs.push(folder.clone());
            for entry in fs::read_dir(&folder).map_err(unreadable(&folder))? {
                let path = entry.map_err(unreadable(&folder))?.path();
                if secrets::is_secret_name(&path) || (!is_named && secrets::is_secret(&path)) {
                    self.left_out.push((path, "it looks like a secret"));
                    continue;
                }
                let metadata = fs::symlink_metadata(&path).map_err(unreadable(&path))?;
                if metadata.is_dir() {
                    self.insert_folder(&path, &metadata, reason);
                    waiting.push(path);
                } else if metadata.is_file() || metadata.is_symlink() {
                    self.import(&path, reason, false)?;
                } else {
                    self.left_out.push((path, "it is neither a file, a folder nor a link"));
                }
            }
        }
        Ok(())
    }

    /// Where the folder `path` really is; it, its parents and the links on the way are taken.
    fn folder(&mut self, path: &Path, reason: &Arc<str>, depth: u32) -> Result<PathBuf, Error> {
        if let Some(known) = self.folders.get(path) {
            return Ok(known.clone());
        }
        let mut place = PathBuf::from("/");
        for component in path.components() {
            match component {
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
                Component::ParentDir => {
                    place.pop();
                }
                Component::Normal(name) => {
                    place.push(name);
                    if let Some(known) = self.folders.get(&place) {
                        place.clone_from(known);
                        continue;
                    }
                    let named = place.clone();
                    let metadata = fs::symlink_metadata(&place).map_err(unreadable(&place))?;
                    if metadata.is_symlink() {
                        let target = fs::read_link(&place).map_err(unreadable(&place))?;
                        self.insert_link(&place, &target, &metadata, reason);
                        if depth >= LINKS_FOLLOWED {
                            return Err(unreadable(&place)(io::Error::other(
                                "too many symbolic links",
                            )));
                        }
                        place.pop();
                        place = self.folder(&place.join(target), reason, depth + 1)?;
                    } else if metadata.is_dir() {
                        self.insert_folder(&place, &metadata, reason);
                    } else {
                        return Err(unreadable(&place)(io::ErrorKind::NotADirectory.into()));
                    }
                    self.folders.insert(named, place.clone());
                }
            }
        }
        self.folders.insert(path.to_owned(), place.clone());
        Ok(place)
    }

    fn insert_folder(&mut self, place: &Path, metadata: &Metadata, reason: &Arc<str>) {
        if place != Path::new("/") {
            self.tree.insert(place, entry(Node::Folder, metadata, reason));
        }
    }

    fn insert_link(&mut self, place: &Path, target: &Path, metadata: &Metadata, reason: &Arc<str>) {
        let node = Node::Link(target.as_os_str().as_bytes().to_vec());
        self.tree.insert(place, entry(node, metadata, reason));
    }

    /// Where `path` is in the tree, with links in its folders resolved on the host; `None` when
    /// the tree has not got it.
    pub fn locate(&mut self, path: &Path) -> Option<PathBuf> {
        let (parent, name) = (path.parent()?, path.file_name()?);
        let place = match self.folders.get(parent) {
            Some(place) => place.join(name),
            None => fs::canonicalize(parent).ok()?.join(name),
        };
        self.tree.contains(&place).then_some(place)
    }
}

fn entry(node: Node, metadata: &Metadata, reason: &Arc<str>) -> Entry {
    // The time of a folder or link tells when this host was installed, nothing about contents.
    let mtime = match node {
        Node::File { .. } => metadata.mtime(),
        _ => 0,
    };
    let permissions = (metadata.mode() & 0o7777) as u16;
    Entry { node, permissions, mtime, reason: Arc::clone(reason) }
}

pub fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Unreadable { path, source }
}

/// Takes all that is in the folder `root`, to stand in `place`; files with the names of secrets
/// only if `with_secrets`.
pub fn copy_folder(
    importer: &mut Importer,
    root: &Path,
    place: &Path,
    with_secrets: bool,
    reason: &Arc<str>,
) -> Result<(), Error> {
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        let host = root.join(&folder);
        for entry in fs::read_dir(&host).map_err(unreadable(&host))? {
            let entry = entry.map_err(unreadable(&host))?;
            let below = folder.join(entry.file_name());
            let (guest, host) = (place.join(&below), root.join(&below));
            if !with_secrets && secrets::is_secret_name(&host) {
                importer.left_out.push((host, "it looks like a secret"));
                continue;
            }
            let metadata = fs::symlink_metadata(&host).map_err(unreadable(&host))?;
            if metadata.is_dir() {
                importer.insert_folder(&guest, &metadata, reason);
                waiting.push(below);
            } else if metadata.is_symlink() {
                let target = fs::read_link(&host).map_err(unreadable(&host))?;
                importer.insert_link(&guest, &target, &metadata, reason);
                importer.inputs.push(host);
            } else if metadata.is_file() {
                importer.import_file(&guest, &host, reason)?;
            } else {
                importer.left_out.push((guest, "it is neither a file, a folder nor a link"));
            }
        }
        importer.inputs.push(host);
    }
    Ok(())
}

//! Putting a layer over a tree.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path};
use std::sync::Arc;

use drupe_roots::Source;
use erofs::Device;
use erofs::write::{Attributes, Content, Tree, TreeError};
use tar::EntryType;

use crate::archive::decompress;
use crate::error::Error;

/// First bytes of a gzip file.
pub const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Names a file that an upper layer removes.
const WHITEOUT: &[u8] = b".wh.";
/// Names a folder whose older contents an upper layer hides.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Puts the layer in `file`, `size` bytes from `start` on, over `tree`.
pub fn apply(
    tree: &mut Tree<Source>,
    file: &Arc<File>,
    start: u64,
    size: u64,
    spool: &dyn Fn() -> io::Result<File>,
) -> Result<(), Error> {
    let mut magic = [0; 4];
    let room = magic.len().min(size as usize);
    file.read_exact_at(&mut magic[..room], start)?;
    if magic == ZSTD {
        return Err(Error::Unsupported("layers compressed with zstd".to_owned()));
    }
    if magic.starts_with(&GZIP) {
        let mut part = Part { file, position: start, left: size };
        let plain = Arc::new(decompress(&mut part, spool()?)?);
        let size = plain.metadata()?.len();
        return apply_plain(tree, &plain, 0, size);
    }
    apply_plain(tree, file, start, size)
}

fn apply_plain(
    tree: &mut Tree<Source>,
    file: &Arc<File>,
    start: u64,
    size: u64,
) -> Result<(), Error> {
    // Whiteouts concern the layers below only, wherever they stand in this one.
    each(file, start, size, &mut |path, _, _| {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        let folder = &path[..path.len() - name.len()];
        let removed = if name == OPAQUE {
            tree.clear(folder)
        } else if let Some(name) = name.strip_prefix(WHITEOUT) {
            tree.remove(&[folder, name].concat()).map(|_| ())
        } else {
            Ok(())
        };
        // What is not there need not be removed.
        match removed {
            Err(TreeError::NotDirectory | TreeError::NotFound) => Ok(()),
            other => other,
        }
    })?;
    each(file, start, size, &mut |path, entry, data| {
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
        if name.starts_with(WHITEOUT) {
            return Ok(());
        }
        put(tree, path, entry, Source::Part(Arc::clone(file), data))
    })
}

/// What is done with an entry: its path, itself, and where its data start in the file.
type Each<'a> = dyn FnMut(&[u8], &mut tar::Entry<'_, Part<'_>>, u64) -> Result<(), TreeError> + 'a;

fn each(file: &Arc<File>, start: u64, size: u64, act: &mut Each<'_>) -> Result<(), Error> {
    let mut archive = tar::Archive::new(Part { file, position: start, left: size });
    let damaged = |error: io::Error| Error::Damaged(format!("a layer: {error}"));
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let data = entry.raw_file_position();
        if data.checked_add(entry.size()).is_none_or(|end| end > size) {
            return Err(Error::Damaged("a layer is cut off".to_owned()));
        }
        if entry.header().entry_type() == EntryType::GNUSparse {
            return Err(Error::Unsupported("sparse files in a layer".to_owned()));
        }
        let path = entry.path_bytes().into_owned();
        let path = inside(&path)?;
        act(&path, &mut entry, start + data)
            .map_err(|error| Error::Damaged(format!("{}: {error}", path.escape_ascii())))?;
    }
    Ok(())
}

/// `path` without a leading slash, `.` and doubled slashes.
fn inside(path: &[u8]) -> Result<Vec<u8>, Error> {
    let mut clean = Vec::with_capacity(path.len());
    for component in Path::new(std::ffi::OsStr::from_bytes(path)).components() {
        match component {
            Component::Normal(name) => {
                if !clean.is_empty() {
                    clean.push(b'/');
                }
                clean.extend(name.as_bytes());
            }
            Component::ParentDir => {
                return Err(Error::Damaged(format!(
                    "{} leads out of the root",
                    path.escape_ascii()
                )));
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(clean)
}

fn put(
    tree: &mut Tree<Source>,
    path: &[u8],
    entry: &mut tar::Entry<'_, Part<'_>>,
    data: Source,
) -> Result<(), TreeError> {
    let header = entry.header();
    let permissions = (header.mode().unwrap_or(0o644) & 0o7777) as u16;
    let kind = header.entry_type();
    let device = Device {
        major: header.device_major().ok().flatten().unwrap_or(0),
        minor: header.device_minor().ok().flatten().unwrap_or(0),
    };
    let mut attributes = Attributes::new(permissions);
    attributes.uid = header.uid().ok().and_then(|id| id.try_into().ok()).unwrap_or(0);
    attributes.gid = header.gid().ok().and_then(|id| id.try_into().ok()).unwrap_or(0);
    attributes.mtime.0 = header.mtime().ok().and_then(|time| time.try_into().ok()).unwrap_or(0);
    if let Ok(Some(extensions)) = entry.pax_extensions() {
        for extension in extensions.flatten() {
            let name = extension.key_bytes().strip_prefix(b"SCHILY.xattr.");
            // What is for the host's security system means nothing in a guest.
            if let Some(name) = name
                && (name.starts_with(b"user.") || name == b"security.capability")
            {
                attributes.xattrs.insert(name.to_vec(), extension.value_bytes().to_vec());
            }
        }
    }
    let link = entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
    let content = match kind {
        EntryType::Regular | EntryType::Continuous => Content::File { size: entry.size(), data },
        EntryType::Directory => Content::Directory,
        EntryType::Symlink => Content::Symlink(link),
        EntryType::Link => return tree.link(path, &link),
        EntryType::Char => Content::CharDevice(device),
        EntryType::Block => Content::BlockDevice(device),
        EntryType::Fifo => Content::Fifo,
        // Headers for all of the archive, and what nobody knows: no files.
        _ => return Ok(()),
    };
    tree.insert(path, attributes, content)
}

/// A part of a file, read from its start to its end without moving the file's own position.
struct Part<'a> {
    file: &'a File,
    position: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read_at(&mut buffer[..room], self.position)?;
        self.position += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer of files with their contents, in a file of its own.
    fn layer(files: &[(&str, &str)]) -> (Arc<File>, u64) {
        let mut builder = tar::Builder::new(tempfile::tempfile().unwrap());
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            // Not append_data: that refuses the names that are to be refused here.
            let bytes = name.as_bytes();
            header.as_gnu_mut().unwrap().name[..bytes.len()].copy_from_slice(bytes);
            header.set_cksum();
            builder.append(&header, text.as_bytes()).unwrap();
        }
        let file = builder.into_inner().unwrap();
        let size = file.metadata().unwrap().len();
        (Arc::new(file), size)
    }

    fn put_over(layers: &[&[(&str, &str)]]) -> Result<Tree<Source>, Error> {
        let mut tree = Tree::new(Attributes::new(0o755)).unwrap();
        for files in layers {
            let (file, size) = layer(files);
            apply(&mut tree, &file, 0, size, &tempfile::tempfile)?;
        }
        Ok(tree)
    }

    #[test]
    fn whiteouts_hide_lower_layers_only() {
        let tree = put_over(&[
            &[("a/x", "1"), ("a/y", "1"), ("b/z", "1")],
            &[("b/new", "2"), ("b/.wh..wh..opq", ""), ("a/.wh.x", ""), ("gone/.wh.nothing", "")],
        ])
        .unwrap();
        let has = |path: &str| tree.get(path.as_bytes()).unwrap().is_some();
        assert!(!has("a/x") && has("a/y") && !has("b/z") && has("b/new"));
        assert!(!has("a/.wh.x"));
    }

    #[test]
    fn names_that_lead_out_of_the_root_are_refused() {
        assert!(matches!(put_over(&[&[("../etc/passwd", "x")]]), Err(Error::Damaged(_))));
        assert!(
            put_over(&[&[("/./etc//passwd", "x")]]).unwrap().get(b"etc/passwd").unwrap().is_some()
        );
    }

    #[test]
    fn a_layer_that_is_cut_off_is_refused() {
        let (file, size) = layer(&[("a", "some text"), ("b", "more text")]);
        for cut in [513, 700, 1030, size - 1537] {
            let mut tree = Tree::new(Attributes::new(0o755)).unwrap();
            let result = apply(&mut tree, &file, 0, cut, &tempfile::tempfile);
            assert!(result.is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn damaged_layers_never_panic() {
        use std::io::{Seek, Write};
        let (file, size) = layer(&[("a", "some text"), ("b/c", "more text")]);
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let mut seed = 7u64;
        let mut output = tempfile::tempfile().unwrap();
        for _ in 0..2000 {
            let mut damaged = bytes.clone();
            for _ in 0..4 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let position = (seed >> 33) as usize % damaged.len();
                damaged[position] = (seed >> 24) as u8;
            }
            output.rewind().unwrap();
            output.write_all(&damaged).unwrap();
            let file = Arc::new(output.try_clone().unwrap());
            let mut tree = Tree::new(Attributes::new(0o755)).unwrap();
            let _ = apply(&mut tree, &file, 0, size, &tempfile::tempfile);
        }
    }
}

//! Reading an archive.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use drupe_roots::Source;
use erofs::write::{Attributes, Content, Tree};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::documents::{
    Config, DOCKER_INDEX, Descriptor, DockerManifest, INDEX, ImageConfig, Index, Manifest,
};
use crate::error::Error;
use crate::layer;
use crate::write::digest_name;

/// Documents larger than this are refused.
const LONGEST_DOCUMENT: u64 = 16 << 20;

/// Indexes may name indexes.
const INDEXES_FOLLOWED: u32 = 3;

/// An opened image archive.
pub struct Archive {
    file: Arc<File>,
    /// Where the members of the archive are: position and length.
    members: HashMap<String, (u64, u64)>,
    config: ImageConfig,
    /// Names of the layers' members, and digests that they must have.
    layers: Vec<(String, Option<String>)>,
    spool: Box<dyn Fn() -> io::Result<File>>,
}

impl Archive {
    /// Opens the archive `path`. `spool` makes empty files for what is compressed; they
    /// should vanish by themselves.
    ///
    /// # Errors
    /// When it is no archive of an image for this architecture.
    pub fn open(
        path: &Path,
        spool: impl Fn() -> io::Result<File> + 'static,
    ) -> Result<Self, Error> {
        let mut file = File::open(path)?;
        let mut magic = [0; 2];
        let count = file.read_at(&mut magic, 0)?;
        if count == 2 && magic == layer::GZIP {
            file = decompress(&mut file, spool()?)?;
        }
        let mut archive = Self {
            members: members(&file)?,
            file: Arc::new(file),
            config: ImageConfig::default(),
            layers: Vec::new(),
            spool: Box::new(spool),
        };
        if archive.members.contains_key("index.json") {
            archive.open_oci()?;
        } else if archive.members.contains_key("manifest.json") {
            archive.open_docker()?;
        } else {
            return Err(Error::NotAnImage("it has neither index.json nor manifest.json"));
        }
        Ok(archive)
    }

    /// How the image is run.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// The files of the image: its layers put over each other.
    ///
    /// # Errors
    /// When a layer is damaged, or holds what no root can hold.
    pub fn root(&self) -> Result<Tree<Source>, Error> {
        let mut tree =
            Tree::new(Attributes::new(0o755)).map_err(|error| Error::Damaged(error.to_string()))?;
        for (name, digest) in &self.layers {
            let (start, size) = self.member(name)?;
            if let Some(digest) = digest {
                self.check(name, digest)?;
            }
            layer::apply(&mut tree, &self.file, start, size, &self.spool)?;
        }
        for (folder, permissions) in
            [("dev", 0o755), ("proc", 0o555), ("sys", 0o555), ("tmp", 0o1777)]
        {
            if tree.get(folder.as_bytes()).is_ok_and(|found| found.is_none()) {
                tree.insert(folder.as_bytes(), Attributes::new(permissions), Content::Directory)
                    .map_err(|error| Error::Damaged(format!("/{folder}: {error}")))?;
            }
        }
        Ok(tree)
    }

    fn open_oci(&mut self) -> Result<(), Error> {
        let mut index: Index = self.document("index.json")?;
        for _ in 0..INDEXES_FOLLOWED {
            let chosen = index
                .manifests
                .iter()
                .find(|manifest| is_for_us(manifest))
                .ok_or(Error::Architecture)?
                .clone();
            if chosen.media_type == INDEX || chosen.media_type == DOCKER_INDEX {
                index = self.blob(&chosen)?;
                continue;
            }
            let manifest: Manifest = self.blob(&chosen)?;
            let config: Config = self.blob(&manifest.config)?;
            self.set_config(config)?;
            for layer in manifest.layers {
                self.layers.push((blob_name(&layer.digest)?, Some(layer.digest)));
            }
            return Ok(());
        }
        Err(Error::Unsupported("indexes in indexes".to_owned()))
    }

    fn open_docker(&mut self) -> Result<(), Error> {
        let manifests: Vec<DockerManifest> = self.document("manifest.json")?;
        let manifest = manifests.into_iter().next();
        let manifest = manifest.ok_or(Error::NotAnImage("manifest.json names no image"))?;
        let config: Config = self.document(&manifest.config)?;
        self.set_config(config)?;
        self.layers = manifest.layers.into_iter().map(|name| (name, None)).collect();
        Ok(())
    }

    fn set_config(&mut self, config: Config) -> Result<(), Error> {
        let is_ours = matches!(config.architecture.as_str(), "amd64" | "x86_64")
            && matches!(config.os.as_str(), "linux" | "");
        if !is_ours {
            return Err(Error::Architecture);
        }
        self.config = config.config;
        Ok(())
    }

    fn member(&self, name: &str) -> Result<(u64, u64), Error> {
        let found = self.members.get(name).copied();
        found.ok_or_else(|| Error::Damaged(format!("{name} is missing")))
    }

    fn bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
        let (start, size) = self.member(name)?;
        if size > LONGEST_DOCUMENT {
            return Err(Error::Damaged(format!("{name} is too long")));
        }
        let mut bytes = vec![0; size as usize];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    fn document<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        parse(name, &self.bytes(name)?)
    }

    fn blob<T: DeserializeOwned>(&self, descriptor: &Descriptor) -> Result<T, Error> {
        let name = blob_name(&descriptor.digest)?;
        let bytes = self.bytes(&name)?;
        if digest_name(Sha256::new_with_prefix(&bytes)) != descriptor.digest {
            return Err(Error::Damaged(format!("{name} has other contents than its name says")));
        }
        parse(&name, &bytes)
    }

    /// Compares the contents of a member with its digest.
    fn check(&self, name: &str, digest: &str) -> Result<(), Error> {
        let (start, size) = self.member(name)?;
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        let mut position = 0;
        while position < size {
            let room = (size - position).min(buffer.len() as u64) as usize;
            self.file.read_exact_at(&mut buffer[..room], start + position)?;
            hasher.update(&buffer[..room]);
            position += room as u64;
        }
        if digest_name(hasher) == digest {
            return Ok(());
        }
        Err(Error::Damaged(format!("{name} has other contents than its name says")))
    }
}

fn is_for_us(manifest: &Descriptor) -> bool {
    match &manifest.platform {
        Some(platform) => platform.architecture == "amd64" && platform.os == "linux",
        None => true,
    }
}

fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::Damaged(format!("{name}: {error}")))
}

/// The member that holds the blob with this digest.
fn blob_name(digest: &str) -> Result<String, Error> {
    match digest.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Ok(format!("blobs/sha256/{hex}"))
        }
        Some(_) => Err(Error::Damaged(format!("{digest} is no digest"))),
        None => Err(Error::Unsupported(format!("the digest {digest}"))),
    }
}

/// Where the members of the tar file are.
fn members(mut file: &File) -> Result<HashMap<String, (u64, u64)>, Error> {
    file.rewind()?;
    let length = file.metadata()?.len();
    let mut archive = tar::Archive::new(file);
    let mut members = HashMap::new();
    let mut links = Vec::new();
    for entry in archive.entries_with_seek().map_err(not_a_tar)? {
        let entry = entry.map_err(not_a_tar)?;
        let Ok(path) = entry.path() else { continue };
        let name = path.to_string_lossy().trim_start_matches("./").to_owned();
        if entry.header().entry_type().is_file() {
            let (start, size) = (entry.raw_file_position(), entry.size());
            if start.checked_add(size).is_none_or(|end| end > length) {
                return Err(Error::Damaged(format!("{name} is cut off")));
            }
            members.insert(name, (start, size));
        } else if let Ok(Some(target)) = entry.link_name() {
            // `docker save` links a layer that occurs twice.
            let target = target.to_string_lossy().trim_start_matches("../").to_owned();
            links.push((name, target));
        }
    }
    for (name, target) in links {
        if let Some(place) = members.get(&target).copied() {
            members.insert(name, place);
        }
    }
    Ok(members)
}

fn not_a_tar(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::Damaged("it is cut off".to_owned()),
        io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            Error::NotAnImage("it is no tar file")
        }
        _ => Error::Io(error),
    }
}

/// Writes what `file` holds compressed into `output`.
pub fn decompress(file: &mut dyn Read, mut output: File) -> Result<File, Error> {
    let mut input = flate2::read::MultiGzDecoder::new(io::BufReader::new(file));
    io::copy(&mut input, &mut output)
        .map_err(|error| Error::Damaged(format!("it cannot be decompressed: {error}")))?;
    output.flush()?;
    output.rewind()?;
    Ok(output)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use drupe_roots::{Options, select};

    use super::*;
    use crate::{Image, write};

    fn sample() -> (tempfile::TempDir, std::path::PathBuf, drupe_roots::Selection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.tar");
        let selection = select(Path::new("/bin/true"), &Options::default()).unwrap();
        let image = Image {
            name: "true",
            tree: &selection.tree,
            config: ImageConfig {
                entrypoint: vec!["/bin/true".to_owned()],
                ..ImageConfig::default()
            },
            annotations: BTreeMap::from([("dev.drupe.x".to_owned(), "y".to_owned())]),
        };
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        write(&image, &file).unwrap();
        (folder, path, selection)
    }

    #[test]
    fn what_is_written_is_read_and_gives_the_same_root() {
        let (_folder, path, selection) = sample();
        let archive = Archive::open(&path, tempfile::tempfile).unwrap();
        assert_eq!(archive.config().entrypoint, ["/bin/true"]);
        let image = |tree: &Tree<Source>| {
            let mut bytes = Vec::new();
            drupe_roots::write_image(tree, &mut bytes).unwrap();
            bytes
        };
        let direct = image(&selection.tree.to_image().unwrap());
        assert!(direct == image(&archive.root().unwrap()));
    }

    #[test]
    fn writing_twice_gives_the_same_bytes() {
        let ((_a, first, _), (_b, second, _)) = (sample(), sample());
        assert!(fs::read(first).unwrap() == fs::read(second).unwrap());
    }

    #[test]
    fn damage_is_noticed() {
        let (_folder, path, _) = sample();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let archive = Archive::open(&path, tempfile::tempfile).unwrap();
        assert!(matches!(archive.root(), Err(Error::Damaged(_))));
        for length in [0, 100, 600, middle] {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(Archive::open(&path, tempfile::tempfile).is_err(), "cut at {length}");
        }
        fs::write(&path, "no archive at all, just a text ".repeat(40)).unwrap();
        assert!(matches!(Archive::open(&path, tempfile::tempfile), Err(Error::NotAnImage(_))));
    }
}

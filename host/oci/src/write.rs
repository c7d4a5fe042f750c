//! Writing an archive.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

use drupe_roots::{Entry, Node, RootTree, Source};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use crate::documents::{
    CONFIG, Config, Descriptor, INDEX, ImageConfig, Index, LAYER, MANIFEST, Manifest, Platform,
    RootFs,
};
use crate::error::Error;

const BLOCK: u64 = 512;
const CREATED: &str = "1970-01-01T00:00:00Z";

/// What an archive is made of.
pub struct Image<'a> {
    /// Its name, for tools that list images.
    pub name: &'a str,
    /// Its files.
    pub tree: &'a RootTree,
    /// How it is run.
    pub config: ImageConfig,
    /// Annotations of its manifest (`dev.drupe.…`).
    pub annotations: BTreeMap<String, String>,
}

/// Writes `image` to the empty file `output`; returns the digest of its manifest. The same
/// image gives the same bytes: no time, user or host name is in it.
///
/// # Errors
/// When a file cannot be read, or the archive not be written.
pub fn write(image: &Image<'_>, output: &File) -> Result<String, Error> {
    let mut output = output;
    // The layer comes first, in place; its name is a hash that is known afterwards.
    output.write_all(&[0; BLOCK as usize])?;
    let mut layer = Hashing {
        output: BufWriter::with_capacity(1 << 20, output),
        hasher: Sha256::new(),
        length: 0,
    };
    write_layer(image.tree, &mut layer)?;
    layer.flush()?;
    let Hashing { hasher, length: size, .. } = layer;
    let digest = digest_name(hasher);
    let end = BLOCK + size.next_multiple_of(BLOCK);
    output.set_len(end)?;
    output.write_all_at(blob_header(&digest, size)?.as_bytes(), 0)?;
    output.seek(SeekFrom::Start(end))?;

    let mut archive = tar::Builder::new(BufWriter::new(output));
    let layer = descriptor(LAYER, &digest, size);
    let config = Config {
        created: CREATED.to_owned(),
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        config: image.config.clone(),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![digest] },
    };
    let config = append_blob(&mut archive, CONFIG, &config)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        config,
        layers: vec![layer],
        annotations: image.annotations.clone(),
    };
    let mut manifest = append_blob(&mut archive, MANIFEST, &manifest)?;
    let digest = manifest.digest.clone();
    manifest.platform = Some(Platform { architecture: "amd64".to_owned(), os: "linux".to_owned() });
    let name = ("org.opencontainers.image.ref.name".to_owned(), image.name.to_owned());
    manifest.annotations = BTreeMap::from([name]);
    let index =
        Index { schema_version: 2, media_type: INDEX.to_owned(), manifests: vec![manifest] };
    append(&mut archive, "index.json", &json(&index)?)?;
    append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    archive.into_inner()?.flush()?;
    Ok(digest)
}

fn write_layer(tree: &RootTree, output: &mut dyn Write) -> io::Result<()> {
    let mut layer = tar::Builder::new(output);
    for (path, entry) in tree.iter() {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let path = path_of(path);
        let mut header = header(entry);
        match &entry.node {
            Node::Folder => {
                header.set_entry_type(EntryType::Directory);
                layer.append_data(&mut header, path, io::empty())?;
            }
            Node::Link(target) => {
                header.set_entry_type(EntryType::Symlink);
                layer.append_link(&mut header, path, path_of(target))?;
            }
            Node::File { size, source } => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(*size);
                let named = |error: io::Error| {
                    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
                };
                let written = match source {
                    Source::Bytes(bytes) => layer.append_data(&mut header, path, &bytes[..]),
                    Source::Host(host) => {
                        let file = File::open(host).map_err(named)?;
                        layer.append_data(&mut header, path, Exactly { file, left: *size })
                    }
                    Source::Part(file, start) => {
                        let mut file = file.try_clone()?;
                        file.seek(SeekFrom::Start(*start))?;
                        layer.append_data(&mut header, path, Exactly { file, left: *size })
                    }
                };
                written.map_err(named)?;
            }
        }
    }
    layer.into_inner()?.flush()
}

fn path_of(bytes: &[u8]) -> &std::path::Path {
    std::path::Path::new(std::ffi::OsStr::from_bytes(bytes))
}

fn header(entry: &Entry) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(u32::from(entry.permissions));
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::try_from(entry.mtime).unwrap_or(0));
    header.set_size(0);
    header
}

/// As many bytes of a file as were announced: one that has changed since is an error, not a
/// damaged archive.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.file.read(&mut buffer[..room])?;
        if count == 0 && room > 0 {
            return Err(io::Error::other("the file became shorter while it was read"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

struct Hashing<W> {
    output: W,
    hasher: Sha256,
    length: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// `sha256:…` of what the hasher has seen.
pub fn digest_name(hasher: Sha256) -> String {
    let hex: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

fn descriptor(media_type: &str, digest: &str, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_owned(),
        size,
        platform: None,
        annotations: BTreeMap::new(),
    }
}

/// The header of the blob with this digest.
fn blob_header(digest: &str, size: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(digest.replace(':', "/").replacen("sha256", "blobs/sha256", 1))?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header)
}

fn json(document: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(document).map_err(|error| Error::Io(error.into()))
}

fn append_blob<W: Write>(
    archive: &mut tar::Builder<W>,
    media_type: &str,
    document: &impl Serialize,
) -> Result<Descriptor, Error> {
    let bytes = json(document)?;
    let digest = digest_name(Sha256::new_with_prefix(&bytes));
    archive.append(&blob_header(&digest, bytes.len() as u64)?, &bytes[..])?;
    Ok(descriptor(media_type, &digest, bytes.len() as u64))
}

fn append<W: Write>(archive: &mut tar::Builder<W>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, name, bytes)
}

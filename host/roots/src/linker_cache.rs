//! `/etc/ld.so.cache`: where the dynamic linker finds libraries.
//!
//! Source: `sysdeps/generic/dl-cache.h` of the GNU C library (format "1.1").

use std::path::Path;

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
const HEADER_LEN: usize = 48;
const ENTRY_LEN: usize = 24;
/// An entry for x86-64 and the current C library.
const FLAGS_X86_64: u32 = 0x0303;
/// The entry's last field is an index into a table of hardware capabilities.
const HAS_EXTENSION: u64 = 1 << 62;

/// One library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// The name that programs ask for.
    pub name: String,
    /// Where it is.
    pub path: String,
}

/// The libraries of a cache in its order; entries for other machines are left out, and a
/// damaged cache is as good as none.
pub fn parse(bytes: &[u8]) -> Vec<Library> {
    // Caches of old make begin with an older table.
    let Some(start) = memchr::memmem::find(bytes, MAGIC) else { return Vec::new() };
    let cache = &bytes[start..];
    let number =
        |at: usize| -> Option<u32> { Some(u32::from_le_bytes(*cache.get(at..)?.first_chunk()?)) };
    let text = |at: u32| -> Option<String> {
        let rest = cache.get(at as usize..)?;
        let end = memchr::memchr(0, rest)?;
        String::from_utf8(rest[..end].to_vec()).ok()
    };
    let count = number(20).unwrap_or(0) as usize;
    let entry = |index: usize| -> Option<Option<Library>> {
        let at = HEADER_LEN + index * ENTRY_LEN;
        let (flags, name, path) = (number(at)?, number(at + 4)?, number(at + 8)?);
        let capabilities = u64::from(number(at + 16)?) | u64::from(number(at + 20)?) << 32;
        if flags != FLAGS_X86_64 || capabilities & HAS_EXTENSION != 0 {
            return Some(None);
        }
        Some(Some(Library { name: text(name)?, path: text(path)? }))
    };
    (0..count.min(cache.len() / ENTRY_LEN)).map_while(entry).flatten().collect()
}

/// A cache of `libraries`, which must stand in the order of the cache that they come from: the
/// dynamic linker searches by halves.
pub fn write(libraries: &[Library]) -> Vec<u8> {
    let strings_at = HEADER_LEN + libraries.len() * ENTRY_LEN;
    let mut strings = Vec::new();
    let mut cache = MAGIC.to_vec();
    cache.extend((libraries.len() as u32).to_le_bytes());
    let length: usize = libraries.iter().map(|l| l.name.len() + l.path.len() + 2).sum();
    cache.extend((length as u32).to_le_bytes());
    // Byte order: little-endian.
    cache.extend([2, 0, 0, 0]);
    cache.resize(HEADER_LEN, 0);
    for library in libraries {
        let mut place = |text: &str| {
            let at = (strings_at + strings.len()) as u32;
            strings.extend(text.as_bytes());
            strings.push(0);
            at.to_le_bytes()
        };
        let (name, path) = (place(&library.name), place(&library.path));
        cache.extend(FLAGS_X86_64.to_le_bytes());
        cache.extend(name);
        cache.extend(path);
        cache.extend([0; 12]);
    }
    cache.extend(strings);
    cache
}

/// The libraries of this host; none when it has no cache.
pub fn of_host() -> Vec<Library> {
    std::fs::read(Path::new("/etc/ld.so.cache")).map(|bytes| parse(&bytes)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let library = |name: &str| Library { name: name.into(), path: format!("/opt/{name}") };
        let libraries = vec![library("libb.so.1"), library("liba.so.2")];
        let bytes = write(&libraries);
        assert_eq!(parse(&bytes), libraries);
        for length in 0..bytes.len() {
            parse(&bytes[..length]);
        }
    }
}

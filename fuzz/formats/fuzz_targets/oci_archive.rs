//! Any bytes as an image archive: opened, and its layers put over each other.
#![no_main]

use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use drupe_oci::Archive;
use libfuzzer_sys::fuzz_target;
use rustix::fs::MemfdFlags;

fn empty() -> std::io::Result<std::fs::File> {
    Ok(rustix::fs::memfd_create("fuzz", MemfdFlags::CLOEXEC)?.into())
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut file) = empty() else { return };
    if file.write_all(bytes).is_err() || file.rewind().is_err() {
        return;
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let Ok(archive) = Archive::open(Path::new(&path), empty) else { return };
    let _ = archive.root();
});

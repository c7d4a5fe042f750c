//! Any bytes as a program of the host, and as a script.
#![no_main]

use std::io::{Seek, Write};

use drupe_roots::ElfFile;
use libfuzzer_sys::fuzz_target;
use rustix::fs::MemfdFlags;

fuzz_target!(|bytes: &[u8]| {
    let Ok(descriptor) = rustix::fs::memfd_create("fuzz", MemfdFlags::CLOEXEC) else { return };
    let mut file = std::fs::File::from(descriptor);
    if file.write_all(bytes).is_err() || file.rewind().is_err() {
        return;
    }
    let Ok(Ok(elf)) = ElfFile::read(&file) else { return };
    let _ = format!("{elf:?}");
});

//! Any text as `drupe.toml`.
#![no_main]

use std::path::Path;

use drupe_engine::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Manifest::parse(text, Path::new("drupe.toml"));
});

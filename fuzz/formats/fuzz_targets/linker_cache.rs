//! Any bytes as the cache of the dynamic linker; what is written must be read the same.
#![no_main]

use drupe_roots::linker_cache::{parse, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let libraries = parse(bytes);
    let again = parse(&write(&libraries));
    let names = |libraries: &[drupe_roots::linker_cache::Library]| -> Vec<(String, String)> {
        libraries.iter().map(|library| (library.name.clone(), library.path.clone())).collect()
    };
    assert_eq!(names(&libraries), names(&again));
});

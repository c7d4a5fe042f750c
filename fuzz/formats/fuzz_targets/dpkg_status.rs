//! Any text as the status file of a package database.
#![no_main]

use std::path::Path;

use drupe_roots::dpkg::Database;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let database = Database::parse(Path::new("/nowhere"), &String::from_utf8_lossy(bytes));
    let names: Vec<String> = database.names().map(str::to_owned).collect();
    let closure = database.closure(&names);
    assert!(closure.len() >= names.len());
    for name in &names {
        assert!(database.get(name).is_some());
    }
});

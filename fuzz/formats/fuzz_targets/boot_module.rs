//! Any bytes as a boot module. Its checksum is made right, or nothing behind it would be seen.
#![no_main]

use abi_guest::{Config, crc32};
use libfuzzer_sys::fuzz_target;

/// Where the checked part of a module begins, behind the checksum.
const CHECKED_FROM: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    let _ = Config::header(bytes);
    let _ = Config::parse(bytes);
    let mut repaired = bytes.to_vec();
    if let Ok(header) = Config::header(bytes)
        && let Some(checked) = bytes.get(CHECKED_FROM..header.blob_len as usize)
    {
        let checksum = crc32(checked).to_le_bytes();
        repaired[CHECKED_FROM - 4..CHECKED_FROM].copy_from_slice(&checksum);
    }
    let Ok(config) = Config::parse(&repaired) else { return };
    config.arguments().chain(config.environment()).for_each(drop);
    for root in config.roots() {
        assert!(!root.target.is_empty());
    }
});

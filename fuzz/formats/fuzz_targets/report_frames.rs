//! Any bytes as frames of a guest, in pieces: the host must see the same, whatever the pieces.
#![no_main]

use abi_report::{Decoder, MAX_PAYLOAD};
use libfuzzer_sys::fuzz_target;

/// What a decoder sees of `bytes` when they come in pieces of `size`.
fn frames(bytes: &[u8], size: usize) -> (Vec<(u8, usize)>, bool) {
    let mut decoder = Decoder::new();
    let mut seen = Vec::new();
    for piece in bytes.chunks(size) {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    assert!(frame.payload.len() <= MAX_PAYLOAD);
                    let _ = (frame.text(), frame.status(), frame.addresses().count());
                    seen.push((frame.kind as u8, frame.payload.len()));
                }
                Ok(None) => break,
                Err(_) => return (seen, true),
            }
        }
    }
    (seen, false)
}

fuzz_target!(|bytes: &[u8]| {
    let whole = frames(bytes, bytes.len().max(1));
    assert_eq!(whole, frames(bytes, 1));
    assert_eq!(whole, frames(bytes, 7));
});

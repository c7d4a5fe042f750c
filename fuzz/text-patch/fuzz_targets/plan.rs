//! Any bytes as program text: what is decoded has the length that the disassembler says, and a
//! plan leads from every displaced instruction to its copy and back.
#![no_main]

use iced_x86::{Decoder, DecoderOptions};
use libfuzzer_sys::fuzz_target;
use text_patch::{BLOCK, DISTANCES, Request, Zone, decode, plan};

fuzz_target!(|input: (u32, u16, u8, Vec<u8>)| {
    let (site, number, distance, bytes) = input;
    if let Some(instruction) = decode(&bytes) {
        let judged = Decoder::with_ip(64, &bytes, 0, DecoderOptions::NONE).decode();
        assert!(judged.is_invalid() || judged.len() == usize::from(instruction.length));
    }
    let mut text = vec![0x90; BLOCK as usize];
    let site = site as usize % (text.len() - 1);
    let start = site.saturating_sub(bytes.len() / 2);
    let end = (start + bytes.len()).min(text.len());
    text[start..end].copy_from_slice(&bytes[..end - start]);
    text[site..site + 2].copy_from_slice(&[0x0f, 0x05]);
    let request = Request {
        text: &text,
        site,
        number: u64::from(number),
        distance: DISTANCES[usize::from(distance) % DISTANCES.len()],
        entry: 0x40,
    };
    let Ok(patch) = plan(&request, &mut Zone::new()) else { return };
    for at in patch.at..patch.at + 5 {
        if let Some(stub) = patch.continuation(at) {
            assert!(patch.covers(stub));
            assert_eq!(patch.program_address(stub), Some(at));
        }
    }
});

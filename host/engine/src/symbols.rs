//! Names and source lines for addresses in a kernel.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use elf::ElfBytes;
use elf::abi::PT_LOAD;
use elf::endian::LittleEndian;

/// A backtrace as text, a line per function, innermost first. Addresses are relative to the
/// start of the kernel's image; `first_is_exact` when the first is no return address.
pub fn backtrace(
    kernel: &Path,
    addresses: impl Iterator<Item = u64>,
    first_is_exact: bool,
) -> String {
    let mut text = String::new();
    let loader = addr2line::Loader::new(kernel);
    // A virtual machine's kernel is linked for where it is loaded.
    let start = loader.as_ref().map_or(0, |_| image_start(kernel));
    for (number, address) in addresses.enumerate() {
        let _ = write!(text, "  {number:>2}: {address:#010x}");
        // A return address points behind its call, perhaps into the next function.
        let is_exact = number == 0 && first_is_exact;
        let probe = if is_exact { address } else { address.saturating_sub(1) };
        let probe = probe.wrapping_add(start);
        match &loader {
            Ok(loader) => describe(loader, probe, &mut text),
            Err(_) => text.push('\n'),
        }
    }
    text
}

/// The lowest address that the kernel is linked for.
fn image_start(kernel: &Path) -> u64 {
    let mut head = Vec::new();
    // The headers that are needed stand at the start; the section headers stand elsewhere.
    let read = File::open(kernel).and_then(|file| file.take(4096).read_to_end(&mut head));
    if read.is_err() || head.len() < 64 {
        return 0;
    }
    head[40..48].fill(0);
    head[60..64].fill(0);
    let file = ElfBytes::<LittleEndian>::minimal_parse(&head).ok();
    let segments = file.as_ref().and_then(ElfBytes::segments);
    let loaded = segments.into_iter().flatten().filter(|segment| segment.p_type == PT_LOAD);
    loaded.map(|segment| segment.p_vaddr & !0xfff).min().unwrap_or(0)
}

fn describe(loader: &addr2line::Loader, probe: u64, text: &mut String) {
    let mut found = false;
    if let Ok(mut frames) = loader.find_frames(probe) {
        while let Ok(Some(frame)) = frames.next() {
            let indent = if found { "                  " } else { " " };
            found = true;
            match &frame.function {
                Some(function) => {
                    let name = function.demangle().unwrap_or_else(|_| "?".into());
                    let _ = write!(text, "{indent}{name}");
                }
                None => {
                    let _ = write!(text, "{indent}{}", symbol(loader, probe));
                }
            }
            if let Some(location) = &frame.location
                && let (Some(file), Some(line)) = (location.file, location.line)
            {
                let _ = write!(text, " at {file}:{line}");
            }
            text.push('\n');
        }
    }
    if !found {
        let _ = writeln!(text, " {}", symbol(loader, probe));
    }
}

fn symbol(loader: &addr2line::Loader, probe: u64) -> String {
    loader.find_symbol(probe).map_or_else(
        || "?".to_owned(),
        |name| addr2line::demangle_auto(name.into(), None).into_owned(),
    )
}

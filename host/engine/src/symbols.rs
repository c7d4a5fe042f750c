//! Names and source lines for addresses in a kernel.

use std::fmt::Write;
use std::path::Path;

/// A backtrace as text, a line per function, innermost first. Addresses are relative to the
/// start of the kernel's image; `first_is_exact` when the first is no return address.
pub fn backtrace(
    kernel: &Path,
    addresses: impl Iterator<Item = u64>,
    first_is_exact: bool,
) -> String {
    let mut text = String::new();
    let loader = addr2line::Loader::new(kernel);
    for (number, address) in addresses.enumerate() {
        let _ = write!(text, "  {number:>2}: {address:#010x}");
        // A return address points behind its call, perhaps into the next function.
        let is_exact = number == 0 && first_is_exact;
        let probe = if is_exact { address } else { address.saturating_sub(1) };
        match &loader {
            Ok(loader) => describe(loader, probe, &mut text),
            Err(_) => text.push('\n'),
        }
    }
    text
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

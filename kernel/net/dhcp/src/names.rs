use alloc::string::String;
use alloc::vec::Vec;

/// Domain names one after the other (RFC 1035 §3.1), with compression pointers into the same
/// bytes as RFC 3397 allows. What is malformed ends the reading.
pub(crate) fn read_names(bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = 0;
    while at < bytes.len() && names.len() < 16 {
        let Some((name, next)) = read_name(bytes, at) else { break };
        if !name.is_empty() {
            names.push(name);
        }
        at = next;
    }
    names
}

fn read_name(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = start;
    let mut after = None;
    // Each pointer must lead backwards, so that this ends.
    let mut limit = start;
    loop {
        let length = *bytes.get(at)?;
        match length {
            0 => return Some((name, after.unwrap_or(at + 1))),
            1..=63 => {
                let label = bytes.get(at + 1..at + 1 + usize::from(length))?;
                let plain =
                    label.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
                if !plain || name.len() + label.len() > 253 {
                    return None;
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|&c| char::from(c)));
                at += 1 + usize::from(length);
            }
            0xc0.. => {
                let low = *bytes.get(at + 1)?;
                let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                if target >= limit {
                    return None;
                }
                after.get_or_insert(at + 2);
                limit = target;
                at = target;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_with_pointers() {
        let bytes = b"\x03eng\x05apple\x03com\x00\x09marketing\xc0\x04";
        assert_eq!(read_names(bytes), ["eng.apple.com", "marketing.apple.com"]);
        assert!(read_names(b"\xc0\x00").is_empty());
        assert!(read_names(b"\x05ab").is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_names(&bytes);
        }
    }
}

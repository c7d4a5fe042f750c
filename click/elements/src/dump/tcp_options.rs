//! TCP options as text: `mss1460;wscale10;sackok;ts1:2;sack1-10`, and back.
//!
//! Source: RFC 793, 1323, 2018, and the tcp_opt field in ToIPSummaryDump's documentation.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use click_language::value;

use crate::wire;

const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
pub(crate) const SACK: u8 = 5;
const TIMESTAMP: u8 = 8;

/// Which options to show.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    All,
    NoTimestamp,
    Sack,
}

/// Options as text, without padding; `.` if there are none, `?` if they are broken.
pub(crate) fn unparse(mut options: &[u8], which: Which) -> String {
    let mut parts: Vec<String> = Vec::new();
    while let Some(&kind) = options.first() {
        match kind {
            END => break,
            NOP => {
                options = &options[1..];
                continue;
            }
            _ => {}
        }
        let length = options.get(1).map_or(0, |&length| usize::from(length));
        if length < 2 || length > options.len() {
            return "?".into();
        }
        let (option, rest) = options.split_at(length);
        options = rest;
        let shown = match which {
            Which::All => true,
            Which::NoTimestamp => kind != TIMESTAMP,
            Which::Sack => kind == SACK,
        };
        if !shown {
            continue;
        }
        match (kind, length) {
            (MSS, 4) => parts.push(format!("mss{}", wire::u16_at(option, 2))),
            (WINDOW_SCALE, 3) => parts.push(format!("wscale{}", option[2])),
            (SACK_PERMITTED, 2) => parts.push("sackok".into()),
            (TIMESTAMP, 10) => {
                let (value, echo) = (wire::u32_at(option, 2), wire::u32_at(option, 6));
                parts.push(format!("ts{value}:{echo}"));
            }
            (SACK, _) if length % 8 == 2 => {
                for block in option[2..].chunks_exact(8) {
                    let (left, right) = (wire::u32_at(block, 0), wire::u32_at(block, 4));
                    parts.push(format!("sack{left}-{right}"));
                }
            }
            _ => {
                let values: Vec<String> = option[2..].iter().map(ToString::to_string).collect();
                let equals = if values.is_empty() { "" } else { "=" };
                parts.push(format!("{kind}{equals}{}", values.join(":")));
            }
        }
    }
    if parts.is_empty() { ".".into() } else { parts.join(";") }
}

/// Longest options in a TCP header.
const LONGEST: usize = 40;

/// Reads options from text; none if they make no sense or do not fit.
pub(crate) fn parse(text: &str) -> Option<Vec<u8>> {
    let mut options: Vec<u8> = Vec::new();
    if text == "." {
        return Some(options);
    }
    // Start of the selective acknowledgement that further blocks belong to.
    let mut open: Option<usize> = None;
    for part in text.split([';', ',']) {
        let digits = part.find(|c: char| c.is_ascii_digit()).unwrap_or(part.len());
        let (name, number) = part.split_at(digits);
        let small = || value::unsigned(number);
        let was_open = open.take();
        match name {
            "eol" => options.push(END),
            "nop" => options.push(NOP),
            "mss" => {
                options.extend([MSS, 4]);
                options.extend(u16::try_from(small()?).ok()?.to_be_bytes());
            }
            "wscale" => options.extend([WINDOW_SCALE, 3, u8::try_from(small()?).ok()?]),
            "sackok" => options.extend([SACK_PERMITTED, 2]),
            "ts" => {
                let (value, echo) = pair(number)?;
                options.extend([TIMESTAMP, 10]);
                options.extend(value.to_be_bytes());
                options.extend(echo.to_be_bytes());
            }
            "sack" => {
                let (left, right) = pair(number)?;
                let start = was_open.unwrap_or_else(|| {
                    options.extend([SACK, 2]);
                    options.len() - 2
                });
                options.extend(left.to_be_bytes());
                options.extend(right.to_be_bytes());
                options[start + 1] += 8;
                open = Some(start);
            }
            "" => {
                let (kind, values) = number.split_once('=').unwrap_or((number, ""));
                let start = options.len();
                options.extend([u8::try_from(value::unsigned(kind)?).ok()?, 2]);
                for byte in values.split(':').filter(|byte| !byte.is_empty()) {
                    options.push(u8::try_from(value::unsigned(byte)?).ok()?);
                }
                options[start + 1] = u8::try_from(options.len() - start).ok()?;
            }
            _ => return None,
        }
        if options.len() > LONGEST {
            return None;
        }
    }
    Some(options)
}

fn pair(text: &str) -> Option<(u32, u32)> {
    let (first, second) = text.split_once([':', '-'])?;
    let number = |text| u32::try_from(value::unsigned(text)?).ok();
    Some((number(first)?, number(second)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["mss1460;wscale10;sackok", "ts1:2;sack1-10;sack1-18;sack18-20", ".", "19=1:2"]
        {
            let back = parse(text).map(|options| unparse(&options, Which::All));
            assert_eq!(back.as_deref(), Some(text));
        }
        assert_eq!(parse("sack1:10").map(|o| o.len()), Some(10));
        for broken in ["mss99999", "sack1", "foo1", "900"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
        assert_eq!(unparse(&[5, 1], Which::All), "?");
    }
}

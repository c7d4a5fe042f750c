//! IP options as text: `rr{1.2.3.4}+3`, `ssrr{...^...}`, `ts.ip{...}`, and back.
//!
//! Source: RFC 791, and the ip_opt field in ToIPSummaryDump's documentation.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use click_language::value;

use super::push_ip;
use crate::wire;

const END: u8 = 0;
const NOP: u8 = 1;
const RECORD_ROUTE: u8 = 7;
const TIMESTAMP: u8 = 68;
const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;

/// Options as text, without padding; `.` if there are none, `?` if they are broken.
pub(crate) fn unparse(mut options: &[u8]) -> String {
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
        let part = match kind {
            RECORD_ROUTE => route("rr", option, true),
            LOOSE_ROUTE => route("lsrr", option, false),
            STRICT_ROUTE => route("ssrr", option, false),
            TIMESTAMP => timestamps(option),
            _ => {
                let values: Vec<String> = option[2..].iter().map(ToString::to_string).collect();
                let equals = if values.is_empty() { "" } else { "=" };
                Some(format!("{kind}{equals}{}", values.join(":")))
            }
        };
        match part {
            Some(part) => parts.push(part),
            None => return "?".into(),
        }
    }
    if parts.is_empty() { ".".into() } else { parts.join(";") }
}

fn route(name: &str, option: &[u8], record: bool) -> Option<String> {
    let pointer = usize::from(*option.get(2)?);
    if pointer < 4 {
        return None;
    }
    let pointer = pointer - 1;
    let mut out = format!("{name}{{");
    let mut at = 3;
    let mut separator = "";
    while at + 4 <= option.len() {
        if at == pointer {
            if record {
                break;
            }
            separator = "^";
        }
        out.push_str(separator);
        push_ip(&mut out, wire::ip_at(option, at));
        separator = ",";
        at += 4;
    }
    if at == option.len() && at == pointer && !record {
        out.push('^');
    }
    out.push('}');
    if record && at == pointer && at + 4 <= option.len() {
        out.push_str(&format!("+{}", (option.len() - at) / 4));
    }
    Some(out)
}

fn timestamps(option: &[u8]) -> Option<String> {
    let pointer = usize::from(*option.get(2)?);
    let flags = *option.get(3)?;
    if pointer < 5 {
        return None;
    }
    let pointer = pointer - 1;
    let flag = flags & 15;
    let size = if (1..=3).contains(&flag) { 8 } else { 4 };
    let mut out = String::from("ts");
    match flag {
        0 => {}
        1 => out.push_str(".ip"),
        3 => out.push_str(".preip"),
        other => out.push_str(&format!(".{other}")),
    }
    out.push('{');
    let mut at = 4;
    let mut separator = "";
    while at + size <= option.len() {
        if at == pointer {
            if flag != 3 {
                break;
            }
            separator = "^";
        }
        out.push_str(separator);
        let passed = flag == 3 && at >= pointer;
        if size == 8 {
            push_ip(&mut out, wire::ip_at(option, at));
        }
        if !passed {
            if size == 8 {
                out.push('=');
            }
            let time = wire::u32_at(option, at + size - 4);
            if time & 0x8000_0000 != 0 {
                out.push('!');
            }
            out.push_str(&(time & 0x7fff_ffff).to_string());
        }
        separator = ",";
        at += size;
    }
    if at == option.len() && at == pointer {
        out.push('^');
    }
    out.push('}');
    if at == pointer && at + size <= option.len() {
        out.push_str(&format!("+{}", (option.len() - at) / size));
    }
    if flags >> 4 > 0 {
        out.push_str(&format!("++{}", flags >> 4));
    }
    Some(out)
}

/// Longest options in an IP header.
const LONGEST: usize = 40;

/// Reads options from text; none if they make no sense or do not fit.
pub(crate) fn parse(text: &str) -> Option<Vec<u8>> {
    let mut options = Vec::new();
    if text == "." {
        return Some(options);
    }
    for part in text.split(';') {
        let (name, rest) = match part.find(['{', '=']) {
            Some(at) => part.split_at(at),
            None => (part, ""),
        };
        match name {
            "eol" => options.push(END),
            "nop" => options.push(NOP),
            "rr" => parse_route(RECORD_ROUTE, rest, &mut options)?,
            "lsrr" => parse_route(LOOSE_ROUTE, rest, &mut options)?,
            "ssrr" => parse_route(STRICT_ROUTE, rest, &mut options)?,
            _ if name == "ts" || name.starts_with("ts.") => {
                parse_timestamps(name, rest, &mut options)?;
            }
            _ => {
                let kind = u8::try_from(value::unsigned(name)?).ok()?;
                let mut option = alloc::vec![kind, 2];
                for byte in rest.strip_prefix('=').unwrap_or_default().split(':') {
                    if !byte.is_empty() {
                        option.push(u8::try_from(value::unsigned(byte)?).ok()?);
                    }
                }
                option[1] = u8::try_from(option.len()).ok()?;
                options.extend(option);
            }
        }
    }
    (options.len() <= LONGEST).then_some(options)
}

/// Splits `{a,b^c}+3` into entries, the index of the one that the pointer is at, and
/// what follows.
fn braces(text: &str) -> Option<(Vec<&str>, Option<usize>, &str)> {
    let (inside, rest) = text.strip_prefix('{')?.split_once('}')?;
    let mut entries = Vec::new();
    let mut pointer = None;
    for (number, half) in inside.split('^').enumerate() {
        if number > 0 {
            if pointer.is_some() {
                return None;
            }
            pointer = Some(entries.len());
        }
        entries.extend(half.split(',').filter(|entry| !entry.is_empty()));
    }
    Some((entries, pointer, rest))
}

fn more(text: &str) -> Option<usize> {
    if text.is_empty() {
        return Some(0);
    }
    let count = usize::try_from(value::unsigned(text.strip_prefix('+')?)?).ok()?;
    (count <= LONGEST).then_some(count)
}

fn parse_route(kind: u8, text: &str, options: &mut Vec<u8>) -> Option<()> {
    let (entries, pointer, rest) = braces(text)?;
    let pointer = match pointer {
        Some(pointer) => pointer,
        // Recorded routes go on behind what is there; source routes begin.
        None if kind == RECORD_ROUTE => entries.len(),
        None => entries.len(),
    };
    let extra = more(rest)?;
    let length = 3 + 4 * (entries.len() + extra);
    options.extend([kind, u8::try_from(length).ok()?, u8::try_from(4 + 4 * pointer).ok()?]);
    for entry in entries {
        options.extend(value::ip_address(entry)?);
    }
    options.extend(core::iter::repeat_n(0, 4 * extra));
    Some(())
}

fn parse_timestamps(name: &str, text: &str, options: &mut Vec<u8>) -> Option<()> {
    let (entries, pointer, rest) = braces(text)?;
    let addressed = entries.first().is_some_and(|entry| entry.contains('.'));
    let flag = match name.strip_prefix("ts.") {
        None if addressed => 1,
        None => 0,
        Some("ip") => 1,
        Some("preip") => 3,
        Some(number) => u8::try_from(value::unsigned(number)?).ok().filter(|flag| *flag < 16)?,
    };
    let size = if (1..=3).contains(&flag) { 8 } else { 4 };
    let (extra, overflow) = match rest.split_once("++") {
        Some((extra, overflow)) => (more(extra)?, value::unsigned(overflow)?),
        None => (more(rest)?, 0),
    };
    let mut unset = None;
    let start = options.len();
    options.extend([TIMESTAMP, 0, 0, flag | u8::try_from(overflow & 15).ok()? << 4]);
    for (number, entry) in entries.iter().enumerate() {
        let (address, time) = match entry.split_once('=') {
            Some((address, time)) => (Some(address), time),
            None if size == 8 => (Some(*entry), "?"),
            None => (None, *entry),
        };
        if let Some(address) = address {
            options.extend(value::ip_address(address)?);
        }
        let time = match time {
            "?" => {
                unset.get_or_insert(number);
                0
            }
            _ => match time.strip_prefix('!') {
                Some(time) => u32::try_from(value::unsigned(time)?).ok()? | 0x8000_0000,
                None => u32::try_from(value::unsigned(time)?).ok()?,
            },
        };
        options.extend(time.to_be_bytes());
    }
    options.extend(core::iter::repeat_n(0, size * extra));
    let pointer = pointer.or(unset).unwrap_or(entries.len());
    options[start + 1] = u8::try_from(options.len() - start).ok()?;
    options[start + 2] = u8::try_from(5 + size * pointer).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in [
            ".",
            "ssrr{128.4.45.60,128.4.49.61^1.1.1.1,2.2.2.2}",
            "rr{2.3.4.5}+3",
            "rr{}+1",
            "ts.ip{1.0.0.1=!8320,1.0.0.2=8321^}++5",
            "ts{1,10000,!45}+2;rr{}+1",
            "148=0:0",
        ] {
            assert_eq!(parse(text).map(|options| unparse(&options)).as_deref(), Some(text));
        }
        assert_eq!(unparse(&parse("nop;nop;eol").unwrap()), ".");
        for broken in ["rr{", "rr{1}", "rr{}+999", "ts{x}", "900", "ssrr{1.1.1.1^^}"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn any_bytes_can_be_shown() {
        for first in 0..=255u8 {
            for second in 0..12u8 {
                unparse(&[first, second, second, first, 1, 2, 3, 4, 5, 6]);
            }
        }
    }
}

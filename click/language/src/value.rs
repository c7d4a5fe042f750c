//! Values in configuration strings: numbers, times, bandwidths, addresses.
//!
//! Source: click(5), "Configuration strings".

use alloc::format;
use alloc::string::String;

/// Takes sign, base prefix and digits apart: negative, base, digits.
fn digits(text: &str) -> Option<(bool, u32, &str)> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = if let Some(hex) = strip_base(text, 'x') {
        (16, hex)
    } else if let Some(binary) = strip_base(text, 'b') {
        (2, binary)
    } else if text.len() > 1 && text.starts_with('0') {
        (8, &text[1..])
    } else {
        (10, text)
    };
    (!digits.is_empty() && digits.chars().all(|digit| digit.is_digit(base)))
        .then_some((negative, base, digits))
}

fn strip_base(text: &str, letter: char) -> Option<&str> {
    let rest = text.strip_prefix('0')?;
    rest.strip_prefix(letter).or_else(|| rest.strip_prefix(letter.to_ascii_uppercase()))
}

/// An integer in decimal, octal (`0...`), hexadecimal (`0x...`) or binary (`0b...`).
pub fn integer(text: &str) -> Option<i64> {
    let (negative, base, digits) = digits(text)?;
    let value = i128::from_str_radix(digits, base).ok()?;
    i64::try_from(if negative { -value } else { value }).ok()
}

/// A non-negative integer, like [`integer`].
pub fn unsigned(text: &str) -> Option<u64> {
    let (negative, base, digits) = digits(text)?;
    let value = u64::from_str_radix(digits, base).ok()?;
    (!negative || value == 0).then_some(value)
}

/// `true`, `yes`, `1`, or `false`, `no`, `0`.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "true" | "yes" | "t" | "y" => Some(true),
        "0" | "false" | "no" | "f" | "n" => Some(false),
        _ => None,
    }
}

/// A real number in decimal notation, exponent allowed.
pub fn real(text: &str) -> Option<f64> {
    let numeric = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    (text.bytes().all(numeric) && text.bytes().any(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// A decimal number scaled by ten to the power of `scale`, exactly; digits below the last
/// place are cut off.
pub fn scaled(text: &str, scale: i32) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = || whole.bytes().chain(fraction.bytes());
    if all().next().is_none() || !all().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut value = 0i128;
    for byte in all() {
        value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    let mut shift = i64::from(scale) + i64::from(exponent) - fraction.len() as i64;
    while shift > 0 && value != 0 {
        value = value.checked_mul(10)?;
        shift -= 1;
    }
    while shift < 0 && value != 0 {
        value /= 10;
        shift += 1;
    }
    i64::try_from(if negative { -value } else { value }).ok()
}

/// A time or delay in nanoseconds; without a unit the number counts seconds.
pub fn time(text: &str) -> Option<i64> {
    time_in(text, "s")
}

/// A time in nanoseconds; a number without unit counts `unit`s.
pub fn time_in(text: &str, unit: &str) -> Option<i64> {
    let text = text.trim_matches(crate::text::is_space);
    let end = text.rfind(|byte: char| byte.is_ascii_digit() || byte == '.')? + 1;
    let (number, suffix) = text.split_at(end);
    let suffix = suffix.trim_start_matches(crate::text::is_space);
    let (scale, factor) = match if suffix.is_empty() { unit } else { suffix } {
        "s" | "sec" => (9, 1),
        "ms" | "msec" => (6, 1),
        "us" | "usec" => (3, 1),
        "ns" | "nsec" => (0, 1),
        "m" | "min" => (9, 60),
        "h" | "hr" => (9, 3600),
        "d" | "day" => (9, 86400),
        _ => return None,
    };
    scaled(number, scale)?.checked_mul(factor)
}

/// A bandwidth in bytes per second; without a unit the number counts bytes.
pub fn bandwidth(text: &str) -> Option<u64> {
    let text = text.trim_matches(crate::text::is_space);
    let end = text.rfind(|byte: char| byte.is_ascii_digit() || byte == '.')? + 1;
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start_matches(crate::text::is_space);
    let (prefix, unit) = match unit.as_bytes().first() {
        Some(b'k' | b'K') => (3, &unit[1..]),
        Some(b'M') => (6, &unit[1..]),
        Some(b'G') => (9, &unit[1..]),
        _ => (0, unit),
    };
    let divisor = match unit {
        "" | "Bps" | "B/s" => 1,
        "bps" | "b/s" | "baud" => 8,
        _ => return None,
    };
    u64::try_from(scaled(number, prefix)? / divisor).ok()
}

/// An IPv4 address in dotted notation, as four bytes in network order.
pub fn ip_address(text: &str) -> Option<[u8; 4]> {
    let mut bytes = [0; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        *byte = decimal_byte(parts.next()?)?;
    }
    parts.next().is_none().then_some(bytes)
}

fn decimal_byte(text: &str) -> Option<u8> {
    let plain = text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// An IPv4 prefix: address and mask. Trailing zero bytes may be left out (`18.26/16`), and
/// the mask may be an address (`/255.255.0.0`). The address keeps its host bits.
pub fn ip_prefix(text: &str) -> Option<([u8; 4], [u8; 4])> {
    let (address, length) = text.split_once('/')?;
    let mut bytes = [0; 4];
    for (at, part) in address.split('.').enumerate() {
        *bytes.get_mut(at)? = decimal_byte(part)?;
    }
    let mask = match unsigned(length).filter(|_| length.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(length @ 0..=32) => mask_of(length as u32),
        Some(_) => return None,
        None => ip_address(length)?,
    };
    Some((bytes, mask))
}

/// The mask whose first `length` bits are set.
pub fn mask_of(length: u32) -> [u8; 4] {
    u32::MAX.checked_shl(32 - length.min(32)).unwrap_or(0).to_be_bytes()
}

/// The length of a mask that is a prefix, or none.
pub fn mask_length(mask: [u8; 4]) -> Option<u32> {
    let mask = u32::from_be_bytes(mask);
    let length = mask.leading_ones();
    (mask == u32::from_be_bytes(mask_of(length))).then_some(length)
}

/// The address in dotted notation.
pub fn unparse_ip(bytes: [u8; 4]) -> String {
    format!("{}.{}.{}.{}", bytes[0], bytes[1], bytes[2], bytes[3])
}

/// The prefix as `address/length`, or `address/mask` if the mask is none.
pub fn unparse_prefix(address: [u8; 4], mask: [u8; 4]) -> String {
    match mask_length(mask) {
        Some(length) => format!("{}/{length}", unparse_ip(address)),
        None => format!("{}/{}", unparse_ip(address), unparse_ip(mask)),
    }
}

/// An Ethernet address: six bytes in hexadecimal, separated by `:` or `-`.
pub fn ethernet_address(text: &str) -> Option<[u8; 6]> {
    let separator = if text.contains(':') { ':' } else { '-' };
    let mut bytes = [0; 6];
    let mut parts = text.split(separator);
    for byte in &mut bytes {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 2 || !part.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// The Ethernet address with dashes and capitals.
pub fn unparse_ethernet(bytes: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = bytes;
    format!("{a:02X}-{b:02X}-{c:02X}-{d:02X}-{e:02X}-{f:02X}")
}

/// An IPv6 address in any of the usual notations.
pub fn ip6_address(text: &str) -> Option<[u8; 16]> {
    text.parse::<core::net::Ipv6Addr>().ok().map(|address| address.octets())
}

/// An IPv6 prefix: address and length in bits.
pub fn ip6_prefix(text: &str) -> Option<([u8; 16], u32)> {
    let (address, length) = text.split_once('/')?;
    let length = unsigned(length).filter(|&length| length <= 128)?;
    Some((ip6_address(address)?, length as u32))
}

/// A time in nanoseconds as seconds with six digits, or nine if they are needed.
pub fn unparse_time(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let value = nanoseconds.unsigned_abs();
    let (seconds, rest) = (value / 1_000_000_000, value % 1_000_000_000);
    if rest.is_multiple_of(1000) {
        format!("{sign}{seconds}.{:06}", rest / 1000)
    } else {
        format!("{sign}{seconds}.{rest:09}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(integer("-0x10"), Some(-16));
        assert_eq!((integer("010"), integer("0"), integer("0b11")), (Some(8), Some(0), Some(3)));
        assert_eq!(
            (integer("09"), integer(""), integer("-"), integer("1 ")),
            (None, None, None, None)
        );
        assert_eq!((unsigned("-1"), unsigned("18446744073709551615")), (None, Some(u64::MAX)));
        assert_eq!((real("75"), real("2.5e1"), real("inf")), (Some(75.0), Some(25.0), None));
        assert_eq!(
            (scaled("1.2345", 3), scaled("-.5", 1), scaled("1e3", 0)),
            (Some(1234), Some(-5), Some(1000))
        );
        assert_eq!(scaled("1e400000000", 0), None);
    }

    #[test]
    fn times_and_bandwidths() {
        assert_eq!(
            (time("0.02s"), time("1 ms"), time("2"), time("1min")),
            (Some(20_000_000), Some(1_000_000), Some(2_000_000_000), Some(60_000_000_000))
        );
        assert_eq!(
            (bandwidth("100kb/s"), bandwidth("2000Bps"), bandwidth("8Mbps"), bandwidth("5")),
            (Some(12500), Some(2000), Some(1_000_000), Some(5))
        );
        assert_eq!(
            (unparse_time(1_600_000), unparse_time(-900_000_000), unparse_time(1)),
            ("0.001600".into(), "-0.900000".into(), "0.000000001".into())
        );
    }

    #[test]
    fn addresses() {
        assert_eq!(ip_address("18.26.4.9"), Some([18, 26, 4, 9]));
        assert_eq!(
            (ip_address("1.2.3"), ip_address("1.2.3.256"), ip_address("1.2.3.x")),
            (None, None, None)
        );
        assert_eq!(ip_prefix("18.26/16"), Some(([18, 26, 0, 0], [255, 255, 0, 0])));
        assert_eq!(ip_prefix("1.2.3.4/255.0.255.0"), Some(([1, 2, 3, 4], [255, 0, 255, 0])));
        assert_eq!(
            (mask_of(0), mask_of(32), mask_length([255, 0, 255, 0])),
            ([0; 4], [255; 4], None)
        );
        assert_eq!(ethernet_address("2:1:0:a:A:f"), Some([2, 1, 0, 10, 10, 15]));
        assert_eq!(ethernet_address("2:1:0:a:A"), None);
        assert_eq!(unparse_ethernet([2, 1, 0, 10, 10, 15]), "02-01-00-0A-0A-0F");
    }
}

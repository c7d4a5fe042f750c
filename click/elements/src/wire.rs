//! Internet protocol headers: where fields are, and checksums.
//!
//! Source: RFC 791, 768, 793, 792, 1071, 1624.

pub(crate) const ICMP: u8 = 1;
pub(crate) const IPIP: u8 = 4;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;

pub(crate) const DONT_FRAGMENT: u16 = 0x4000;
pub(crate) const MORE_FRAGMENTS: u16 = 0x2000;
pub(crate) const OFFSET_MASK: u16 = 0x1fff;

/// Two bytes at `at`, in network order; 0 beyond the end.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

/// Four bytes at `at`, in network order; 0 beyond the end.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    match bytes.get(at..at + 4) {
        Some(&[a, b, c, d]) => u32::from_be_bytes([a, b, c, d]),
        _ => 0,
    }
}

/// An IPv4 address at `at`; zeros beyond the end.
#[inline]
pub(crate) fn ip_at(bytes: &[u8], at: usize) -> [u8; 4] {
    u32_at(bytes, at).to_be_bytes()
}

/// Writes bytes at `at`, if there is room.
#[inline]
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(slot) = bytes.get_mut(at..at + value.len()) {
        slot.copy_from_slice(value);
    }
}

/// Sum of 16-bit words in network order, not yet folded.
#[inline]
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let mut total = 0u64;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        total += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
    }
    let rest = words.remainder();
    if rest.len() >= 2 {
        total += u64::from(u16::from_be_bytes([rest[0], rest[1]]));
    }
    if rest.len() % 2 == 1 {
        total += u64::from(rest[rest.len() - 1]) << 8;
    }
    total
}

/// Folds a sum to 16 bits.
#[inline]
pub(crate) fn fold(total: u64) -> u16 {
    let total = (total & 0xffff_ffff) + (total >> 32);
    let total = (total & 0xffff) + (total >> 16);
    let total = (total & 0xffff) + (total >> 16);
    ((total & 0xffff) + (total >> 16)) as u16
}

/// Whether the checksum of an IPv4 header without options is right. The sum does not depend
/// on the order of bytes (RFC 1071, section 2B).
#[inline]
pub(crate) fn is_sum_right(header: &[u8; 20]) -> bool {
    let (words, _) = header.as_chunks::<4>();
    fold(words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum()) == 0xffff
}

/// The Internet checksum of some bytes.
#[inline]
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// The checksum after a 16-bit word changed.
#[inline]
pub(crate) fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(u64::from(!checksum) + u64::from(!old) + u64::from(new))
}

/// The checksum after 32 bits changed.
#[inline]
pub(crate) fn update32(checksum: u16, old: u32, new: u32) -> u16 {
    let halves = |word: u32| u64::from(word >> 16) + u64::from(word & 0xffff);
    !fold(u64::from(!checksum) + halves(!old) + halves(new))
}

/// Header length of an IPv4 packet in bytes, as the header says.
#[inline]
pub(crate) fn header_length(ip: &[u8]) -> usize {
    ip.first().map_or(0, |first| usize::from(first & 15) * 4)
}

/// The flags and fragment offset field.
#[inline]
pub(crate) fn fragment(ip: &[u8]) -> u16 {
    u16_at(ip, 6)
}

/// Whether the packet is no fragment or the first one.
#[inline]
pub(crate) fn is_first_fragment(ip: &[u8]) -> bool {
    fragment(ip) & OFFSET_MASK == 0
}

/// Whether the packet is a fragment.
pub(crate) fn is_fragment(ip: &[u8]) -> bool {
    fragment(ip) & (OFFSET_MASK | MORE_FRAGMENTS) != 0
}

/// The protocol of an IPv4 packet.
#[inline]
pub(crate) fn protocol(ip: &[u8]) -> u8 {
    ip.get(9).copied().unwrap_or(0)
}

/// Computes the header checksum anew.
pub(crate) fn set_ip_checksum(ip: &mut [u8]) {
    let length = header_length(ip).min(ip.len());
    if length >= 20 {
        put(ip, 10, &[0, 0]);
        let value = checksum(&ip[..length]);
        put(ip, 10, &value.to_be_bytes());
    }
}

/// The sum of the pseudo header that TCP and UDP checksums include.
pub(crate) fn pseudo_sum(ip: &[u8], protocol: u8, length: usize) -> u64 {
    sum(ip.get(12..20).unwrap_or_default()) + u64::from(protocol) + length as u64
}

/// The checksum of a TCP or UDP segment, its own checksum field included in the sum.
pub(crate) fn transport_checksum(ip: &[u8], segment: &[u8]) -> u16 {
    let protocol = protocol(ip);
    !fold(pseudo_sum(ip, protocol, segment.len()) + sum(segment))
}

/// Where the transport checksum field is, relative to the transport header.
pub(crate) fn checksum_offset(protocol: u8) -> Option<usize> {
    match protocol {
        TCP => Some(16),
        UDP => Some(6),
        ICMP => Some(2),
        _ => None,
    }
}

/// Computes the checksum of a TCP, UDP or ICMP packet anew. `ip` is the whole IP packet,
/// cut to the length that its header states.
pub(crate) fn set_transport_checksum(ip: &mut [u8]) {
    let header = header_length(ip);
    let protocol = protocol(ip);
    let Some(at) = checksum_offset(protocol) else { return };
    if header < 20 || ip.len() < header + at + 2 {
        return;
    }
    put(ip, header + at, &[0, 0]);
    let value = match protocol {
        ICMP => checksum(&ip[header..]),
        _ => transport_checksum(ip, &ip[header..]),
    };
    // A UDP checksum of zero means none.
    let value = if protocol == UDP && value == 0 { 0xffff } else { value };
    put(ip, header + at, &value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums() {
        let mut header =
            [0x45, 0, 0, 0x28, 0, 0, 0, 0, 0x40, 0x11, 0x77, 0xc3, 1, 0, 0, 1, 2, 0, 0, 2];
        assert_eq!(checksum(&header), 0);
        let old = u16_at(&header, 8);
        header[8] -= 1;
        let value = update(u16_at(&header, 10), old, u16_at(&header, 8));
        put(&mut header, 10, &value.to_be_bytes());
        assert_eq!(checksum(&header), 0);
        assert_eq!(checksum(&[1]), !0x0100);
    }
}

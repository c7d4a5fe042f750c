//! Annotations: 48 bytes that travel with a packet and never leave the router.
//!
//! The offsets are those of Click, because configurations name annotations by offset.

/// Size of the annotation area in bytes.
pub const SIZE: usize = 48;

/// Destination IPv4 address, 4 bytes, or IPv6 address, 16 bytes.
pub const DST_IP: usize = 0;
/// Paint, 1 byte.
pub const PAINT: usize = 16;
/// Offset of the IP parameter problem, 1 byte.
pub const ICMP_PARAMPROB: usize = 17;
/// Whether FixIPSrc should set the source address, 1 byte.
pub const FIX_IP_SRC: usize = 19;
/// VLAN tag control information, 2 bytes in network order.
pub const VLAN_TCI: usize = 20;
/// Aggregate number, 4 bytes.
pub const AGGREGATE: usize = 20;
/// Packets that this one stands for besides itself, 4 bytes.
pub const EXTRA_PACKETS: usize = 24;
/// Bytes that this packet stands for besides its own, 4 bytes.
pub const EXTRA_LENGTH: usize = 28;
/// Time of the first packet that this one stands for, 8 bytes.
pub const FIRST_TIMESTAMP: usize = 32;
/// Number of the packet, 4 bytes.
pub const PACKET_NUMBER: usize = 32;
/// Sequence number, 4 bytes.
pub const SEQUENCE_NUMBER: usize = 36;
/// Performance counter, 8 bytes.
pub const PERFCTR: usize = 40;

/// An annotation that a configuration names: offset and size in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Offset into the annotation area.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

const NAMES: &[(&str, usize, usize)] = &[
    ("AGGREGATE", AGGREGATE, 4),
    ("DST_IP", DST_IP, 4),
    ("DST_IP6", DST_IP, 16),
    ("EXTRA_LENGTH", EXTRA_LENGTH, 4),
    ("EXTRA_PACKETS", EXTRA_PACKETS, 4),
    ("FIRST_TIMESTAMP", FIRST_TIMESTAMP, 8),
    ("FIX_IP_SRC", FIX_IP_SRC, 1),
    ("ICMP_PARAMPROB", ICMP_PARAMPROB, 1),
    ("PACKET_NUMBER", PACKET_NUMBER, 4),
    ("PAINT", PAINT, 1),
    ("PERFCTR", PERFCTR, 8),
    ("SEQUENCE_NUMBER", SEQUENCE_NUMBER, 4),
    ("VLAN_TCI", VLAN_TCI, 2),
];

/// Reads the name of an annotation, or `OFFSET` or `OFFSET/SIZE`. `size` is what the
/// element needs, 0 if any will do.
pub fn parse(text: &str, size: usize) -> Option<Slot> {
    let named = NAMES.iter().find(|(name, ..)| *name == text);
    let slot = match named {
        Some(&(_, offset, size)) => Slot { offset, size },
        None => {
            let (offset, written) = match text.split_once('/') {
                Some((offset, size)) => (offset, click_language::value::unsigned(size)? as usize),
                None => (text, size),
            };
            let offset = usize::try_from(click_language::value::unsigned(offset)?).ok()?;
            Slot { offset, size: written }
        }
    };
    let fits = slot.offset.checked_add(slot.size)? <= SIZE;
    (fits && (size == 0 || slot.size == 0 || size == slot.size))
        .then_some(Slot { offset: slot.offset, size: if size > 0 { size } else { slot.size } })
}

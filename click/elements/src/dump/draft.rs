//! A packet described by fields, to be put together when all are known.

use alloc::vec::Vec;

use click_language::{config, text, value};
use click_runtime::{Packet, anno};

use super::show::FLAG_LETTERS;
use super::{Field, icmp_names, ip_options, tcp_options};
use crate::wire;

/// Values that lines leave out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defaults {
    pub(crate) protocol: u8,
    /// Addresses and ports, from `!flowid`.
    pub(crate) flow: Option<([u8; 4], u16, [u8; 4], u16)>,
    pub(crate) aggregate: Option<u32>,
    /// Whether checksums are set and data is filled up to the stated length.
    pub(crate) checksum: bool,
    /// Fragment offsets count in units of eight, as before version 1.1 of the format.
    pub(crate) old_offsets: bool,
}

/// A packet as far as it is described.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    timestamp: i64,
    first: Option<i64>,
    count: u32,
    paint: u8,
    aggregate: Option<u32>,
    ethernet: Option<[u8; 14]>,
    is_ip: bool,
    source: Option<[u8; 4]>,
    destination: Option<[u8; 4]>,
    tos: u8,
    ttl: Option<u8>,
    fragment: u16,
    id: u16,
    sum: u16,
    protocol: Option<u8>,
    options: Vec<u8>,
    header_length: usize,
    length: Option<usize>,
    ports: [Option<u16>; 2],
    sequence: u32,
    acknowledgement: u32,
    flags: u16,
    window: u16,
    urgent: u16,
    tcp_sum: u16,
    tcp_options: Vec<u8>,
    tcp_length: usize,
    udp_length: Option<u16>,
    icmp: [u8; 8],
    icmp_code: Option<alloc::string::String>,
    payload: Option<Vec<u8>>,
    payload_length: Option<usize>,
}

/// Longest packet that a line can describe.
const LONGEST: usize = 0xffff;

impl Draft {
    /// Takes a field from text. False if it makes no sense.
    pub(crate) fn read(&mut self, field: Field, text: &str, defaults: &Defaults) -> bool {
        self.take(field, text, defaults).is_some()
    }

    fn take(&mut self, field: Field, text: &str, defaults: &Defaults) -> Option<()> {
        let number = || value::unsigned(text);
        let n8 = || u8::try_from(number()?).ok();
        let n16 = || u16::try_from(number()?).ok();
        let n32 = || u32::try_from(number()?).ok();
        let size = || usize::try_from(number()?).ok().map(|size| size.min(LONGEST));
        self.is_ip |= !matches!(
            field,
            Field::Timestamp
                | Field::NanoTimestamp
                | Field::Seconds
                | Field::Microseconds
                | Field::MicrosecondsOfDay
                | Field::FirstTimestamp
                | Field::Count
                | Field::Link
                | Field::Direction
                | Field::Aggregate
                | Field::Paint
                | Field::EtherSource
                | Field::EtherDestination
                | Field::EtherType
                | Field::None
        );
        match field {
            Field::Timestamp | Field::NanoTimestamp => self.timestamp = value::scaled(text, 9)?,
            Field::Seconds => {
                let rest = self.timestamp.rem_euclid(1_000_000_000);
                self.timestamp = value::integer(text)?.checked_mul(1_000_000_000)? + rest;
            }
            Field::Microseconds => {
                let whole = self.timestamp.div_euclid(1_000_000_000);
                self.timestamp = whole * 1_000_000_000 + i64::from(n32()?) * 1000;
            }
            Field::MicrosecondsOfDay => {
                self.timestamp = value::integer(text)?.checked_mul(1000)?;
            }
            Field::FirstTimestamp => self.first = Some(value::scaled(text, 9)?),
            Field::Count => self.count = n32()?.saturating_sub(1),
            Field::Link | Field::Paint => self.paint = n8()?,
            Field::Direction => {
                self.paint = match text {
                    ">" | "L" => 0,
                    "<" | "R" | "X" => 1,
                    _ => n8()?,
                }
            }
            Field::Aggregate => self.aggregate = Some(n32()?),
            Field::Source => self.source = Some(value::ip_address(text)?),
            Field::Destination => self.destination = Some(value::ip_address(text)?),
            Field::TypeOfService => self.tos = n8()?,
            Field::Dscp => self.tos = self.tos & 3 | n8()?.checked_shl(2)?,
            Field::Ecn => self.tos = self.tos & 0xfc | ecn(text)?,
            Field::TimeToLive => self.ttl = Some(n8()?),
            Field::Fragment | Field::FragmentOffset => {
                self.fragment = fragment(text, defaults.old_offsets)?;
            }
            Field::Identification => self.id = n16()?,
            Field::Sum => self.sum = n16()?,
            Field::Protocol => self.protocol = Some(protocol(text)?),
            Field::IpOptions => self.options = ip_options::parse(text)?,
            Field::IpLength => self.length = Some(size()?),
            Field::IpHeaderLength => self.header_length = size()?.min(60),
            Field::CaptureLength => {}
            Field::SourcePort => self.ports[0] = Some(n16()?),
            Field::DestinationPort => self.ports[1] = Some(n16()?),
            Field::Sequence => self.sequence = sequence(text)?,
            Field::Acknowledgement => self.acknowledgement = sequence(text)?,
            Field::TcpFlags => self.flags = tcp_flags(text)?,
            Field::Window => self.window = n16()?,
            Field::UrgentPointer => self.urgent = n16()?,
            Field::TcpOffset => self.tcp_length = size()?.min(60),
            Field::TcpSum => self.tcp_sum = n16()?,
            Field::TcpOptions | Field::TcpNoTimestampOptions | Field::TcpSackOptions => {
                self.tcp_options = tcp_options::parse(text)?;
            }
            Field::UdpLength => self.udp_length = Some(n16()?),
            Field::UdpSum => {}
            Field::IcmpType | Field::IcmpTypeName => self.icmp[0] = icmp_names::parse_type(text)?,
            Field::IcmpCode | Field::IcmpCodeName => self.icmp_code = Some(text.into()),
            Field::IcmpSum => self.icmp[2..4].copy_from_slice(&n16()?.to_be_bytes()),
            Field::IcmpFlow => self.icmp[4..6].copy_from_slice(&n16()?.to_be_bytes()),
            Field::IcmpSequence | Field::IcmpNextMtu => {
                self.icmp[6..8].copy_from_slice(&n16()?.to_be_bytes());
            }
            Field::EtherSource => {
                let address = value::ethernet_address(text)?;
                self.ethernet.get_or_insert([0; 14])[6..12].copy_from_slice(&address);
            }
            Field::EtherDestination => {
                let address = value::ethernet_address(text)?;
                self.ethernet.get_or_insert([0; 14])[..6].copy_from_slice(&address);
            }
            Field::EtherType => {
                let kind = u16::from_str_radix(text, 16).ok()?;
                self.ethernet.get_or_insert([0; 14])[12..].copy_from_slice(&kind.to_be_bytes());
            }
            Field::Payload => {
                let mut payload = text::to_bytes(&config::unquote(text));
                payload.truncate(LONGEST);
                self.payload = Some(payload);
            }
            Field::PayloadLength => self.payload_length = Some(size()?),
            Field::PayloadMd5 | Field::PayloadMd5Hex | Field::None => return None,
        }
        Some(())
    }

    fn transport(&self, protocol: u8, out: &mut Vec<u8>) {
        let port = |at: usize| self.ports[at].unwrap_or(0).to_be_bytes();
        match protocol {
            wire::TCP => {
                let length = (20 + self.tcp_options.len().next_multiple_of(4))
                    .max(self.tcp_length.next_multiple_of(4));
                out.extend(port(0));
                out.extend(port(1));
                out.extend(self.sequence.to_be_bytes());
                out.extend(self.acknowledgement.to_be_bytes());
                out.extend(((length as u16 / 4) << 12 | self.flags).to_be_bytes());
                out.extend(self.window.to_be_bytes());
                out.extend(self.tcp_sum.to_be_bytes());
                out.extend(self.urgent.to_be_bytes());
                out.extend(&self.tcp_options);
                out.extend(core::iter::repeat_n(0, length - 20 - self.tcp_options.len()));
            }
            wire::UDP => {
                out.extend(port(0));
                out.extend(port(1));
                out.extend(self.udp_length.unwrap_or(0).to_be_bytes());
                out.extend([0, 0]);
            }
            wire::ICMP => {
                let mut header = self.icmp;
                let code = self.icmp_code.as_ref();
                header[1] =
                    code.and_then(|code| icmp_names::parse_code(header[0], code)).unwrap_or(0);
                out.extend(header);
            }
            _ => {}
        }
    }

    /// Puts the packet together.
    pub(crate) fn build(mut self, defaults: &Defaults, packet: &mut Packet) {
        if let Some((source, sport, destination, dport)) = defaults.flow {
            self.is_ip = true;
            self.source.get_or_insert(source);
            self.destination.get_or_insert(destination);
            self.ports[0].get_or_insert(sport);
            self.ports[1].get_or_insert(dport);
        }
        let mut bytes: Vec<u8> = Vec::with_capacity(128);
        let offset = self.ethernet.map_or(0, |header| header.len());
        bytes.extend(self.ethernet.iter().flatten());
        let mut header = 0;
        let mut wanted = None;
        if self.is_ip {
            let protocol = self.protocol.unwrap_or(defaults.protocol);
            header = (20 + self.options.len().next_multiple_of(4))
                .max(self.header_length.next_multiple_of(4));
            bytes.extend([0x40 | (header / 4) as u8, self.tos, 0, 0]);
            bytes.extend(self.id.to_be_bytes());
            bytes.extend(self.fragment.to_be_bytes());
            bytes.extend([self.ttl.unwrap_or(100), protocol]);
            bytes.extend(self.sum.to_be_bytes());
            bytes.extend(self.source.unwrap_or_default());
            bytes.extend(self.destination.unwrap_or_default());
            bytes.extend(&self.options);
            bytes.extend(core::iter::repeat_n(0, header - 20 - self.options.len()));
            if self.fragment & wire::OFFSET_MASK == 0 {
                self.transport(protocol, &mut bytes);
            }
            let headers = bytes.len() - offset;
            wanted = self.length.or(self.payload_length.map(|length| headers + length));
        }
        bytes.extend(self.payload.iter().flatten());
        if let Some(length) = self.length.filter(|length| *length >= header && *length > 0) {
            bytes.truncate(offset + length);
        }
        if self.is_ip {
            self.set_lengths(offset, header, wanted, defaults, &mut bytes);
        }
        packet.fill(&bytes);
        if self.ethernet.is_some() {
            packet.set_mac(0);
        }
        if self.is_ip {
            packet.set_network(offset, header);
            packet.set_dst_ip(self.destination.unwrap_or_default());
        }
        let wanted = wanted.unwrap_or(0) + offset;
        if wanted > bytes.len() {
            packet.set_anno_u32(anno::EXTRA_LENGTH, (wanted - bytes.len()) as u32);
        }
        packet.set_timestamp(self.timestamp);
        packet.set_anno_u8(anno::PAINT, self.paint);
        if let Some(aggregate) = self.aggregate.or(defaults.aggregate) {
            packet.set_anno_u32(anno::AGGREGATE, aggregate);
        }
        if self.count > 0 {
            packet.set_anno_u32(anno::EXTRA_PACKETS, self.count);
        }
        if let Some(first) = self.first {
            packet.set_anno(anno::FIRST_TIMESTAMP, first.to_ne_bytes());
        }
    }

    /// Sets lengths and, if asked for, checksums, filling the packet up for them.
    fn set_lengths(
        &self,
        offset: usize,
        header: usize,
        wanted: Option<usize>,
        defaults: &Defaults,
        bytes: &mut Vec<u8>,
    ) {
        let there = bytes.len() - offset;
        let length = wanted.filter(|wanted| *wanted > 0).unwrap_or(there).min(LONGEST);
        wire::put(bytes, offset + 2, &(length as u16).to_be_bytes());
        let protocol = wire::protocol(&bytes[offset..]);
        let first = self.fragment & wire::OFFSET_MASK == 0;
        if protocol == wire::UDP && first && self.udp_length.is_none() {
            let udp = length.saturating_sub(header) as u16;
            wire::put(bytes, offset + header + 4, &udp.to_be_bytes());
        }
        if defaults.checksum {
            bytes.resize(bytes.len().max(offset + length), 0);
            let ip = &mut bytes[offset..];
            wire::set_ip_checksum(ip);
            if first && length <= ip.len() {
                wire::set_transport_checksum(&mut ip[..length]);
            }
        }
    }
}

fn ecn(text: &str) -> Option<u8> {
    Some(match text {
        "no" | "0" => 0,
        "ect1" | "ECT(1)" | "1" => 1,
        "ect2" | "ECT(0)" | "2" => 2,
        "ce" | "CE" | "3" => 3,
        _ => return None,
    })
}

fn fragment(text: &str, old_offsets: bool) -> Option<u16> {
    match text {
        "." => return Some(0),
        "!" => return Some(wire::DONT_FRAGMENT),
        "F" => return Some(wire::MORE_FRAGMENTS),
        // Some fragment, it does not say which.
        "f" => return Some(100),
        _ => {}
    }
    let digits = text.trim_end_matches(['+', '!']);
    let offset = value::unsigned(digits)?;
    let offset = if old_offsets { offset } else { offset / 8 };
    let mut field = u16::try_from(offset).ok().filter(|offset| *offset <= wire::OFFSET_MASK)?;
    let signs = &text[digits.len()..];
    if signs.contains('+') {
        field |= wire::MORE_FRAGMENTS;
    }
    if signs.contains('!') {
        field |= wire::DONT_FRAGMENT;
    }
    Some(field)
}

/// A protocol by letter, name or number.
pub(crate) fn protocol(text: &str) -> Option<u8> {
    Some(match text {
        "T" | "tcp" => wire::TCP,
        "U" | "udp" => wire::UDP,
        "I" | "icmp" => wire::ICMP,
        _ => u8::try_from(value::unsigned(text)?).ok()?,
    })
}

/// A sequence number, or the end of a range `first:last(length)`.
fn sequence(text: &str) -> Option<u32> {
    let end = text.find([':', '(']).unwrap_or(text.len());
    u32::try_from(value::unsigned(&text[..end])?).ok()
}

fn tcp_flags(text: &str) -> Option<u16> {
    if text == "." {
        return Some(0);
    }
    if let Some(number) = value::unsigned(text) {
        return u16::try_from(number).ok().filter(|flags| *flags < 0x1000);
    }
    let mut flags = 0;
    for letter in text.chars() {
        let letter = match letter {
            'X' => 'E',
            'Y' | 'W' => 'C',
            other => other,
        };
        flags |= 1 << FLAG_LETTERS.find(letter)?;
    }
    Some(flags)
}

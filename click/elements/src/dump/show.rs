//! Fields of a packet as text.

use alloc::format;
use alloc::string::{String, ToString};

use click_language::{config, text, value};
use click_runtime::{Packet, anno};

use super::{Field, icmp_names, ip_options, md5, push_ip, tcp_options};
use crate::wire;

/// A packet with its headers found.
pub(crate) struct View<'a> {
    packet: &'a Packet,
    /// From the IP header to the end of the IP packet, or of the data if that is shorter.
    ip: Option<&'a [u8]>,
    /// From the transport header on, for unfragmented packets and first fragments.
    transport: Option<&'a [u8]>,
    protocol: u8,
}

impl<'a> View<'a> {
    pub(crate) fn new(packet: &'a Packet) -> Self {
        let ip = packet.network().map(|_| packet.network_data());
        let mut protocol = 0;
        let mut transport = None;
        if let Some(bytes) = ip {
            protocol = wire::protocol(bytes);
            let header = wire::header_length(bytes);
            if bytes.len() >= 10 && wire::is_first_fragment(bytes) {
                transport = Some(bytes.get(header..).unwrap_or_default());
            }
        }
        Self { packet, ip, transport, protocol }
    }

    fn ip_bytes(&self, at: usize, count: usize) -> Option<&'a [u8]> {
        self.ip?.get(at..at + count)
    }

    fn transport_bytes(&self, protocol: u8, at: usize, count: usize) -> Option<&'a [u8]> {
        let fits = self.protocol == protocol;
        self.transport.filter(|_| fits)?.get(at..at + count)
    }

    fn port(&self, at: usize) -> Option<String> {
        if !matches!(self.protocol, wire::TCP | wire::UDP) {
            return None;
        }
        let bytes = self.transport_bytes(self.protocol, at, 2)?;
        Some(wire::u16_at(bytes, 0).to_string())
    }

    fn number16(&self, protocol: u8, at: usize) -> Option<String> {
        Some(wire::u16_at(self.transport_bytes(protocol, at, 2)?, 0).to_string())
    }

    fn number32(&self, protocol: u8, at: usize) -> Option<String> {
        Some(wire::u32_at(self.transport_bytes(protocol, at, 4)?, 0).to_string())
    }

    /// Length of the IP packet, in the header or else of the data.
    fn length(&self) -> usize {
        match self.ip_bytes(2, 2) {
            Some(bytes) => usize::from(wire::u16_at(bytes, 0)),
            None => self.packet.len() + self.packet.anno_u32(anno::EXTRA_LENGTH) as usize,
        }
    }

    /// Bytes of headers, counted from the IP header.
    fn headers(&self) -> usize {
        let Some(ip) = self.ip else { return 0 };
        let header = wire::header_length(ip);
        let transport = match (self.transport, self.protocol) {
            (Some(tcp), wire::TCP) => tcp.get(12).map_or(20, |offset| usize::from(offset >> 4) * 4),
            (Some(_), wire::UDP) => 8,
            _ => 0,
        };
        header + transport
    }

    /// What follows the headers, as far as it is there.
    fn payload(&self) -> &'a [u8] {
        match self.ip {
            None => &[],
            Some(ip) => {
                let end = self.length().min(ip.len());
                ip.get(self.headers()..end).unwrap_or_default()
            }
        }
    }

    fn tcp_options(&self, which: tcp_options::Which) -> Option<String> {
        let offset = self.transport_bytes(wire::TCP, 12, 1)?[0];
        let header = usize::from(offset >> 4) * 4;
        if header <= 20 {
            return Some(".".into());
        }
        let options = self.transport_bytes(wire::TCP, 20, header - 20)?;
        Some(tcp_options::unparse(options, which))
    }

    /// The field as text; none if the packet does not have it.
    pub(crate) fn show(&self, field: Field) -> Option<String> {
        let time = self.packet.timestamp();
        let ip8 = |at: usize| self.ip_bytes(at, 1).map(|bytes| bytes[0]);
        let ip16 = |at: usize| self.ip_bytes(at, 2).map(|bytes| wire::u16_at(bytes, 0));
        Some(match field {
            Field::Timestamp => micro(time),
            Field::NanoTimestamp => nano(time),
            Field::Seconds => time.div_euclid(1_000_000_000).to_string(),
            Field::Microseconds => (time.rem_euclid(1_000_000_000) / 1000).to_string(),
            Field::MicrosecondsOfDay => (time / 1000).to_string(),
            Field::FirstTimestamp => {
                micro(i64::from_ne_bytes(self.packet.anno(anno::FIRST_TIMESTAMP)))
            }
            Field::Count => (1 + u64::from(self.packet.anno_u32(anno::EXTRA_PACKETS))).to_string(),
            Field::Link | Field::Paint => self.packet.anno_u8(anno::PAINT).to_string(),
            Field::Direction => match self.packet.anno_u8(anno::PAINT) {
                0 => ">".into(),
                1 => "<".into(),
                other => other.to_string(),
            },
            Field::Aggregate => self.packet.anno_u32(anno::AGGREGATE).to_string(),
            Field::Source | Field::Destination => {
                let at = if field == Field::Source { 12 } else { 16 };
                let mut out = String::new();
                push_ip(&mut out, wire::ip_at(self.ip_bytes(at, 4)?, 0));
                out
            }
            Field::TypeOfService => ip8(1)?.to_string(),
            Field::Dscp => (ip8(1)? >> 2).to_string(),
            Field::Ecn => ["no", "ect1", "ect2", "ce"][usize::from(ip8(1)? & 3)].into(),
            Field::TimeToLive => ip8(8)?.to_string(),
            Field::Fragment => fragment_letter(ip16(6)?).to_string(),
            Field::FragmentOffset => {
                let value = ip16(6)?;
                let more = if value & wire::MORE_FRAGMENTS != 0 { "+" } else { "" };
                let whole = if value & wire::DONT_FRAGMENT != 0 { "!" } else { "" };
                format!("{}{more}{whole}", u32::from(value & wire::OFFSET_MASK) * 8)
            }
            Field::Identification => ip16(4)?.to_string(),
            Field::Sum => ip16(10)?.to_string(),
            Field::Protocol => match ip8(9)? {
                wire::TCP => "T".into(),
                wire::UDP => "U".into(),
                wire::ICMP => "I".into(),
                other => other.to_string(),
            },
            Field::IpOptions => {
                let header = wire::header_length(self.ip?);
                if header <= 20 {
                    ".".into()
                } else {
                    ip_options::unparse(self.ip_bytes(20, header - 20)?)
                }
            }
            Field::IpLength => self.length().to_string(),
            Field::IpHeaderLength => (usize::from(ip8(0)? & 15) * 4).to_string(),
            Field::CaptureLength => {
                let there = self.ip.map_or(self.packet.len(), <[u8]>::len);
                self.length().min(there).to_string()
            }
            Field::SourcePort => self.port(0)?,
            Field::DestinationPort => self.port(2)?,
            Field::Sequence => self.number32(wire::TCP, 4)?,
            Field::Acknowledgement => self.number32(wire::TCP, 8)?,
            Field::TcpFlags => tcp_flags(self.transport_bytes(wire::TCP, 12, 2)?),
            Field::Window => self.number16(wire::TCP, 14)?,
            Field::UrgentPointer => self.number16(wire::TCP, 18)?,
            Field::TcpOffset => {
                (usize::from(self.transport_bytes(wire::TCP, 12, 1)?[0] >> 4) * 4).to_string()
            }
            Field::TcpSum => self.number16(wire::TCP, 16)?,
            Field::TcpOptions => self.tcp_options(tcp_options::Which::All)?,
            Field::TcpNoTimestampOptions => self.tcp_options(tcp_options::Which::NoTimestamp)?,
            Field::TcpSackOptions => self.tcp_options(tcp_options::Which::Sack)?,
            Field::UdpLength => self.number16(wire::UDP, 4)?,
            Field::UdpSum => self.number16(wire::UDP, 6)?,
            Field::IcmpType => self.transport_bytes(wire::ICMP, 0, 1)?[0].to_string(),
            Field::IcmpCode => self.transport_bytes(wire::ICMP, 1, 1)?[0].to_string(),
            Field::IcmpTypeName => {
                let kind = self.transport_bytes(wire::ICMP, 0, 1)?[0];
                icmp_names::type_name(kind).map_or_else(|| kind.to_string(), Into::into)
            }
            Field::IcmpCodeName => {
                let bytes = self.transport_bytes(wire::ICMP, 0, 2)?;
                let name = icmp_names::code_name(bytes[0], bytes[1]);
                name.map_or_else(|| bytes[1].to_string(), Into::into)
            }
            Field::IcmpSum => self.number16(wire::ICMP, 2)?,
            Field::IcmpFlow => self.number16(wire::ICMP, 4)?,
            Field::IcmpSequence | Field::IcmpNextMtu => self.number16(wire::ICMP, 6)?,
            Field::EtherSource => ethernet(self.packet.mac_data(), 6)?,
            Field::EtherDestination => ethernet(self.packet.mac_data(), 0)?,
            Field::EtherType => {
                let bytes = self.packet.mac_data().get(12..14)?;
                format!("{:04x}", wire::u16_at(bytes, 0))
            }
            Field::Payload => config::quote(&text::from_bytes(self.payload())),
            Field::PayloadLength => self.length().saturating_sub(self.headers()).to_string(),
            Field::PayloadMd5 => md5::text(md5::digest(self.payload())),
            Field::PayloadMd5Hex => md5::hexadecimal(md5::digest(self.payload())),
            Field::None => return None,
        })
    }
}

/// A time with six digits after the point.
fn micro(nanoseconds: i64) -> String {
    let micro = nanoseconds / 1000;
    let sign = if micro < 0 { "-" } else { "" };
    let micro = micro.unsigned_abs();
    format!("{sign}{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}

fn nano(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let value = nanoseconds.unsigned_abs();
    format!("{sign}{}.{:09}", value / 1_000_000_000, value % 1_000_000_000)
}

fn fragment_letter(value: u16) -> char {
    if value & wire::OFFSET_MASK != 0 {
        'f'
    } else if value & wire::MORE_FRAGMENTS != 0 {
        'F'
    } else if value & wire::DONT_FRAGMENT != 0 {
        '!'
    } else {
        '.'
    }
}

/// The letters of TCP flags, lowest bit first.
pub(crate) const FLAG_LETTERS: &str = "FSRPAUECN";

fn tcp_flags(bytes: &[u8]) -> String {
    let flags = wire::u16_at(bytes, 0) & 0x1ff;
    let set = |(bit, letter): (usize, char)| (flags >> bit & 1 == 1).then_some(letter);
    let letters: String = FLAG_LETTERS.chars().enumerate().filter_map(set).collect();
    if letters.is_empty() { ".".into() } else { letters }
}

fn ethernet(bytes: &[u8], at: usize) -> Option<String> {
    let address: [u8; 6] = bytes.get(at..at + 6)?.try_into().ok()?;
    Some(value::unparse_ethernet(address))
}

//! Network interfaces of a guest.

use core::net::{IpAddr, Ipv6Addr};

/// Where the frames of an interface pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkSource {
    /// A descriptor that a hosted guest finds open: each message is one Ethernet frame.
    Descriptor {
        /// The descriptor's number.
        number: u32,
    },
    /// A network device.
    Device {
        /// Its place among the network devices, from 0.
        index: u32,
    },
}

/// A network interface of the guest, `eth0` and so on in the order of the items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Where its frames pass.
    pub source: NetworkSource,
    /// Its hardware address; all zero: the device's own.
    pub mac: [u8; 6],
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// An IPv4 address, routes and name servers come by DHCP.
    pub dhcp: bool,
    /// IPv6 addresses, routes and name servers come from routers.
    pub routers: bool,
    /// Frames never leave memory: transport checksums are neither computed nor looked at.
    pub in_memory: bool,
}

/// Something that is known about an interface's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkFact {
    /// An address of the interface, and the length of its network's prefix.
    Address(IpAddr, u8),
    /// The router for everything else.
    Gateway(IpAddr),
    /// A name server.
    NameServer(IpAddr),
}

/// Bytes of the fixed part: source, number, hardware address, flags, MTU.
const HEAD_LEN: usize = 20;
/// Bytes of a fact: what it is, prefix length, an IPv6 address (IPv4 as `::ffff:a.b.c.d`).
const FACT_LEN: usize = 18;

impl Network {
    /// Parses an item's payload; the second part is what [`facts`] takes.
    pub(crate) fn parse(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (head, facts) = payload.split_first_chunk::<HEAD_LEN>()?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let number = word(4);
        let source = match word(0) {
            0 => NetworkSource::Descriptor { number },
            1 => NetworkSource::Device { index: number },
            _ => return None,
        };
        let mac = [head[8], head[9], head[10], head[11], head[12], head[13]];
        let flags = u16::from_le_bytes([head[14], head[15]]);
        let network = Self {
            source,
            mac,
            mtu: word(16),
            dhcp: flags & 1 != 0,
            routers: flags & 2 != 0,
            in_memory: flags & 4 != 0,
        };
        let complete = facts.len().is_multiple_of(FACT_LEN)
            && facts.chunks_exact(FACT_LEN).all(|fact| parse_fact(fact).is_some());
        complete.then_some((network, facts))
    }

    /// The item's payload.
    #[cfg(feature = "build")]
    pub(crate) fn encode(&self, facts: &[NetworkFact]) -> alloc::vec::Vec<u8> {
        let (source, number) = match self.source {
            NetworkSource::Descriptor { number } => (0u32, number),
            NetworkSource::Device { index } => (1, index),
        };
        let flags =
            u16::from(self.dhcp) | u16::from(self.routers) << 1 | u16::from(self.in_memory) << 2;
        let mut payload = source.to_le_bytes().to_vec();
        payload.extend(number.to_le_bytes());
        payload.extend(self.mac);
        payload.extend(flags.to_le_bytes());
        payload.extend(self.mtu.to_le_bytes());
        for fact in facts {
            let (kind, length, address) = match *fact {
                NetworkFact::Address(address, length) => (0, length, address),
                NetworkFact::Gateway(address) => (1, 0, address),
                NetworkFact::NameServer(address) => (2, 0, address),
            };
            let address = match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            payload.extend([kind, length]);
            payload.extend(address.octets());
        }
        payload
    }
}

/// The facts behind the fixed part of an item.
pub(crate) fn facts(bytes: &[u8]) -> impl Iterator<Item = NetworkFact> + '_ {
    bytes.chunks_exact(FACT_LEN).filter_map(parse_fact)
}

fn parse_fact(bytes: &[u8]) -> Option<NetworkFact> {
    let (kind, length) = (*bytes.first()?, *bytes.get(1)?);
    let address = Ipv6Addr::from(*bytes.get(2..)?.first_chunk::<16>()?);
    let address = address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4);
    let longest = if address.is_ipv4() { 32 } else { 128 };
    match kind {
        0 if length <= longest => Some(NetworkFact::Address(address, length)),
        1 => Some(NetworkFact::Gateway(address)),
        2 => Some(NetworkFact::NameServer(address)),
        _ => None,
    }
}

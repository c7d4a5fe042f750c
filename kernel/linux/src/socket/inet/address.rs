//! Addresses of the internet families (`struct sockaddr_in`, `struct sockaddr_in6`).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use errno::Errno;

use crate::error::{Result, fail};

pub const AF_UNSPEC: u16 = 0;
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;

/// The least of a `struct sockaddr_in6` that is taken: without the scope.
const SHORTEST_V6: usize = 24;

/// Which of the two families a socket is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `AF_INET`.
    V4,
    /// `AF_INET6`.
    V6,
}

impl Family {
    /// Linux's number.
    pub const fn number(self) -> u16 {
        match self {
            Self::V4 => AF_INET,
            Self::V6 => AF_INET6,
        }
    }

    /// The address that stands for all.
    pub const fn unspecified(self) -> SocketAddr {
        match self {
            Self::V4 => SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
            Self::V6 => SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0)),
        }
    }

    /// Reads an address of this family.
    pub fn parse(self, bytes: &[u8]) -> Result<SocketAddr> {
        let family = family_of(bytes)?;
        let shortest = if self == Self::V4 { 16 } else { SHORTEST_V6 };
        if bytes.len() < shortest {
            return fail(Errno::EINVAL);
        }
        if family != self.number() {
            return fail(Errno::EAFNOSUPPORT);
        }
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        if self == Self::V4 {
            let address = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
            return Ok(SocketAddrV4::new(address, port).into());
        }
        let word = |at: usize| {
            bytes.get(at..at + 4).map_or(0, |b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        };
        let mut octets = [0; 16];
        octets.copy_from_slice(&bytes[8..24]);
        let address = Ipv6Addr::from(octets);
        Ok(match address.to_ipv4_mapped() {
            Some(v4) => SocketAddrV4::new(v4, port).into(),
            None => SocketAddrV6::new(address, port, u32::from_be(word(4)), word(24)).into(),
        })
    }

    /// Writes an address as a socket of this family shows it: IPv4 in IPv6's clothes where needed.
    pub fn encode(self, address: SocketAddr) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(28);
        bytes.extend_from_slice(&self.number().to_le_bytes());
        bytes.extend_from_slice(&address.port().to_be_bytes());
        match (self, address) {
            (Self::V4, SocketAddr::V4(v4)) => {
                bytes.extend_from_slice(&v4.ip().octets());
                bytes.extend_from_slice(&[0; 8]);
            }
            (Self::V4, SocketAddr::V6(_)) => bytes.extend_from_slice(&[0; 12]),
            (Self::V6, address) => {
                let (ip, flow, scope) = match address {
                    SocketAddr::V6(v6) => (*v6.ip(), v6.flowinfo(), v6.scope_id()),
                    SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0, 0),
                };
                bytes.extend_from_slice(&flow.to_be_bytes());
                bytes.extend_from_slice(&ip.octets());
                bytes.extend_from_slice(&scope.to_le_bytes());
            }
        }
        bytes
    }
}

/// The family that an address says it is of.
pub fn family_of(bytes: &[u8]) -> Result<u16> {
    match bytes {
        [low, high, ..] => Ok(u16::from_le_bytes([*low, *high])),
        _ => fail(Errno::EINVAL),
    }
}

/// Reads the address of a `bind(2)`: one of no family may stand for all IPv4 addresses.
pub fn parse_to_bind(family: Family, bytes: &[u8]) -> Result<SocketAddr> {
    let unspecified = family == Family::V4 && bytes.len() >= 16 && family_of(bytes)? == AF_UNSPEC;
    if unspecified && bytes[4..8] == [0; 4] {
        return Ok(SocketAddrV4::new(
            Ipv4Addr::UNSPECIFIED,
            u16::from_be_bytes([bytes[2], bytes[3]]),
        )
        .into());
    }
    family.parse(bytes)
}

/// Whether an address is no IPv4 address, not even in IPv6's clothes.
pub fn is_only_v6(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_none())
}

use core::hash::{BuildHasher, Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use drupe_net_base::hash::Fold;
use drupe_net_tcp::FlowWords;

/// An address with the length of its network prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The address; bits behind the prefix may be set.
    pub address: IpAddr,
    /// Bits of the prefix, at most 32 or 128.
    pub length: u8,
}

impl Prefix {
    /// A prefix; `length` is clamped to the width of the address.
    pub fn new(address: IpAddr, length: u8) -> Self {
        let width = if address.is_ipv4() { 32 } else { 128 };
        Prefix { address, length: length.min(width) }
    }

    /// Whether `address` lies in this network.
    pub fn contains(&self, address: &IpAddr) -> bool {
        common_bits(&self.address, address) >= u32::from(self.length)
    }

    /// The directed broadcast address of an IPv4 network that has one.
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.address {
            IpAddr::V4(address) if self.length < 31 => {
                let hosts = u32::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
                Some(Ipv4Addr::from_bits(address.to_bits() | hosts))
            }
            _ => None,
        }
    }
}

/// Leading bits that two addresses share; 0 for different families unless both are empty.
pub(crate) fn common_bits(a: &IpAddr, b: &IpAddr) -> u32 {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => 0,
    }
}

/// Whether both addresses belong to the same family.
pub(crate) const fn same_family(a: &IpAddr, b: &IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

/// fe80::/10.
pub(crate) const fn is_link_local(address: &Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// The multicast group that a neighbour solicitation for `address` goes to (RFC 4291 §2.7.1).
pub(crate) const fn solicited_node(address: &Ipv6Addr) -> Ipv6Addr {
    let low = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | low[6] & 0xff, low[7])
}

/// The Ethernet address of a multicast or broadcast address.
pub(crate) fn multicast_mac(address: &IpAddr) -> Option<[u8; 6]> {
    match address {
        IpAddr::V4(a) if a.is_broadcast() => Some([0xff; 6]),
        IpAddr::V4(a) if a.is_multicast() => {
            let [_, b, c, d] = a.octets();
            Some([0x01, 0x00, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(a) if a.is_multicast() => {
            let [.., w, x, y, z] = a.octets();
            Some([0x33, 0x33, w, x, y, z])
        }
        _ => None,
    }
}

/// Identifies a TCP flow from this side: IPv4 addresses are kept in their mapped form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowKey {
    // Halves rather than u128: they are written and compared in the same width.
    local: [u64; 2],
    remote: [u64; 2],
    ports: u32,
}

/// The low half, then the high half.
fn mapped(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(address) => [0xffff_0000_0000 | u64::from(address.to_bits()), 0],
        IpAddr::V6(address) => [address.to_bits() as u64, (address.to_bits() >> 64) as u64],
    }
}

fn unmapped([low, high]: [u64; 2]) -> IpAddr {
    if high == 0 && low >> 32 == 0xffff {
        IpAddr::V4(Ipv4Addr::from_bits(low as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)))
    }
}

impl FlowKey {
    /// The flow between a local and a remote end.
    pub fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        FlowKey::from_parts(local.ip(), local.port(), remote.ip(), remote.port())
    }

    pub(crate) fn from_parts(
        local: IpAddr,
        local_port: u16,
        remote: IpAddr,
        remote_port: u16,
    ) -> Self {
        FlowKey {
            local: mapped(local),
            remote: mapped(remote),
            ports: u32::from(local_port) << 16 | u32::from(remote_port),
        }
    }

    /// The local end.
    pub fn local(&self) -> SocketAddr {
        SocketAddr::new(unmapped(self.local), (self.ports >> 16) as u16)
    }

    /// The remote end.
    pub fn remote(&self) -> SocketAddr {
        SocketAddr::new(unmapped(self.remote), self.ports as u16)
    }

    pub(crate) fn words(&self) -> FlowWords {
        [self.local[0], self.local[1], self.remote[0], self.remote[1], u64::from(self.ports)]
    }

    pub(crate) fn hash_with(&self, fold: &Fold) -> u64 {
        fold.hash_one(self)
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // IPv4 differs in the low halves only.
        state.write_u64(self.local[0] ^ u64::from(self.ports) << 32);
        state.write_u64(self.remote[0]);
        if self.local[1] | self.remote[1] != 0 {
            state.write_u64(self.local[1]);
            state.write_u64(self.remote[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        let net = Prefix::new("10.1.2.3".parse().unwrap(), 8);
        assert!(net.contains(&"10.200.0.1".parse().unwrap()));
        assert!(!net.contains(&"11.0.0.1".parse().unwrap()));
        assert!(!net.contains(&"::1".parse().unwrap()));
        assert_eq!(net.broadcast(), Some("10.255.255.255".parse().unwrap()));
        let all = Prefix::new("0.0.0.0".parse().unwrap(), 0);
        assert!(all.contains(&"1.2.3.4".parse().unwrap()));
        let node = solicited_node(&"fe80::1:2:3ab:cdef".parse().unwrap());
        assert_eq!(node, "ff02::1:ffab:cdef".parse::<Ipv6Addr>().unwrap());
    }
}

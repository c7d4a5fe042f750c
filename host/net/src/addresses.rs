//! The addresses of a guest's network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The largest IP packet between guest and gateway: as large as frames can be, since nothing but
/// memory lies between them.
pub const MTU: u32 = 65_520;

/// Hardware address of the guest.
pub const GUEST_MAC: [u8; 6] = [0x02, 0, 0, 0, 0x02, 0x15];
/// Hardware address of the gateway.
pub const GATEWAY_MAC: [u8; 6] = [0x02, 0, 0, 0, 0x02, 0x02];

/// The addresses of a guest's network: the same for every guest, as each has a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The guest's IPv4 address.
    pub guest: Ipv4Addr,
    /// The gateway's, where the guest's packets to everybody else go.
    pub gateway: Ipv4Addr,
    /// The name server's.
    pub name_server: Ipv4Addr,
    /// Length of the IPv4 network's prefix.
    pub prefix: u8,
    /// The guest's IPv6 address.
    pub guest6: Ipv6Addr,
    /// The gateway's.
    pub gateway6: Ipv6Addr,
    /// Length of the IPv6 network's prefix.
    pub prefix6: u8,
}

impl Default for Addresses {
    fn default() -> Self {
        let six = |last| Ipv6Addr::new(0xfd64, 0x7275, 0x7065, 0, 0, 0, 0, last);
        Self {
            guest: Ipv4Addr::new(10, 0, 2, 15),
            gateway: Ipv4Addr::new(10, 0, 2, 2),
            name_server: Ipv4Addr::new(10, 0, 2, 3),
            prefix: 24,
            guest6: six(0x15),
            gateway6: six(2),
            prefix6: 64,
        }
    }
}

impl Addresses {
    /// Whether an address is the gateway's or the name server's.
    pub(crate) fn is_own(&self, address: &IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => *v4 == self.gateway || *v4 == self.name_server,
            IpAddr::V6(v6) => *v6 == self.gateway6,
        }
    }

    /// The guest's address of a family.
    pub(crate) fn guest_like(&self, other: &IpAddr) -> IpAddr {
        match other {
            IpAddr::V4(_) => self.guest.into(),
            IpAddr::V6(_) => self.guest6.into(),
        }
    }
}

/// Whether packets to an address may leave the gateway: not to the host itself, to nobody, or to
/// groups.
pub(crate) fn may_leave(address: &IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || broadcast)
}

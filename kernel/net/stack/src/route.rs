use core::net::{IpAddr, Ipv6Addr};

use crate::address::{common_bits, is_link_local, same_family};
use crate::config::{AddressState, Interface, InterfaceId, NetConfig};

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Path {
    /// Interface to send through; the loopback for addresses of this machine.
    pub interface: InterfaceId,
    /// Neighbour to hand it to.
    pub next_hop: IpAddr,
    /// Source address.
    pub source: IpAddr,
    /// Largest IP packet.
    pub mtu: u32,
}

/// Why there is no way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPath {
    /// No route (ENETUNREACH).
    Network,
    /// A route, but no source address (EADDRNOTAVAIL).
    Source,
    /// A route says unreachable (EHOSTUNREACH).
    Host,
}

impl NetConfig {
    /// Finds the way to `destination`: by the longest prefix, among the routes of `interface` if
    /// one is asked for. `source` is kept if given.
    pub(crate) fn path(
        &self,
        destination: &IpAddr,
        source: Option<IpAddr>,
        interface: Option<InterfaceId>,
    ) -> Result<Path, NoPath> {
        let source = source.filter(|source| !source.is_unspecified());
        if let Some(owner) = self.owner(destination) {
            let loopback = self.interface(InterfaceId::LOOPBACK).ok_or(NoPath::Network)?;
            let source = source.unwrap_or(match self.loopback_source(destination, owner) {
                Some(source) => source,
                None => *destination,
            });
            let (interface, next_hop) = (loopback.id, *destination);
            return Ok(Path { interface, next_hop, source, mtu: loopback.mtu });
        }
        let needs_interface = match destination {
            IpAddr::V4(v4) => v4.is_broadcast() || v4.is_multicast(),
            IpAddr::V6(v6) => v6.is_multicast() || is_link_local(v6),
        };
        if needs_interface {
            return self.path_on_link(destination, source, interface);
        }
        let route = self
            .routes
            .iter()
            .find(|route| {
                route.destination.contains(destination)
                    && same_family(&route.destination.address, destination)
                    && (interface.is_none() || route.interface == interface)
                    && route
                        .interface
                        .is_none_or(|id| self.interface(id).is_some_and(|interface| interface.up))
            })
            .ok_or(NoPath::Network)?;
        let id = route.interface.ok_or(NoPath::Host)?;
        let device = self.interface(id).ok_or(NoPath::Network)?;
        let next_hop = route.gateway.unwrap_or(*destination);
        let source = match source.or(route.source) {
            Some(source) => source,
            None => self.select_source(device, destination, &next_hop).ok_or(NoPath::Source)?,
        };
        let mtu = route.mtu.map_or(device.mtu, |mtu| mtu.min(device.mtu));
        Ok(Path { interface: id, next_hop, source, mtu })
    }

    /// 127.0.0.1 for anything in 127/8 that is not itself an address.
    fn loopback_source(&self, destination: &IpAddr, owner: InterfaceId) -> Option<IpAddr> {
        match destination {
            IpAddr::V4(v4) if v4.is_loopback() && owner == InterfaceId::LOOPBACK => {
                Some(IpAddr::V4(core::net::Ipv4Addr::LOCALHOST))
            }
            _ => None,
        }
    }

    /// Multicast, broadcast and link-local destinations: no router is involved.
    fn path_on_link(
        &self,
        destination: &IpAddr,
        source: Option<IpAddr>,
        interface: Option<InterfaceId>,
    ) -> Result<Path, NoPath> {
        let by_source = source.and_then(|source| self.owner(&source));
        let by_route = || {
            self.routes
                .iter()
                .find(|route| {
                    route.destination.contains(destination)
                        && same_family(&route.destination.address, destination)
                })
                .and_then(|route| route.interface)
        };
        let first_up = || {
            self.interfaces
                .iter()
                .find(|interface| interface.up && interface.id != InterfaceId::LOOPBACK)
                .map(|interface| interface.id)
        };
        let id = interface.or(by_source).or_else(by_route).or_else(first_up);
        let device = id.and_then(|id| self.interface(id)).ok_or(NoPath::Network)?;
        if !device.up {
            return Err(NoPath::Network);
        }
        let source = match source {
            Some(source) => source,
            None => self.select_source(device, destination, destination).ok_or(NoPath::Source)?,
        };
        Ok(Path { interface: device.id, next_hop: *destination, source, mtu: device.mtu })
    }

    /// Source address selection: for IPv4 one in the next hop's network, for IPv6 by scope,
    /// deprecation and the longest common prefix (RFC 6724 §5, rules 2, 3 and 8).
    fn select_source(
        &self,
        device: &Interface,
        destination: &IpAddr,
        next_hop: &IpAddr,
    ) -> Option<IpAddr> {
        let on_device = device.usable().map(|address| (address, true));
        let elsewhere = self
            .interfaces
            .iter()
            .filter(|other| other.id != device.id && other.id != InterfaceId::LOOPBACK)
            .flat_map(|other| other.usable().map(|address| (address, false)));
        on_device
            .chain(elsewhere)
            .filter(|(address, _)| same_family(&address.prefix.address, destination))
            .filter(|(address, here)| match address.prefix.address {
                IpAddr::V6(v6) => *here || !is_link_local(&v6),
                IpAddr::V4(_) => true,
            })
            .max_by_key(|(address, here)| {
                let own = &address.prefix.address;
                let scope = match (own, destination) {
                    (IpAddr::V6(own), IpAddr::V6(destination)) => {
                        is_link_local(own) == has_link_scope(destination)
                    }
                    _ => true,
                };
                let common = match destination {
                    IpAddr::V4(_) => u32::from(address.prefix.contains(next_hop)),
                    IpAddr::V6(_) => common_bits(own, destination).min(64),
                };
                (scope, *here, address.state == AddressState::Preferred, common)
            })
            .map(|(address, _)| address.prefix.address)
    }
}

fn has_link_scope(address: &Ipv6Addr) -> bool {
    is_link_local(address) || (address.is_multicast() && address.segments()[0] & 0xf <= 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Prefix;
    use crate::config::{InterfaceAddress, Medium, Route};

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn config() -> NetConfig {
        let mut config = NetConfig::default();
        config.interfaces.push(Interface::loopback());
        for id in [2, 3] {
            let id = InterfaceId(id);
            config.interfaces.push(Interface::new(id, "eth", Medium::Ethernet, [2; 6], 1500));
        }
        let mut add = |id, text, length| {
            let prefix = Prefix::new(address(text), length);
            config.add_address(InterfaceId(id), InterfaceAddress::fixed(prefix));
        };
        add(2, "10.0.0.2", 24);
        add(3, "192.168.1.2", 24);
        add(2, "fe80::2", 64);
        add(2, "2001:db8::2", 64);
        config.add_route(Route::default_via(address("10.0.0.1"), InterfaceId(2)));
        config.add_route(Route::default_via(address("fe80::1"), InterfaceId(2)));
        let lan = Prefix::new(address("10.9.0.0"), 16);
        config.add_route(Route::new(lan, Some(address("192.168.1.9")), InterfaceId(3)));
        config
    }

    #[test]
    fn the_longest_prefix_wins() {
        let config = config();
        let path = |to: &str| config.path(&address(to), None, None).unwrap();
        let expect = |id, hop: &str, from: &str, mtu| Path {
            interface: InterfaceId(id),
            next_hop: address(hop),
            source: address(from),
            mtu,
        };
        assert_eq!(path("8.8.8.8"), expect(2, "10.0.0.1", "10.0.0.2", 1500));
        assert_eq!(path("10.0.0.77"), expect(2, "10.0.0.77", "10.0.0.2", 1500));
        assert_eq!(path("10.9.1.1"), expect(3, "192.168.1.9", "192.168.1.2", 1500));
        assert_eq!(path("192.168.1.2"), expect(1, "192.168.1.2", "192.168.1.2", 65_536));
        assert_eq!(path("127.3.0.1"), expect(1, "127.3.0.1", "127.0.0.1", 65_536));
        assert_eq!(path("2600::1"), expect(2, "fe80::1", "2001:db8::2", 1500));
        assert_eq!(path("fe80::77"), expect(2, "fe80::77", "fe80::2", 1500));
        assert_eq!(path("ff02::1"), expect(2, "ff02::1", "fe80::2", 1500));
        assert_eq!(path("2001:db8::9"), expect(2, "2001:db8::9", "2001:db8::2", 1500));
        let by_interface = config.path(&address("8.8.8.8"), None, Some(InterfaceId(3)));
        assert_eq!(by_interface, Err(NoPath::Network));
    }
}

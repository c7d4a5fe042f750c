use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use drupe_net_base::Instant;

use crate::address::Prefix;
use crate::shard::Autoconf;

/// Number of an interface, as Linux's ifindex: from 1. The loopback interface is
/// [`InterfaceId::LOOPBACK`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(pub u32);

impl InterfaceId {
    /// The loopback interface, which is always there.
    pub const LOOPBACK: InterfaceId = InterfaceId(1);
}

/// How frames look on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Ethernet II.
    Ethernet,
    /// IP packets without link header.
    Ip,
    /// Within this stack.
    Loopback,
}

/// What a device does for the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offloads {
    /// Completes transport checksums of sent frames.
    pub checksum: bool,
    /// Cuts TCP segments over IPv4 up to 64 KiB.
    pub segmentation_v4: bool,
    /// The same over IPv6.
    pub segmentation_v6: bool,
}

/// Where an address or a route came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Given by the user, or by the stack itself (loopback, link-local, on-link).
    Static,
    /// DHCPv4 or DHCPv6.
    Dhcp,
    /// Router advertisements.
    Router,
}

/// Whether an address may be used (RFC 4862).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressState {
    /// Being tested for duplicates: not usable.
    Tentative,
    /// In use.
    Preferred,
    /// In use, but not for new connections.
    Deprecated,
    /// Someone else has it: not usable.
    Duplicate,
}

/// An address of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Address and on-link prefix.
    pub prefix: Prefix,
    /// State.
    pub state: AddressState,
    /// Origin.
    pub origin: Origin,
    /// When the address becomes deprecated; never for static ones.
    pub preferred_until: Instant,
    /// When the address goes.
    pub valid_until: Instant,
}

impl InterfaceAddress {
    /// An address for ever.
    pub const fn fixed(prefix: Prefix) -> Self {
        InterfaceAddress {
            prefix,
            state: AddressState::Preferred,
            origin: Origin::Static,
            preferred_until: Instant::NEVER,
            valid_until: Instant::NEVER,
        }
    }

    /// Whether packets for it are taken.
    pub const fn is_usable(&self) -> bool {
        matches!(self.state, AddressState::Preferred | AddressState::Deprecated)
    }
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its number.
    pub id: InterfaceId,
    /// Its name, such as `eth0`.
    pub name: String,
    /// Frame format.
    pub medium: Medium,
    /// Hardware address; zero without Ethernet.
    pub mac: [u8; 6],
    /// Largest IP packet, at least 1280 for IPv6.
    pub mtu: u32,
    /// Whether packets pass.
    pub up: bool,
    /// What the device does.
    pub offloads: Offloads,
    /// Hop limit of sent packets.
    pub hop_limit: u8,
    /// What it finds out by itself.
    pub autoconf: Autoconf,
    /// Routers ask hosts to get addresses, and other configuration, by DHCPv6.
    pub routers_ask: (bool, bool),
    /// Addresses.
    pub addresses: Vec<InterfaceAddress>,
    /// Multicast groups that are taken, each once per membership.
    pub groups: Vec<IpAddr>,
}

impl Interface {
    /// An interface that is up and has no addresses.
    pub fn new(id: InterfaceId, name: &str, medium: Medium, mac: [u8; 6], mtu: u32) -> Self {
        Interface {
            id,
            name: name.into(),
            medium,
            mac,
            mtu: mtu.clamp(68, 65_536),
            up: true,
            offloads: Offloads::default(),
            hop_limit: 64,
            autoconf: Autoconf::default(),
            routers_ask: (false, false),
            addresses: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// The loopback interface.
    pub fn loopback() -> Self {
        let mut interface =
            Interface::new(InterfaceId::LOOPBACK, "lo", Medium::Loopback, [0; 6], 65_536);
        interface.offloads =
            Offloads { checksum: true, segmentation_v4: true, segmentation_v6: true };
        interface.addresses = alloc::vec![
            InterfaceAddress::fixed(Prefix::new(Ipv4Addr::LOCALHOST.into(), 8)),
            InterfaceAddress::fixed(Prefix::new(Ipv6Addr::LOCALHOST.into(), 128)),
        ];
        interface
    }

    /// The usable addresses.
    pub fn usable(&self) -> impl Iterator<Item = &InterfaceAddress> {
        self.addresses.iter().filter(|address| address.is_usable())
    }

    /// The link-local IPv6 address, if one is usable.
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        self.usable().find_map(|address| match address.prefix.address {
            IpAddr::V6(v6) if crate::address::is_link_local(&v6) => Some(v6),
            _ => None,
        })
    }
}

/// A route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub destination: Prefix,
    /// The router; none when the destination is on the link.
    pub gateway: Option<IpAddr>,
    /// The interface; `None`: the destination is unreachable.
    pub interface: Option<InterfaceId>,
    /// Among routes to the same prefix the lowest wins.
    pub metric: u32,
    /// Source address to prefer.
    pub source: Option<IpAddr>,
    /// Largest packet, if less than the interface's.
    pub mtu: Option<u32>,
    /// Origin.
    pub origin: Origin,
    /// When the route goes.
    pub valid_until: Instant,
}

impl Route {
    /// A static route.
    pub const fn new(destination: Prefix, gateway: Option<IpAddr>, interface: InterfaceId) -> Self {
        Route {
            destination,
            gateway,
            interface: Some(interface),
            metric: 0,
            source: None,
            mtu: None,
            origin: Origin::Static,
            valid_until: Instant::NEVER,
        }
    }

    /// The default route of the gateway's family.
    pub fn default_via(gateway: IpAddr, interface: InterfaceId) -> Self {
        let any = match gateway {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Route::new(Prefix::new(any, 0), Some(gateway), interface)
    }
}

/// Name servers and search domains that the network announced, for `resolv.conf`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dns {
    /// Servers with the interface that told of them.
    pub servers: Vec<(InterfaceId, IpAddr)>,
    /// Search domains.
    pub search: Vec<(InterfaceId, String)>,
}

/// Everything that is configured: an immutable snapshot.
#[derive(Debug, Clone, Default)]
pub struct NetConfig {
    /// Interfaces, the loopback first.
    pub interfaces: Vec<Interface>,
    /// Routes, longest prefix first, then by metric.
    pub routes: Vec<Route>,
    /// Name servers.
    pub dns: Dns,
    /// What DHCP servers are told; empty: nothing.
    pub host_name: String,
    /// Counts changes.
    pub generation: u32,
}

impl NetConfig {
    /// An interface by number.
    pub fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.id == id)
    }

    /// An interface by number, to change.
    pub fn interface_mut(&mut self, id: InterfaceId) -> Option<&mut Interface> {
        self.interfaces.iter_mut().find(|interface| interface.id == id)
    }

    /// Whether this machine has the address, and on which interface.
    pub fn owner(&self, address: &IpAddr) -> Option<InterfaceId> {
        self.interfaces.iter().find_map(|interface| {
            let has = interface.usable().any(|own| own.prefix.address == *address);
            let loopback_net = interface.id == InterfaceId::LOOPBACK
                && matches!(address, IpAddr::V4(v4) if v4.is_loopback());
            (has || loopback_net).then_some(interface.id)
        })
    }

    /// Whether the address is a broadcast address of the interface.
    pub fn is_broadcast(&self, id: InterfaceId, address: &IpAddr) -> bool {
        let IpAddr::V4(v4) = address else { return false };
        v4.is_broadcast()
            || self.interface(id).is_some_and(|interface| {
                interface.addresses.iter().any(|own| own.prefix.broadcast() == Some(*v4))
            })
    }

    /// Adds a route, keeping the order.
    pub fn add_route(&mut self, route: Route) {
        self.routes.retain(|old| {
            (old.destination, old.gateway, old.interface, old.metric)
                != (route.destination, route.gateway, route.interface, route.metric)
        });
        let at = self.routes.partition_point(|old| {
            (core::cmp::Reverse(old.destination.length), old.metric)
                <= (core::cmp::Reverse(route.destination.length), route.metric)
        });
        self.routes.insert(at, route);
    }

    /// Adds an address with the route to its network, replacing the same address.
    pub fn add_address(&mut self, id: InterfaceId, address: InterfaceAddress) {
        let Some(interface) = self.interface_mut(id) else { return };
        interface.addresses.retain(|old| old.prefix.address != address.prefix.address);
        interface.addresses.push(address);
        let width = if address.prefix.address.is_ipv4() { 32 } else { 128 };
        if address.prefix.length < width {
            let mut route = Route::new(address.prefix, None, id);
            route.origin = address.origin;
            route.valid_until = address.valid_until;
            route.source = address.prefix.address.is_ipv4().then_some(address.prefix.address);
            self.add_route(route);
        }
    }

    /// Removes an address and the route to its network.
    pub fn remove_address(&mut self, id: InterfaceId, address: &IpAddr) {
        let Some(interface) = self.interface_mut(id) else { return };
        let mut gone = None;
        interface.addresses.retain(|old| {
            let keep = old.prefix.address != *address;
            if !keep {
                gone = Some(old.prefix);
            }
            keep
        });
        if let Some(prefix) = gone {
            self.routes.retain(|route| {
                !(route.destination == prefix
                    && route.interface == Some(id)
                    && route.gateway.is_none())
            });
        }
    }
}

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use drupe_net_base::{Instant, SECOND};
use smoltcp::wire::{NdiscOptionType, NdiscPrefixInfoFlags};

use super::Stack;
use super::ip_input::IpHeader;
use super::ndp::{link_address, options};
use crate::address::{Prefix, is_link_local};
use crate::config::{AddressState, InterfaceAddress, InterfaceId, NetConfig, Origin, Route};

/// Flags of an advertisement: get an address, or other configuration, by DHCPv6.
const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;
const RDNSS: u8 = 25;
const DNSSL: u8 = 31;
/// A lifetime that does not end.
const FOREVER: u32 = u32::MAX;
/// The least a router can leave of an address's life at once (RFC 4862 §5.5.3 e).
const TWO_HOURS: u64 = 7200 * SECOND;
/// Name servers and addresses that one interface learns from routers at most.
const MOST_LEARNED: usize = 8;

#[derive(Debug, Clone, Copy)]
struct LearnedPrefix {
    prefix: Prefix,
    on_link: bool,
    autonomous: bool,
    valid: u32,
    preferred: u32,
}

/// What a router advertisement says.
#[derive(Debug, Default)]
struct Advertisement {
    hop_limit: u8,
    flags: u8,
    router_lifetime: u16,
    mtu: Option<u32>,
    prefixes: Vec<LearnedPrefix>,
    servers: Vec<(Ipv6Addr, u32)>,
    search: Vec<(String, u32)>,
}

impl Stack {
    /// Takes a router advertisement (RFC 4861 §6.3.4, RFC 4862 §5.5.3, RFC 8106).
    pub(super) fn receive_router(&mut self, header: &IpHeader, bytes: &[u8]) -> Option<()> {
        let IpAddr::V6(router) = header.source else { return None };
        if !is_link_local(&router) {
            return None;
        }
        let advertisement = read(bytes)?;
        let device = self.config.interface(header.interface)?;
        if !device.autoconf.ipv6 {
            return Some(());
        }
        let mac = device.mac;
        let link = link_address(bytes.get(16..)?, NdiscOptionType::SourceLinkLayerAddr)?;
        if let Some(link) = link {
            self.learn_neighbour(header.interface, header.source, link, (false, true, true));
        }
        let (id, now) = (header.interface, self.now);
        self.shared.configure(|config| {
            apply(config, id, mac, router, &advertisement, now);
        });
        self.refresh();
        Some(())
    }

    /// When something configured next ends.
    pub(super) fn config_expiry(&mut self) -> Instant {
        let generation = self.config.generation;
        if self.expiry.0 != generation {
            let addresses = self.config.interfaces.iter().flat_map(|device| &device.addresses);
            let first = addresses
                .map(|own| match own.state {
                    AddressState::Preferred => own.preferred_until.min(own.valid_until),
                    _ => own.valid_until,
                })
                .chain(self.config.routes.iter().map(|route| route.valid_until))
                .min()
                .unwrap_or(Instant::NEVER);
            self.expiry = (generation, first);
        }
        self.expiry.1
    }

    /// Drops addresses and routes whose time is over, deprecates others.
    pub(super) fn expire_config(&mut self) {
        if self.config_expiry() > self.now {
            return;
        }
        let now = self.now;
        self.shared.configure(|config| {
            config.routes.retain(|route| route.valid_until > now);
            for device in &mut config.interfaces {
                device.addresses.retain(|own| own.valid_until > now);
                for own in &mut device.addresses {
                    if own.state == AddressState::Preferred && own.preferred_until <= now {
                        own.state = AddressState::Deprecated;
                    }
                }
            }
        });
        self.refresh();
    }
}

fn read(bytes: &[u8]) -> Option<Advertisement> {
    let mut found = Advertisement {
        hop_limit: *bytes.get(4)?,
        flags: *bytes.get(5)?,
        router_lifetime: u16::from_be_bytes([*bytes.get(6)?, *bytes.get(7)?]),
        ..Advertisement::default()
    };
    options(bytes.get(16..)?, |option| {
        let data = option.data();
        match option.option_type() {
            NdiscOptionType::PrefixInformation if option.data_len() == 4 => {
                let flags = option.prefix_flags();
                let length = option.prefix_len();
                let seconds = |at: usize| {
                    data.get(at..at + 4)
                        .and_then(|b| b.try_into().ok())
                        .map_or(0, u32::from_be_bytes)
                };
                found.prefixes.push(LearnedPrefix {
                    prefix: Prefix::new(option.prefix().into(), length),
                    on_link: flags.contains(NdiscPrefixInfoFlags::ON_LINK),
                    autonomous: flags.contains(NdiscPrefixInfoFlags::ADDRCONF),
                    valid: seconds(2),
                    preferred: seconds(6),
                });
            }
            NdiscOptionType::Mtu if option.data_len() == 1 => found.mtu = Some(option.mtu()),
            NdiscOptionType::Unknown(RDNSS) => {
                let Some((head, servers)) = data.split_at_checked(6) else { return };
                let seconds = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
                for server in servers.as_chunks::<16>().0 {
                    found.servers.push((Ipv6Addr::from(*server), seconds));
                }
            }
            NdiscOptionType::Unknown(DNSSL) => {
                let Some((head, names)) = data.split_at_checked(6) else { return };
                let seconds = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
                for name in read_names(names) {
                    found.search.push((name, seconds));
                }
            }
            _ => {}
        }
    })?;
    Some(found)
}

/// Domain names without compression, ended by padding (RFC 8106 §5.2).
pub(super) fn read_names(mut bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut name = String::new();
    while let Some((&length, rest)) = bytes.split_first() {
        if length == 0 {
            if !name.is_empty() {
                names.push(core::mem::take(&mut name));
            }
            bytes = rest;
            continue;
        }
        let Some((label, rest)) = rest.split_at_checked(usize::from(length)) else { break };
        let plain = label.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'));
        if length > 63 || !plain || name.len() > 253 {
            break;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().map(|&c| char::from(c)));
        bytes = rest;
    }
    names
}

fn until(now: Instant, seconds: u32) -> Instant {
    if seconds == FOREVER { Instant::NEVER } else { now + u64::from(seconds) * SECOND }
}

fn apply(
    config: &mut NetConfig,
    id: InterfaceId,
    mac: [u8; 6],
    router: Ipv6Addr,
    advertisement: &Advertisement,
    now: Instant,
) {
    if let Some(device) = config.interface_mut(id) {
        device.routers_ask = (advertisement.flags & MANAGED != 0, advertisement.flags & OTHER != 0);
        if advertisement.hop_limit != 0 {
            device.hop_limit = advertisement.hop_limit;
        }
        if let Some(mtu) = advertisement.mtu
            && (1280..=device.mtu).contains(&mtu)
        {
            device.mtu = mtu;
        }
    }
    let mut default = Route::default_via(router.into(), id);
    default.origin = Origin::Router;
    default.metric = 1024;
    config.routes.retain(|route| {
        (route.destination, route.gateway, route.interface)
            != (default.destination, default.gateway, default.interface)
            || route.origin != Origin::Router
    });
    if advertisement.router_lifetime > 0 {
        default.valid_until = now + u64::from(advertisement.router_lifetime) * SECOND;
        config.add_route(default);
    }
    for learned in &advertisement.prefixes {
        apply_prefix(config, id, mac, learned, now);
    }
    config.dns.servers.retain(|(from, server)| {
        *from != id || !advertisement.servers.iter().any(|(new, _)| IpAddr::V6(*new) == *server)
    });
    for (server, seconds) in &advertisement.servers {
        let learned = config.dns.servers.iter().filter(|(from, _)| *from == id).count();
        if *seconds > 0 && learned < MOST_LEARNED {
            config.dns.servers.push((id, (*server).into()));
        }
    }
    config.dns.search.retain(|(from, name)| {
        *from != id || !advertisement.search.iter().any(|(new, _)| new == name)
    });
    for (name, seconds) in &advertisement.search {
        let learned = config.dns.search.iter().filter(|(from, _)| *from == id).count();
        if *seconds > 0 && learned < MOST_LEARNED {
            config.dns.search.push((id, name.clone()));
        }
    }
}

fn apply_prefix(
    config: &mut NetConfig,
    id: InterfaceId,
    mac: [u8; 6],
    learned: &LearnedPrefix,
    now: Instant,
) {
    let IpAddr::V6(network) = learned.prefix.address else { return };
    if is_link_local(&network) || network.is_multicast() || learned.preferred > learned.valid {
        return;
    }
    let network_route = |route: &Route| {
        route.destination == learned.prefix
            && route.gateway.is_none()
            && route.interface == Some(id)
    };
    if learned.on_link {
        config.routes.retain(|route| !(network_route(route) && route.origin == Origin::Router));
        if learned.valid > 0 {
            let mut route = Route::new(learned.prefix, None, id);
            route.origin = Origin::Router;
            route.metric = 256;
            route.valid_until = until(now, learned.valid);
            config.add_route(route);
        }
    }
    if !learned.autonomous || learned.prefix.length != 64 {
        return;
    }
    let address = eui64(network, mac);
    let Some(device) = config.interface_mut(id) else { return };
    let own = device.addresses.iter_mut().find(|own| own.prefix.address == IpAddr::V6(address));
    if let Some(own) = own {
        if own.origin != Origin::Router {
            return;
        }
        let wanted = until(now, learned.valid);
        let left = own.valid_until.since(now);
        if wanted > own.valid_until || wanted.since(now) > TWO_HOURS {
            own.valid_until = wanted;
        } else if left > TWO_HOURS {
            own.valid_until = now + TWO_HOURS;
        }
        own.preferred_until = until(now, learned.preferred);
        if own.state == AddressState::Deprecated && learned.preferred > 0 {
            own.state = AddressState::Preferred;
        }
        return;
    }
    let count = device.addresses.iter().filter(|own| own.origin == Origin::Router).count();
    if learned.valid == 0 || count >= MOST_LEARNED {
        return;
    }
    device.addresses.push(InterfaceAddress {
        prefix: Prefix::new(address.into(), 64),
        state: AddressState::Tentative,
        origin: Origin::Router,
        preferred_until: until(now, learned.preferred),
        valid_until: until(now, learned.valid),
    });
}

/// The address that a hardware address makes with a prefix of 64 bits (RFC 4291, appendix A).
pub(super) fn eui64(network: Ipv6Addr, mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let host = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from_bits(network.to_bits() & !u128::from(u64::MAX) | u128::from(host))
}

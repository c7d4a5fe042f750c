use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use drupe_net_base::{Instant, SECOND};
use drupe_net_dhcp::{Client4, Client6};

use super::Stack;
use super::ipv6_config::eui64;
use crate::address::Prefix;
use crate::config::{AddressState, InterfaceAddress, InterfaceId, Medium, Origin};

/// What an interface finds out by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Autoconf {
    /// A link-local address, and addresses, routes and name servers from routers (RFC 4862);
    /// DHCPv6 when they ask for it.
    pub ipv6: bool,
    /// An IPv4 address, routes and name servers by DHCP.
    pub dhcp4: bool,
}

/// Solicitations for routers, and their spacing (RFC 4861 §10).
const SOLICITATIONS: u8 = 3;
const SPACING: u64 = 4 * SECOND;
/// How long an address is tested for duplicates.
const TEST: u64 = SECOND;

/// The progress of an interface.
#[derive(Debug)]
pub(super) struct AutoconfState {
    interface: InterfaceId,
    solicitations: u8,
    solicit_at: Instant,
    /// Addresses under test, and when they have passed.
    tests: Vec<(Ipv6Addr, Instant)>,
    pub(super) dhcp4: Option<Client4>,
    pub(super) dhcp6: Option<Client6>,
}

impl AutoconfState {
    pub(super) fn interface(&self) -> InterfaceId {
        self.interface
    }

    fn deadline(&self) -> Instant {
        let tests = self.tests.iter().map(|(_, at)| *at);
        let clients = [
            self.dhcp4.as_ref().map(Client4::deadline),
            self.dhcp6.as_ref().map(Client6::deadline),
        ];
        tests.chain(clients.into_iter().flatten()).fold(self.solicit_at, Instant::min)
    }
}

impl Stack {
    pub(super) fn autoconf_deadline(&self) -> Instant {
        let (generation, at) = self.autoconf_due;
        if generation == self.config.generation { at } else { self.now }
    }

    pub(super) fn plan_autoconf(&mut self) {
        let states = self.autoconf.iter().map(AutoconfState::deadline);
        self.autoconf_due = (self.config.generation, states.min().unwrap_or(Instant::NEVER));
    }

    /// Does what is due on every interface; only on the first shard.
    pub(super) fn run_autoconf(&mut self) {
        if self.autoconf_deadline() > self.now {
            return;
        }
        let config = self.config.clone();
        self.autoconf.retain(|state| config.interface(state.interface).is_some_and(|d| d.up));
        for device in &config.interfaces {
            let known = self.autoconf.iter().any(|state| state.interface == device.id);
            if !known && device.medium == Medium::Ethernet && device.up {
                self.autoconf.push(AutoconfState {
                    interface: device.id,
                    solicitations: 0,
                    solicit_at: Instant::NEVER,
                    tests: Vec::new(),
                    dhcp4: None,
                    dhcp6: None,
                });
                if device.autoconf.ipv6 {
                    self.add_link_local(device.id, device.mac);
                }
            }
        }
        let mut states = core::mem::take(&mut self.autoconf);
        for state in &mut states {
            self.run_interface(state);
            self.run_dhcp(state);
        }
        self.autoconf = states;
        self.plan_autoconf();
    }

    fn add_link_local(&mut self, id: InterfaceId, mac: [u8; 6]) {
        let address = eui64(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), mac);
        self.shared.configure(|config| {
            config.add_address(
                id,
                InterfaceAddress {
                    state: AddressState::Tentative,
                    origin: Origin::Static,
                    ..InterfaceAddress::fixed(Prefix::new(address.into(), 64))
                },
            );
        });
        self.refresh();
    }

    fn run_interface(&mut self, state: &mut AutoconfState) {
        let id = state.interface;
        self.start_tests(state);
        let now = self.now;
        let passed: Vec<Ipv6Addr> =
            state.tests.iter().filter(|(_, at)| *at <= now).map(|(address, _)| *address).collect();
        if !passed.is_empty() {
            state.tests.retain(|(_, at)| *at > now);
            self.shared.configure(|config| {
                let Some(device) = config.interface_mut(id) else { return };
                for own in &mut device.addresses {
                    let tested =
                        matches!(own.prefix.address, IpAddr::V6(v6) if passed.contains(&v6));
                    if tested && own.state == AddressState::Tentative {
                        own.state = AddressState::Preferred;
                    }
                }
            });
            self.refresh();
        }
        let Some(device) = self.config.interface(id) else { return };
        let link_local = device.link_local().filter(|_| device.autoconf.ipv6);
        if link_local.is_none() {
            state.solicit_at = Instant::NEVER;
        }
        if let Some(source) = link_local {
            let has_router = self
                .config
                .routes
                .iter()
                .any(|route| route.origin == Origin::Router && route.interface == Some(id));
            if state.solicitations == 0 && !state.solicit_at.is_armed() && !has_router {
                state.solicit_at = now;
            }
            if state.solicit_at <= now {
                state.solicit_at = Instant::NEVER;
                if !has_router && state.solicitations < SOLICITATIONS {
                    state.solicitations += 1;
                    state.solicit_at = now + SPACING;
                    self.solicit_routers(id, source);
                }
            }
        }
    }

    /// Begins tests of addresses that are new.
    fn start_tests(&mut self, state: &mut AutoconfState) {
        let config = self.config.clone();
        let Some(device) = config.interface(state.interface) else { return };
        state.tests.retain(|(address, _)| {
            device.addresses.iter().any(|own| {
                own.prefix.address == IpAddr::V6(*address) && own.state == AddressState::Tentative
            })
        });
        for own in &device.addresses {
            let IpAddr::V6(address) = own.prefix.address else { continue };
            let known = state.tests.iter().any(|(test, _)| *test == address);
            if own.state == AddressState::Tentative && !known {
                state.tests.push((address, self.now + TEST));
                self.probe_duplicate(state.interface, address);
            }
        }
    }
}

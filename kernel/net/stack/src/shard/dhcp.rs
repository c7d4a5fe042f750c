use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use drupe_net_base::{Chain, Instant};
use drupe_net_dhcp::{
    CLIENT_PORT4, CLIENT_PORT6, Change, Client4, Client6, Lease4, Lease6, Mode6, Outgoing4,
    SERVER_PORT4, SERVER_PORT6,
};

use super::Stack;
use super::autoconf::AutoconfState;
use super::ip_input::{IpHeader, UDP};
use super::ip_output::Outgoing;
use crate::address::Prefix;
use crate::config::{AddressState, InterfaceAddress, InterfaceId, NetConfig, Origin, Route};
use crate::frame::Received;
use crate::route::Path;
use crate::shared::Letter;

/// All DHCPv6 servers and relays on the link.
const SERVERS6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// DHCP routes give way to static ones.
const METRIC: u32 = 100;

impl Stack {
    /// Does what the DHCP clients of an interface have due.
    pub(super) fn run_dhcp(&mut self, state: &mut AutoconfState) {
        let id = state.interface();
        let config = self.config.clone();
        let Some(device) = config.interface(id) else { return };
        if device.autoconf.dhcp4 {
            let name = (!config.host_name.is_empty()).then(|| config.host_name.clone());
            let seed = [self.random.bits(), self.random.bits()];
            let now = self.now;
            let client =
                state.dhcp4.get_or_insert_with(|| Client4::new(device.mac, name, seed, now));
            let (message, change) = client.poll(self.now);
            self.apply4(id, change);
            if let Some(message) = message {
                self.send_dhcp4(id, message);
            }
        } else {
            state.dhcp4 = None;
        }
        let mode = match device.routers_ask {
            (true, _) => Some(Mode6::Address),
            (false, true) => Some(Mode6::Information),
            (false, false) => None,
        };
        let Some(mode) = mode.filter(|_| device.autoconf.ipv6) else {
            state.dhcp6 = None;
            return;
        };
        let Some(source) = device.link_local() else {
            state.dhcp6 = None;
            return;
        };
        if state.dhcp6.as_ref().is_none_or(|client| client.mode() != mode) {
            let seed = [self.random.bits(), self.random.bits()];
            state.dhcp6 = Some(Client6::new(device.mac, mode, seed, self.now));
        }
        if let Some(client) = &mut state.dhcp6 {
            let (message, change) = client.poll(self.now);
            self.apply6(id, change);
            if let Some(message) = message {
                self.send_dhcp6(id, source, message);
            }
        }
    }

    fn send_dhcp4(&mut self, id: InterfaceId, message: Outgoing4) {
        let destination = IpAddr::V4(message.destination);
        let fallback =
            Path { interface: id, next_hop: destination, source: message.source.into(), mtu: 1500 };
        let path = match message.destination.is_broadcast() {
            true => fallback,
            false => self
                .config
                .path(&destination, Some(message.source.into()), Some(id))
                .unwrap_or(fallback),
        };
        let out = Outgoing {
            path,
            destination,
            protocol: UDP,
            hop_limit: 64,
            traffic_class: 0,
            dont_fragment: false,
        };
        let _ = self.send_udp(&out, CLIENT_PORT4, SERVER_PORT4, Chain::from(message.message));
    }

    fn send_dhcp6(&mut self, id: InterfaceId, source: Ipv6Addr, message: alloc::vec::Vec<u8>) {
        let destination = IpAddr::V6(SERVERS6);
        let path = Path { interface: id, next_hop: destination, source: source.into(), mtu: 1280 };
        let out = Outgoing {
            path,
            destination,
            protocol: UDP,
            hop_limit: 1,
            traffic_class: 0,
            dont_fragment: false,
        };
        let _ = self.send_udp(&out, CLIENT_PORT6, SERVER_PORT6, Chain::from(message));
    }

    /// Whether a packet to no address of ours may be a DHCP answer: servers send those to the
    /// address that they offer.
    pub(super) fn may_configure(&self, header: &IpHeader) -> bool {
        header.protocol == UDP
            && header.destination.is_ipv4()
            && self.config.interface(header.interface).is_some_and(|d| d.autoconf.dhcp4)
    }

    /// Takes a datagram if it configures this machine; the first shard looks at those.
    pub(super) fn receive_autoconf(
        &mut self,
        header: &IpHeader,
        port: u16,
        data: &Chain,
        packet: &Received,
    ) -> bool {
        let ipv4 = header.source.is_ipv4();
        if port != if ipv4 { CLIENT_PORT4 } else { CLIENT_PORT6 } {
            return false;
        }
        let Some(device) = self.config.interface(header.interface) else { return false };
        let wanted = if ipv4 { device.autoconf.dhcp4 } else { device.autoconf.ipv6 };
        if !wanted {
            return false;
        }
        if self.index != 0 {
            self.send_letter(0, Letter::Packet(header.interface, packet.clone()));
            return true;
        }
        let bytes = data.to_vec();
        let mut states = core::mem::take(&mut self.autoconf);
        for state in states.iter_mut().filter(|state| state.interface() == header.interface) {
            if ipv4 {
                let change = state.dhcp4.as_mut().map(|client| client.receive(&bytes, self.now));
                match change {
                    Some(Ok(change)) => self.apply4(header.interface, change),
                    Some(Err(_)) => self.counters.bad_dhcp += 1,
                    None => {}
                }
            } else {
                let change = state.dhcp6.as_mut().map(|client| client.receive(&bytes, self.now));
                match change {
                    Some(Ok(change)) => self.apply6(header.interface, change),
                    Some(Err(_)) => self.counters.bad_dhcp += 1,
                    None => {}
                }
            }
        }
        self.autoconf = states;
        self.plan_autoconf();
        // What the answer made due is sent at once.
        self.run_autoconf();
        true
    }

    fn apply4(&mut self, id: InterfaceId, change: Change<Lease4>) {
        let lease = match change {
            Change::None => return,
            Change::Lost => None,
            Change::Lease(lease) => Some(lease),
        };
        self.shared.configure(|config| {
            let keep = lease.as_ref().map(|lease| IpAddr::V4(lease.address));
            forget(config, id, true, keep);
            if let Some(lease) = &lease {
                add_lease4(config, id, lease);
            }
        });
        self.refresh();
    }

    fn apply6(&mut self, id: InterfaceId, change: Change<Lease6>) {
        let lease = match change {
            Change::None => return,
            Change::Lost => None,
            Change::Lease(lease) => Some(lease),
        };
        self.shared.configure(|config| {
            let keep = lease.as_ref().and_then(|lease| lease.address);
            forget(config, id, false, keep.map(|(address, ..)| address.into()));
            if let Some(lease) = &lease {
                add_lease6(config, id, lease);
            }
        });
        self.refresh();
    }
}

/// Takes away what DHCP gave an interface in one family, except the address `keep`.
fn forget(config: &mut NetConfig, id: InterfaceId, ipv4: bool, keep: Option<IpAddr>) {
    if let Some(device) = config.interface_mut(id) {
        device.addresses.retain(|own| {
            own.origin != Origin::Dhcp
                || own.prefix.address.is_ipv4() != ipv4
                || keep == Some(own.prefix.address)
        });
    }
    config.routes.retain(|route| {
        route.origin != Origin::Dhcp
            || route.destination.address.is_ipv4() != ipv4
            || route.interface != Some(id)
    });
    config.dns.servers.retain(|(from, server)| *from != id || server.is_ipv4() != ipv4);
    if ipv4 {
        config.dns.search.retain(|(from, _)| *from != id);
    }
}

fn add_lease4(config: &mut NetConfig, id: InterfaceId, lease: &Lease4) {
    let address = InterfaceAddress {
        prefix: Prefix::new(lease.address.into(), lease.prefix_length),
        state: AddressState::Preferred,
        origin: Origin::Dhcp,
        preferred_until: Instant::NEVER,
        valid_until: lease.expires,
    };
    config.add_address(id, address);
    for (destination, length, router) in &lease.routes {
        let on_link = *router == Ipv4Addr::UNSPECIFIED;
        let gateway = (!on_link).then_some(IpAddr::V4(*router));
        let mut route = Route::new(Prefix::new((*destination).into(), *length), gateway, id);
        route.origin = Origin::Dhcp;
        route.metric = METRIC;
        route.source = Some(lease.address.into());
        route.valid_until = lease.expires;
        config.add_route(route);
    }
    for server in &lease.name_servers {
        config.dns.servers.push((id, (*server).into()));
    }
    for name in &lease.search {
        config.dns.search.push((id, name.clone()));
    }
    if let (Some(mtu), Some(device)) = (lease.mtu, config.interface_mut(id)) {
        device.mtu = device.mtu.min(u32::from(mtu));
    }
}

fn add_lease6(config: &mut NetConfig, id: InterfaceId, lease: &Lease6) {
    if let Some((address, preferred, valid)) = lease.address
        && let Some(device) = config.interface_mut(id)
    {
        let own = device.addresses.iter_mut().find(|own| own.prefix.address == IpAddr::V6(address));
        match own {
            Some(own) => {
                own.preferred_until = preferred;
                own.valid_until = valid;
            }
            // A single address: what is on the link, routers tell.
            None => device.addresses.push(InterfaceAddress {
                prefix: Prefix::new(address.into(), 128),
                state: AddressState::Tentative,
                origin: Origin::Dhcp,
                preferred_until: preferred,
                valid_until: valid,
            }),
        }
    }
    for server in &lease.name_servers {
        if !config.dns.servers.contains(&(id, (*server).into())) {
            config.dns.servers.push((id, (*server).into()));
        }
    }
    for name in &lease.search {
        if !config.dns.search.contains(&(id, name.clone())) {
            config.dns.search.push((id, name.clone()));
        }
    }
}

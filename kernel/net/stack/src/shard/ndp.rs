use core::net::{IpAddr, Ipv6Addr};

use drupe_net_base::Chain;
use smoltcp::wire::{Icmpv6Message, NdiscOption, NdiscOptionType};

use super::Stack;
use super::ip_input::{ICMP6, IpHeader};
use super::ip_output::Outgoing;
use crate::address::solicited_node;
use crate::config::{AddressState, InterfaceId};
use crate::route::Path;

/// Hop limit of neighbour discovery: proof that a message comes from the link (RFC 4861 §11.2).
const ON_LINK: u8 = 255;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

impl Stack {
    /// Takes a neighbour discovery message.
    pub(super) fn receive_ndp(&mut self, header: &IpHeader, kind: Icmpv6Message, data: &Chain) {
        let bytes = data.first().bytes();
        if header.hop_limit != ON_LINK || bytes.get(1) != Some(&0) {
            self.counters.bad_ndp += 1;
            return;
        }
        let valid = match kind {
            Icmpv6Message::NeighborSolicit => self.receive_solicitation(header, bytes),
            Icmpv6Message::NeighborAdvert => self.receive_advertisement(header, bytes),
            Icmpv6Message::RouterAdvert => self.receive_router(header, bytes),
            // Redirects would let a neighbour steer traffic for little gain; they are not
            // followed. Router solicitations concern routers.
            _ => Some(()),
        };
        if valid.is_none() {
            self.counters.bad_ndp += 1;
        }
    }

    fn receive_solicitation(&mut self, header: &IpHeader, bytes: &[u8]) -> Option<()> {
        let target = target(bytes)?;
        let IpAddr::V6(source) = header.source else { return None };
        let mac = link_address(bytes.get(24..)?, NdiscOptionType::SourceLinkLayerAddr)?;
        let device = self.config.interface(header.interface)?;
        let own_mac = device.mac;
        let own = device.addresses.iter().find(|own| own.prefix.address == IpAddr::V6(target));
        let Some(own) = own else { return Some(()) };
        if own.state == AddressState::Tentative {
            if source.is_unspecified() {
                // Someone else tests the same address (RFC 4862 §5.4.3).
                self.mark_duplicate(header.interface, target);
            }
            return Some(());
        }
        if !own.is_usable() {
            return Some(());
        }
        let (destination, flags) = if source.is_unspecified() {
            (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), OVERRIDE)
        } else {
            if let Some(mac) = mac {
                self.learn_neighbour(header.interface, header.source, mac, (false, true, true));
            }
            (source, SOLICITED | OVERRIDE)
        };
        let path = Path {
            interface: header.interface,
            next_hop: destination.into(),
            source: target.into(),
            mtu: 1280,
        };
        let kind = Icmpv6Message::NeighborAdvert;
        let mut message = [0; 32];
        message[4] = flags;
        message[24] = NdiscOptionType::TargetLinkLayerAddr.into();
        put_message(&mut message, kind, target, own_mac);
        self.send_ndp(path, destination, &message);
        Some(())
    }

    fn receive_advertisement(&mut self, header: &IpHeader, bytes: &[u8]) -> Option<()> {
        let target = target(bytes)?;
        let flags = *bytes.get(4)?;
        let solicited = flags & SOLICITED != 0;
        if target.is_multicast() || (solicited && header.destination.is_multicast()) {
            return None;
        }
        let mac = link_address(bytes.get(24..)?, NdiscOptionType::TargetLinkLayerAddr)?;
        let device = self.config.interface(header.interface)?;
        let mine = device.addresses.iter().find(|own| own.prefix.address == IpAddr::V6(target));
        if let Some(own) = mine {
            if own.state == AddressState::Tentative {
                self.mark_duplicate(header.interface, target);
            } else {
                self.counters.duplicate_addresses += 1;
            }
            return Some(());
        }
        if let Some(mac) = mac {
            let how = (solicited, false, flags & OVERRIDE != 0);
            self.learn_neighbour(header.interface, target.into(), mac, how);
        }
        Some(())
    }

    fn mark_duplicate(&mut self, interface: InterfaceId, address: Ipv6Addr) {
        self.counters.duplicate_addresses += 1;
        self.shared.configure(|config| {
            let Some(device) = config.interface_mut(interface) else { return };
            for own in &mut device.addresses {
                if own.prefix.address == IpAddr::V6(address) {
                    own.state = AddressState::Duplicate;
                }
            }
        });
        self.refresh();
    }

    /// Asks for the hardware address of an IPv6 neighbour.
    pub(super) fn solicit_ipv6(
        &mut self,
        interface: InterfaceId,
        target: Ipv6Addr,
        unicast: Option<[u8; 6]>,
    ) {
        let config = self.config.clone();
        let Some(device) = config.interface(interface) else { return };
        let destination = if unicast.is_some() { target } else { solicited_node(&target) };
        let Ok(path) = config.path(&target.into(), None, Some(interface)) else { return };
        let path = Path { interface, next_hop: destination.into(), ..path };
        let mut message = [0; 32];
        message[24] = NdiscOptionType::SourceLinkLayerAddr.into();
        put_message(&mut message, Icmpv6Message::NeighborSolicit, target, device.mac);
        self.send_ndp(path, destination, &message);
    }

    /// Asks whether someone else has an address that is to become ours (RFC 4862 §5.4.2).
    pub(super) fn probe_duplicate(&mut self, interface: InterfaceId, target: Ipv6Addr) {
        let destination = solicited_node(&target);
        let path = Path {
            interface,
            next_hop: destination.into(),
            source: Ipv6Addr::UNSPECIFIED.into(),
            mtu: 1280,
        };
        let mut message = [0; 24];
        message[0] = Icmpv6Message::NeighborSolicit.into();
        message[8..24].copy_from_slice(&target.octets());
        self.send_ndp(path, destination, &message);
    }

    /// Asks for routers (RFC 4861 §6.3.7).
    pub(super) fn solicit_routers(&mut self, interface: InterfaceId, source: Ipv6Addr) {
        let Some(device) = self.config.interface(interface) else { return };
        let destination = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
        let path =
            Path { interface, next_hop: destination.into(), source: source.into(), mtu: 1280 };
        let mut message = [0; 16];
        message[0] = Icmpv6Message::RouterSolicit.into();
        message[8] = NdiscOptionType::SourceLinkLayerAddr.into();
        message[9] = 1;
        message[10..16].copy_from_slice(&device.mac);
        self.send_ndp(path, destination, &message);
    }

    pub(super) fn send_ndp(&mut self, path: Path, destination: Ipv6Addr, message: &[u8]) {
        let out = Outgoing {
            path,
            destination: destination.into(),
            protocol: ICMP6,
            hop_limit: ON_LINK,
            traffic_class: 0,
            dont_fragment: true,
        };
        self.send_icmp6(&out, message);
    }
}

/// Fills in kind, target and the link address of a solicitation or advertisement with one
/// option.
fn put_message(message: &mut [u8; 32], kind: Icmpv6Message, target: Ipv6Addr, mac: [u8; 6]) {
    message[0] = kind.into();
    message[8..24].copy_from_slice(&target.octets());
    message[25] = 1;
    message[26..32].copy_from_slice(&mac);
}

fn target(bytes: &[u8]) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
    Some(Ipv6Addr::from(octets)).filter(|target| !target.is_multicast())
}

/// Calls `each` with every option; `None` if they are malformed.
pub(super) fn options(mut bytes: &[u8], mut each: impl FnMut(&NdiscOption<&[u8]>)) -> Option<()> {
    while !bytes.is_empty() {
        let option = NdiscOption::new_checked(bytes).ok()?;
        let length = usize::from(option.data_len()) * 8;
        if length == 0 || length > bytes.len() {
            return None;
        }
        each(&option);
        bytes = &bytes[length..];
    }
    Some(())
}

/// The link address in an option of a kind. The outer `None`: malformed options.
pub(super) fn link_address(bytes: &[u8], kind: NdiscOptionType) -> Option<Option<[u8; 6]>> {
    let mut found = None;
    options(bytes, |option| {
        if option.option_type() == kind && option.data_len() == 1 {
            found = option.link_layer_addr().as_bytes().try_into().ok();
        }
    })?;
    Some(found)
}

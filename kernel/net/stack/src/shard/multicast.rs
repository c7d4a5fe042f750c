use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use drupe_net_base::{Chain, Instant};
use smoltcp::wire::{Icmpv6Message, IpProtocol, Ipv4Packet};

use super::Stack;
use super::ip_input::{ICMP6, IpHeader};
use super::ip_output::Outgoing;
use crate::address::solicited_node;
use crate::checksum::Sum;
use crate::config::{InterfaceId, Medium};
use crate::datagram::{Datagram, Group, SendError};
use crate::frame::{Frame, HeaderBytes, Received};
use crate::route::Path;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_MLD_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const ALL_ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 2);
/// Memberships of one socket.
const MOST_GROUPS: usize = 64;

const IGMP_QUERY: u8 = 0x11;
const IGMP_REPORT: u8 = 0x16;
const IGMP_LEAVE: u8 = 0x17;
const TO_EXCLUDE: u8 = 4;
const TO_INCLUDE: u8 = 3;

impl Stack {
    /// Whether packets of a group are taken on an interface.
    pub(super) fn wants_group(&self, interface: InterfaceId, group: &IpAddr) -> bool {
        let Some(device) = self.config.interface(interface) else { return false };
        let implied = match group {
            IpAddr::V4(v4) => *v4 == ALL_SYSTEMS,
            IpAddr::V6(v6) => {
                *v6 == ALL_NODES
                    || device.addresses.iter().any(|own| {
                        matches!(own.prefix.address, IpAddr::V6(own) if solicited_node(&own) == *v6)
                    })
            }
        };
        implied || device.groups.contains(group)
    }

    /// Joins a multicast group (`IP_ADD_MEMBERSHIP`, `IPV6_JOIN_GROUP`).
    pub fn join(&mut self, socket: &Datagram, group: Group, now: Instant) -> Result<(), SendError> {
        self.enter(now);
        if !group.address.is_multicast() || self.config.interface(group.interface).is_none() {
            return Err(SendError::Invalid);
        }
        let added = socket.with_state(|state| {
            if state.groups.contains(&group) || state.groups.len() >= MOST_GROUPS {
                return false;
            }
            state.groups.push(group);
            true
        });
        if !added {
            return Err(SendError::Invalid);
        }
        let first = self.shared.configure(|config| {
            let device = config.interface_mut(group.interface)?;
            let first = !device.groups.contains(&group.address);
            device.groups.push(group.address);
            Some(first)
        });
        self.refresh();
        if first == Some(true) {
            self.report_group(group, true);
        }
        Ok(())
    }

    /// Leaves a group.
    pub fn leave(
        &mut self,
        socket: &Datagram,
        group: Group,
        now: Instant,
    ) -> Result<(), SendError> {
        self.enter(now);
        let removed = socket.with_state(|state| {
            let at = state.groups.iter().position(|own| *own == group)?;
            Some(state.groups.swap_remove(at))
        });
        if removed.is_none() {
            return Err(SendError::NoSource);
        }
        self.drop_membership(group);
        Ok(())
    }

    /// Leaves all groups of a socket that is about to be closed, and closes it.
    pub fn close_datagram(&mut self, socket: &Datagram, now: Instant) {
        self.enter(now);
        let groups = socket.with_state(|state| core::mem::take(&mut state.groups));
        for group in groups {
            self.drop_membership(group);
        }
        socket.close();
    }

    fn drop_membership(&mut self, group: Group) {
        let last = self.shared.configure(|config| {
            let device = config.interface_mut(group.interface)?;
            let at = device.groups.iter().position(|own| *own == group.address)?;
            device.groups.swap_remove(at);
            Some(!device.groups.contains(&group.address))
        });
        self.refresh();
        if last == Some(true) {
            self.report_group(group, false);
        }
    }

    /// Tells the link that a group is wanted, or no longer (IGMPv2, RFC 2236; MLDv2, RFC 3810).
    fn report_group(&mut self, group: Group, member: bool) {
        let ethernet = self
            .config
            .interface(group.interface)
            .is_some_and(|device| device.medium == Medium::Ethernet);
        if !ethernet {
            return;
        }
        match group.address {
            IpAddr::V4(address) => self.send_igmp(group.interface, address, member),
            IpAddr::V6(address) => self.send_mld(group.interface, address, member),
        }
    }

    fn send_igmp(&mut self, interface: InterfaceId, group: Ipv4Addr, member: bool) {
        let destination = if member { group } else { ALL_ROUTERS };
        let Ok(path) = self.config.path(&destination.into(), None, Some(interface)) else { return };
        let IpAddr::V4(source) = path.source else { return };
        let mut frame = Frame::default();
        let bytes = frame.header.prepend(8);
        bytes[0] = if member { IGMP_REPORT } else { IGMP_LEAVE };
        bytes[4..8].copy_from_slice(&group.octets());
        let mut sum = Sum::default();
        sum.add(bytes);
        bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
        // A header with the router alert option (RFC 2113).
        let bytes = frame.header.prepend(24);
        bytes[20..24].copy_from_slice(&[0x94, 4, 0, 0]);
        let mut packet = Ipv4Packet::new_unchecked(&mut bytes[..]);
        packet.set_version(4);
        packet.set_header_len(24);
        packet.set_dscp(0x30);
        packet.set_total_len(32);
        packet.set_hop_limit(1);
        packet.set_next_header(IpProtocol::Igmp);
        packet.set_src_addr(source);
        packet.set_dst_addr(destination);
        let mut sum = Sum::default();
        sum.add(bytes);
        Ipv4Packet::new_unchecked(bytes).set_checksum(sum.finish());
        self.send_to_neighbour(interface, destination.into(), frame);
    }

    fn send_mld(&mut self, interface: InterfaceId, group: Ipv6Addr, member: bool) {
        let link_local = self.config.interface(interface).and_then(|device| device.link_local());
        let source = IpAddr::V6(link_local.unwrap_or(Ipv6Addr::UNSPECIFIED));
        let destination = IpAddr::V6(ALL_MLD_ROUTERS);
        let mut transport = HeaderBytes::new();
        let bytes = transport.prepend(28);
        bytes[0] = Icmpv6Message::MldReport.into();
        bytes[7] = 1;
        bytes[8] = if member { TO_EXCLUDE } else { TO_INCLUDE };
        bytes[12..28].copy_from_slice(&group.octets());
        let mut sum = Sum::pseudo_header(&source, &destination, ICMP6, 28);
        sum.add(bytes);
        bytes[2..4].copy_from_slice(&sum.finish().to_be_bytes());
        // Hop-by-hop options: router alert for MLD, two octets of padding.
        transport.prepend(8).copy_from_slice(&[ICMP6, 0, 5, 2, 0, 0, 1, 0]);
        let out = Outgoing {
            path: Path { interface, next_hop: destination, source, mtu: 1280 },
            destination,
            protocol: IpProtocol::HopByHop.into(),
            hop_limit: 1,
            traffic_class: 0,
            dont_fragment: true,
        };
        let _ = self.send_packet(&out, transport, Chain::new(), None);
    }

    /// An IGMP query is answered for all groups at once: there are few, and the delay that the
    /// protocol asks for serves links with many members.
    pub(super) fn receive_igmp(&mut self, header: &IpHeader, received: &Received) {
        let kind = received.data.first().bytes().get(header.length).copied();
        if kind == Some(IGMP_QUERY) {
            self.report_all(header.interface, true);
        }
    }

    pub(super) fn receive_mld_query(&mut self, header: &IpHeader) {
        if header.source_needs_scope() {
            self.report_all(header.interface, false);
        }
    }

    fn report_all(&mut self, interface: InterfaceId, ipv4: bool) {
        let config = self.config.clone();
        let Some(device) = config.interface(interface) else { return };
        if !self.may_send_error() {
            return;
        }
        let mut groups = device.groups.clone();
        groups.sort_unstable();
        groups.dedup();
        for address in groups.into_iter().filter(|group| group.is_ipv4() == ipv4) {
            self.report_group(Group { address, interface }, true);
        }
    }
}

use core::net::{IpAddr, Ipv4Addr};

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
};

use super::Stack;
use crate::address::multicast_mac;
use crate::config::{AddressState, InterfaceId, Medium};
use crate::frame::{Frame, HeaderBytes, Received};
use crate::neighbour::{Resolution, Solicit};

/// Octets of an Ethernet header.
pub(super) const ETHERNET: usize = 14;
/// Octets that are made contiguous before anything is read: Ethernet and the smallest headers.
/// Whoever needs more gathers more; devices that split headers from data cost no copy.
const LOOK: usize = ETHERNET + 40;
/// Octets of an ARP packet.
const ARP: usize = 28;

impl Stack {
    /// Takes a frame from a device.
    pub(super) fn receive_frame(&mut self, interface: InterfaceId, mut received: Received) {
        self.counters.frames_in += 1;
        self.counters.octets_in += received.data.len() as u64;
        let Some((up, medium, own)) =
            self.config.interface(interface).map(|device| (device.up, device.medium, device.mac))
        else {
            self.counters.no_interface += 1;
            return;
        };
        if !up {
            self.counters.no_interface += 1;
            return;
        }
        let look = received.data.len().min(LOOK);
        if received.data.first().len() < look && !received.data.gather(look, &*self.shared.pool) {
            self.counters.no_memory += 1;
            return;
        }
        if self.shared.has_raw_sockets() {
            self.tap_received(interface, medium, &received);
        }
        if medium != Medium::Ethernet {
            return self.receive_packet(interface, received, false);
        }
        let Ok(frame) = EthernetFrame::new_checked(received.data.first().bytes()) else {
            self.counters.truncated += 1;
            return;
        };
        let (destination, protocol) = (frame.dst_addr(), frame.ethertype());
        let group = destination.is_broadcast() || destination.is_multicast();
        if !group && destination.as_bytes() != own {
            self.counters.other_host += 1;
            return;
        }
        if frame.src_addr().is_multicast() {
            self.counters.martian += 1;
            return;
        }
        received.data.advance(ETHERNET);
        match protocol {
            EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6 => {
                self.receive_packet(interface, received, group);
            }
            EthernetProtocol::Arp => {
                received.data.gather(ARP, &*self.shared.pool);
                self.receive_arp(interface, &received);
            }
            EthernetProtocol::Unknown(_) => self.counters.unknown_ethertype += 1,
        }
    }

    fn receive_arp(&mut self, interface: InterfaceId, received: &Received) {
        let packet = ArpPacket::new_checked(received.data.first().bytes());
        let Ok(ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr: mac,
            source_protocol_addr: source,
            target_protocol_addr: target,
            ..
        }) = packet.and_then(|packet| ArpRepr::parse(&packet))
        else {
            self.counters.bad_arp += 1;
            return;
        };
        if !mac.is_unicast()
            || source.is_broadcast()
            || source.is_multicast()
            || source.is_loopback()
        {
            self.counters.bad_arp += 1;
            return;
        }
        let Some(device) = self.config.interface(interface) else { return };
        let own_mac = device.mac;
        let ours = |address: Ipv4Addr| {
            device.usable().any(|own| own.prefix.address == IpAddr::V4(address))
        };
        let conflict = device
            .addresses
            .iter()
            .any(|own| own.prefix.address == IpAddr::V4(source) && mac.as_bytes() != own_mac);
        let for_us = ours(target);
        if conflict {
            self.counters.duplicate_addresses += 1;
            self.shared.configure(|config| {
                let Some(device) = config.interface_mut(interface) else { return };
                for own in &mut device.addresses {
                    if own.prefix.address == IpAddr::V4(source)
                        && own.state == AddressState::Tentative
                    {
                        own.state = AddressState::Duplicate;
                    }
                }
            });
            self.refresh();
            return;
        }
        if !source.is_unspecified() {
            // RFC 826: a known address is updated by anyone, a new one only if we are asked.
            let solicited = operation == ArpOperation::Reply && for_us;
            let mac = mac.0;
            let create = for_us && operation == ArpOperation::Request;
            self.learn_neighbour(interface, source.into(), mac, (solicited, create, true));
        }
        if for_us && operation == ArpOperation::Request {
            let reply = ArpRepr::EthernetIpv4 {
                operation: ArpOperation::Reply,
                source_hardware_addr: EthernetAddress(own_mac),
                source_protocol_addr: target,
                target_hardware_addr: mac,
                target_protocol_addr: source,
            };
            self.send_arp(interface, own_mac, mac.0, &reply);
        }
    }

    /// Asks for a neighbour's hardware address.
    pub(super) fn solicit(&mut self, solicit: Solicit) {
        match solicit.address {
            IpAddr::V4(address) => {
                let config = self.config.clone();
                let Some(device) = config.interface(solicit.interface) else { return };
                let source = device
                    .usable()
                    .filter(|own| own.prefix.address.is_ipv4())
                    .max_by_key(|own| own.prefix.contains(&solicit.address))
                    .map(|own| own.prefix.address);
                let Some(IpAddr::V4(source)) = source else { return };
                self.send_arp_request(
                    solicit.interface,
                    device.mac,
                    source,
                    address,
                    solicit.unicast,
                );
            }
            IpAddr::V6(address) => {
                self.solicit_ipv6(solicit.interface, address, solicit.unicast);
            }
        }
    }

    /// An ARP request; from 0.0.0.0 it is a probe (RFC 5227).
    pub(super) fn send_arp_request(
        &mut self,
        interface: InterfaceId,
        mac: [u8; 6],
        source: Ipv4Addr,
        target: Ipv4Addr,
        unicast: Option<[u8; 6]>,
    ) {
        let request = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: EthernetAddress(mac),
            source_protocol_addr: source,
            target_hardware_addr: EthernetAddress(unicast.unwrap_or([0; 6])),
            target_protocol_addr: target,
        };
        self.send_arp(interface, mac, unicast.unwrap_or([0xff; 6]), &request);
    }

    fn send_arp(&mut self, interface: InterfaceId, own: [u8; 6], to: [u8; 6], arp: &ArpRepr) {
        let mut frame = Frame::default();
        arp.emit(&mut ArpPacket::new_unchecked(frame.header.prepend(arp.buffer_len())));
        put_ethernet(&mut frame.header, own, to, EthernetProtocol::Arp);
        self.push_frame(interface, frame);
    }

    /// A neighbour's hardware address is known: what waited for it goes out.
    pub(super) fn learn_neighbour(
        &mut self,
        interface: InterfaceId,
        address: IpAddr,
        mac: [u8; 6],
        how: (bool, bool, bool),
    ) {
        let waiting = self.shared.neighbours.learn(interface, address, mac, how, self.now);
        for frame in waiting {
            self.send_framed(interface, frame, mac);
        }
    }

    /// Hands a frame without link header to a neighbour on an interface.
    pub(super) fn send_to_neighbour(
        &mut self,
        interface: InterfaceId,
        next_hop: IpAddr,
        frame: Frame,
    ) {
        let Some(medium) = self.config.interface(interface).map(|device| device.medium) else {
            self.counters.no_interface += 1;
            return;
        };
        match medium {
            Medium::Loopback => self.loop_back(frame),
            Medium::Ip => self.push_frame(interface, frame),
            Medium::Ethernet => {
                let broadcast = self.config.is_broadcast(interface, &next_hop);
                let group = if broadcast { Some([0xff; 6]) } else { multicast_mac(&next_hop) };
                if let Some(mac) = group {
                    return self.send_framed(interface, frame, mac);
                }
                match self.shared.neighbours.resolve(interface, next_hop, self.now) {
                    Resolution::Known(mac, _) => self.send_framed(interface, frame, mac),
                    Resolution::Unknown(solicit) => {
                        if !self.shared.neighbours.wait(interface, next_hop, frame) {
                            self.counters.unresolved += 1;
                        }
                        if let Some(solicit) = solicit {
                            self.solicit(solicit);
                        }
                    }
                }
            }
        }
    }

    /// Adds the Ethernet header and queues the frame.
    pub(super) fn send_framed(&mut self, interface: InterfaceId, mut frame: Frame, to: [u8; 6]) {
        let Some(own) = self.config.interface(interface).map(|device| device.mac) else { return };
        let protocol = match frame.header.as_slice().first().map(|byte| byte >> 4) {
            Some(6) => EthernetProtocol::Ipv6,
            _ => EthernetProtocol::Ipv4,
        };
        put_ethernet(&mut frame.header, own, to, protocol);
        if let Some(checksum) = &mut frame.checksum {
            checksum.start += ETHERNET as u16;
        }
        if let Some(segmentation) = &mut frame.segmentation {
            segmentation.header_length += ETHERNET as u16;
        }
        self.push_frame(interface, frame);
    }

    /// A packet for this machine: to the shard of its flow.
    pub(super) fn loop_back(&mut self, frame: Frame) {
        let meta = crate::frame::ReceivedMeta {
            checksum_valid: true,
            segment_size: frame.segmentation.map_or(0, |segmentation| segmentation.size),
        };
        let Some(data) = frame.into_chain(&*self.shared.pool) else {
            self.counters.no_memory += 1;
            return;
        };
        if self.loopback.len() >= 2 * self.shared.limits.inbox {
            self.counters.transmit_full += 1;
            return;
        }
        self.loopback.push_back(Received { data, meta });
    }
}

fn put_ethernet(header: &mut HeaderBytes, own: [u8; 6], to: [u8; 6], protocol: EthernetProtocol) {
    let bytes = header.prepend(ETHERNET);
    if bytes.len() < ETHERNET {
        return;
    }
    let mut frame = EthernetFrame::new_unchecked(bytes);
    frame.set_src_addr(EthernetAddress(own));
    frame.set_dst_addr(EthernetAddress(to));
    frame.set_ethertype(protocol);
}

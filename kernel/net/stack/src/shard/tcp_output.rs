use core::net::IpAddr;

use drupe_net_base::{Handle, Instant};
use drupe_net_tcp::{Failure, Segment, Seq, State};
use smoltcp::wire::TcpPacket;

use super::ip_input::TCP;
use super::ip_output::Outgoing;
use super::{FlowRoute, Slot, Stack, TcpSocket, TimeWaitEntry, env};
use crate::address::FlowKey;
use crate::checksum::Sum;
use crate::config::{InterfaceId, Medium};
use crate::frame::{ChecksumRequest, Frame, Segmentation};
use crate::neighbour::Resolution;
use crate::route::Path;

/// Octets of a TCP header without options.
const HEADER: usize = 20;
/// Most data in one segment that a device cuts: an IP packet less the largest headers.
const LARGEST: usize = 65_535 - 40 - 60;
/// Segments that one connection sends before others have their turn.
const TURN: usize = 64;

impl FlowRoute {
    /// Data that fits into a packet, TCP options not counted.
    pub(super) fn path_mss(&self, ipv4: bool) -> u16 {
        let headers = if ipv4 { 40 } else { 60 };
        self.mtu.saturating_sub(headers).min(65_483) as u16
    }
}

/// What an interface does for a segment.
#[derive(Debug, Clone, Copy)]
struct Help {
    medium: Medium,
    checksum: bool,
    segmentation: bool,
}

impl Stack {
    /// Finds the way of a flow.
    pub(super) fn route_for(&self, key: &FlowKey) -> Option<FlowRoute> {
        let (local, remote) = (key.local().ip(), key.remote().ip());
        let path = self.config.path(&remote, Some(local), None).ok()?;
        Some(self.flow_route(&path, &remote))
    }

    pub(super) fn flow_route(&self, path: &Path, remote: &IpAddr) -> FlowRoute {
        FlowRoute {
            interface: path.interface,
            next_hop: path.next_hop,
            mtu: self.packet_limit(path, remote),
            mac: None,
            mac_until: Instant::ZERO,
            config_generation: self.config.generation,
            neighbour_generation: 0,
        }
    }

    /// Lets connections send, in turn, while there is room.
    pub(super) fn send_pending(&mut self) {
        for _ in 0..self.pending.len() {
            let Some(handle) = self.pending.pop_front() else { break };
            self.send_from(handle);
        }
    }

    fn send_from(&mut self, handle: Handle) {
        let Some(socket) = self.sockets.get_mut(handle) else { return };
        socket.queued = false;
        if socket.route.config_generation != self.config.generation && !self.reroute(handle) {
            return;
        }
        let Some(socket) = self.sockets.get(handle) else { return };
        let route = socket.route;
        let ipv4 = socket.key.remote().is_ipv4();
        let Some(help) = self.help(route.interface, ipv4) else { return };
        let largest = if help.segmentation { LARGEST } else { usize::from(route.path_mss(ipv4)) };
        let mut more = false;
        for turn in 0..=TURN {
            if turn == TURN || !self.has_transmit_room(route.interface) {
                more = true;
                break;
            }
            let Some(socket) = self.sockets.get_mut(handle) else { return };
            let Some(segment) = socket.connection.next_segment(largest, env!(self)) else { break };
            self.send_socket_segment(handle, segment, help);
        }
        if more
            && let Some(socket) = self.sockets.get_mut(handle)
            && !socket.queued
        {
            socket.queued = true;
            self.pending.push_back(handle);
        }
        self.arm(handle);
        self.finish_if_over(handle);
    }

    /// The configuration changed: looks the way up again. False if there is none now.
    fn reroute(&mut self, handle: Handle) -> bool {
        let Some(socket) = self.sockets.get(handle) else { return false };
        let (key, ipv4) = (socket.key, socket.key.remote().is_ipv4());
        let route = self.route_for(&key);
        let Some(socket) = self.sockets.get_mut(handle) else { return false };
        match route {
            Some(route) => {
                let smaller = route.mtu < socket.route.mtu;
                socket.route = route;
                if smaller {
                    socket.connection.on_path_mss(route.path_mss(ipv4));
                }
                true
            }
            None => {
                // Its timers go on; maybe the route comes back.
                self.counters.no_route += 1;
                socket.connection.on_unreachable(Failure::NetworkUnreachable);
                self.arm(handle);
                false
            }
        }
    }

    fn help(&self, interface: InterfaceId, ipv4: bool) -> Option<Help> {
        let device = self.config.interface(interface)?;
        let offloads = device.offloads;
        Some(Help {
            medium: device.medium,
            checksum: offloads.checksum,
            segmentation: offloads.checksum
                && if ipv4 { offloads.segmentation_v4 } else { offloads.segmentation_v6 },
        })
    }

    fn send_socket_segment(&mut self, handle: Handle, segment: Segment, help: Help) {
        let Some(socket) = self.sockets.get(handle) else { return };
        let (key, route) = (socket.key, socket.route);
        let (hop_limit, traffic_class) = (socket.hop_limit, socket.traffic_class);
        let frame = self.segment_frame(&key, &route, segment, help, hop_limit, traffic_class);
        if help.medium != Medium::Ethernet {
            return self.send_to_neighbour(route.interface, route.next_hop, frame);
        }
        let generation = self.shared.neighbours.generation();
        if let Some(mac) = route.mac
            && route.neighbour_generation == generation
            && self.now < route.mac_until
        {
            return self.send_framed(route.interface, frame, mac);
        }
        let resolution = self.shared.neighbours.resolve(route.interface, route.next_hop, self.now);
        let Some(socket) = self.sockets.get_mut(handle) else { return };
        match resolution {
            Resolution::Known(mac, until) => {
                socket.route.mac = Some(mac);
                socket.route.mac_until = until;
                socket.route.neighbour_generation = generation;
                self.send_framed(route.interface, frame, mac);
            }
            Resolution::Unknown(solicit) => {
                socket.route.mac = None;
                let neighbours = &self.shared.neighbours;
                if !neighbours.wait(route.interface, route.next_hop, frame) {
                    self.counters.unresolved += 1;
                }
                if let Some(solicit) = solicit {
                    self.solicit(solicit);
                }
            }
        }
    }

    /// The frame of a segment, from the network header on.
    fn segment_frame(
        &mut self,
        key: &FlowKey,
        route: &FlowRoute,
        segment: Segment,
        help: Help,
        hop_limit: u8,
        traffic_class: u8,
    ) -> Frame {
        let (local, remote) = (key.local(), key.remote());
        let (source, destination) = (local.ip(), remote.ip());
        let options = segment.options.as_slice();
        let header_length = HEADER + options.len();
        let length = header_length + segment.payload.len();
        let mut frame = Frame { payload: segment.payload, ..Frame::default() };
        let bytes = frame.header.prepend(header_length);
        if bytes.len() == header_length {
            bytes[HEADER..].copy_from_slice(options);
            let mut view = TcpPacket::new_unchecked(&mut bytes[..]);
            view.set_src_port(local.port());
            view.set_dst_port(remote.port());
            view.set_seq_number(smoltcp::wire::TcpSeqNumber(segment.seq.0 as i32));
            view.set_ack_number(smoltcp::wire::TcpSeqNumber(segment.ack.0 as i32));
            view.set_header_len(header_length as u8);
            view.set_window_len(segment.window);
            view.set_urgent_at(segment.urgent);
            bytes[13] = segment.flags.0;
        }
        let network = if destination.is_ipv4() { 20u16 } else { 40 };
        if help.medium != Medium::Loopback {
            let mut sum = Sum::pseudo_header(&source, &destination, TCP, length);
            let value = if help.checksum {
                frame.checksum = Some(ChecksumRequest { start: network, offset: 16 });
                sum.partial()
            } else {
                sum.add(frame.header.as_slice());
                sum.add_chain(&frame.payload);
                sum.finish()
            };
            if let Some(field) = frame.header.as_mut_slice().get_mut(16..18) {
                field.copy_from_slice(&value.to_be_bytes());
            }
        }
        if frame.payload.len() > usize::from(segment.segment_size) {
            frame.segmentation = Some(Segmentation {
                size: segment.segment_size,
                ipv6: destination.is_ipv6(),
                header_length: network + header_length as u16,
            });
        }
        frame.flow_hash = key.hash_with(&self.shared.fold) as u32;
        let out = Outgoing {
            path: Path {
                interface: route.interface,
                next_hop: route.next_hop,
                source,
                mtu: route.mtu,
            },
            destination,
            protocol: TCP,
            hop_limit,
            traffic_class,
            dont_fragment: true,
        };
        self.put_ip(&mut frame.header, &out, length, None);
        frame
    }

    /// Sends a segment that belongs to no socket, on a known way.
    pub(super) fn send_routed_segment(
        &mut self,
        key: &FlowKey,
        route: &FlowRoute,
        segment: Segment,
    ) {
        let Some(help) = self.help(route.interface, key.remote().is_ipv4()) else { return };
        let hop_limit = self.hop_limit(route.interface);
        let frame = self.segment_frame(key, route, segment, help, hop_limit, 0);
        self.send_to_neighbour(route.interface, route.next_hop, frame);
    }

    /// The same, looking up the way.
    pub(super) fn send_loose_segment(&mut self, key: &FlowKey, segment: Segment) {
        match self.route_for(key) {
            Some(route) => self.send_routed_segment(key, &route, segment),
            None => self.counters.no_route += 1,
        }
    }

    /// Ends the stack's part in a connection that is over, keeping what the application or
    /// TIME-WAIT still needs.
    pub(super) fn finish_if_over(&mut self, handle: Handle) {
        let Some(socket) = self.sockets.get_mut(handle) else { return };
        if socket.queued {
            return;
        }
        if let Some(entry) = socket.connection.into_time_wait(self.now) {
            let (key, port) = (socket.key, socket.port.take());
            socket.listed = false;
            self.add_time_wait(key, entry, port);
            self.after_tcp(handle);
            return;
        }
        if socket.connection.state() != State::Closed {
            return;
        }
        let (key, listed, orphan) = (socket.key, socket.listed, socket.connection.is_orphan());
        socket.listed = false;
        if listed {
            self.remove_flow(&key);
        }
        if orphan {
            self.remove_socket(handle);
        }
    }

    pub(super) fn remove_socket(&mut self, handle: Handle) {
        let Some(socket) = self.sockets.remove(handle) else { return };
        let TcpSocket { timer, key, listed, .. } = *socket;
        if let Some(timer) = timer {
            self.wheel.cancel(timer);
        }
        if listed {
            self.remove_flow(&key);
        }
    }

    fn add_time_wait(
        &mut self,
        key: FlowKey,
        entry: drupe_net_tcp::TimeWait,
        port: Option<crate::bind::PortUse>,
    ) {
        self.tcp_counters.time_waits += 1;
        while self.time_waits.len() >= self.shared.limits.time_waits.max(1)
            && let Some(oldest) = self.time_wait_order.pop_front()
        {
            if self.time_waits.get(oldest).is_some() {
                self.tcp_counters.time_wait_overflow += 1;
                self.remove_time_wait(oldest);
            }
        }
        let placeholder =
            self.wheel.insert(entry.expires, Slot::TimeWait(Handle::from_bits(u64::MAX)));
        let item = TimeWaitEntry { key, entry, timer: placeholder, _port: port };
        let handle = self.time_waits.insert(item);
        self.wheel.cancel(placeholder);
        let timer = self.wheel.insert(entry.expires, Slot::TimeWait(handle));
        if let Some(item) = self.time_waits.get_mut(handle) {
            item.timer = timer;
        }
        self.time_wait_order.push_back(handle);
        self.insert_flow(key, Slot::TimeWait(handle));
    }

    pub(super) fn time_wait_timer(&mut self, handle: Handle) {
        let Some(item) = self.time_waits.remove(handle) else { return };
        self.remove_flow(&item.key);
        while let Some(oldest) = self.time_wait_order.front()
            && self.time_waits.get(*oldest).is_none()
        {
            self.time_wait_order.pop_front();
        }
    }

    pub(super) fn remove_time_wait(&mut self, handle: Handle) {
        let Some(item) = self.time_waits.remove(handle) else { return };
        self.wheel.cancel(item.timer);
        self.remove_flow(&item.key);
    }

    /// A connection whose listener was closed before it was accepted.
    pub(super) fn abort_unaccepted(&mut self, handle: Handle) {
        let Some(socket) = self.sockets.get_mut(handle) else { return };
        socket.connection.close(true, env!(self));
        self.after_tcp(handle);
    }

    /// The network reports that a flow's packets do not arrive.
    pub(super) fn tcp_unreachable(&mut self, key: &FlowKey, seq: u32, failure: Failure) {
        let hash = key.hash_with(&self.shared.fold);
        let Some(Slot::Tcp(handle)) = self.find_flow(hash, key) else {
            self.counters.bad_icmp += 1;
            return;
        };
        let Some(socket) = self.sockets.get_mut(handle) else { return };
        if !socket.connection.has_in_flight(Seq(seq)) {
            self.counters.bad_icmp += 1;
            return;
        }
        socket.connection.on_unreachable(failure);
        self.after_tcp(handle);
    }

    /// The network reports that a flow's packets are too large.
    pub(super) fn tcp_too_big(&mut self, key: &FlowKey, seq: u32, mtu: u32) {
        let hash = key.hash_with(&self.shared.fold);
        let Some(Slot::Tcp(handle)) = self.find_flow(hash, key) else { return };
        let Some(socket) = self.sockets.get_mut(handle) else { return };
        if !socket.connection.has_in_flight(Seq(seq)) {
            self.counters.bad_icmp += 1;
            return;
        }
        if mtu < socket.route.mtu {
            socket.route.mtu = mtu;
            let mss = socket.route.path_mss(key.remote().is_ipv4());
            socket.connection.on_path_mss(mss);
            self.shared.set_path_mtu(key.remote().ip(), mtu, self.now);
            self.after_tcp(handle);
        }
    }
}

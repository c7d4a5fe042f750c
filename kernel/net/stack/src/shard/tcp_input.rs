use alloc::boxed::Box;
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::sync::atomic::Ordering;

use drupe_net_base::{Chain, Handle, Instant};
use drupe_net_tcp::{
    Connection, Embryo, EmbryoAnswer, Flags, Header, Options, Segment, Seq, State, TimeWaitAnswer,
};
use smoltcp::wire::TcpPacket;

use super::ip_input::{IpHeader, TCP};
use super::{EmbryoEntry, FlowRoute, Slot, Stack, TcpId, TcpSocket, env};
use crate::address::FlowKey;
use crate::checksum::Sum;
use crate::frame::ReceivedMeta;
use crate::listener::{Accepted, Listener};
use crate::readiness::Readiness;

/// Octets of a TCP header without options.
const HEADER: usize = 20;

impl Stack {
    /// Takes a TCP segment; `data` starts at its header.
    pub(super) fn receive_tcp(
        &mut self,
        ip: &IpHeader,
        key: FlowKey,
        hash: u64,
        mut data: Chain,
        meta: ReceivedMeta,
    ) {
        self.tcp_counters.segments_in += 1;
        let bytes = data.first().bytes();
        let length = match bytes.get(12) {
            Some(byte) => usize::from(byte >> 4) * 4,
            None => 0,
        };
        if length < HEADER || bytes.len() < length {
            self.counters.bad_transport += 1;
            return;
        }
        let view = TcpPacket::new_unchecked(bytes);
        let header = Header {
            seq: Seq(view.seq_number().0 as u32),
            ack: Seq(view.ack_number().0 as u32),
            flags: Flags(bytes[13] & 0x3f),
            window: view.window_len(),
            urgent: view.urgent_at(),
            options: Options::parse(&bytes[HEADER..length]),
        };
        if !meta.checksum_valid {
            let mut sum = Sum::pseudo_header(&ip.source, &ip.destination, TCP, data.len());
            sum.add_chain(&data);
            if !sum.is_valid() {
                self.counters.bad_checksum += 1;
                return;
            }
        }
        data.advance(length);
        match self.find_flow(hash, &key) {
            Some(Slot::Tcp(handle)) => self.segment_for_socket(handle, &header, data),
            Some(Slot::Embryo(handle)) => self.segment_for_embryo(handle, &header, data),
            Some(Slot::TimeWait(handle)) => {
                self.segment_for_time_wait(ip, key, hash, handle, &header, data);
            }
            None => self.segment_without_flow(ip, key, hash, &header, data, None),
        }
    }

    fn segment_for_socket(&mut self, handle: Handle, header: &Header, data: Chain) {
        let Some(socket) = self.sockets.get_mut(handle) else { return };
        socket.connection.on_segment(header, data, env!(self));
        self.after_tcp(handle);
    }

    /// After anything happened to a connection: readiness, timer, output, end.
    pub(super) fn after_tcp(&mut self, handle: Handle) {
        let Some(socket) = self.sockets.get_mut(handle) else { return };
        let changes = socket.connection.take_changes();
        if !changes.is_empty() {
            let ready = socket.connection.ready();
            if socket.readiness.update(ready, true) {
                self.events.push(socket.readiness.clone());
            }
        }
        if socket.connection.wants_output() {
            if !socket.queued {
                socket.queued = true;
                self.pending.push_back(handle);
            }
        } else {
            let state = socket.connection.state();
            if matches!(state, State::Closed | State::TimeWait | State::FinWait2) {
                self.finish_if_over(handle);
            }
        }
        self.arm(handle);
    }

    /// Keeps the wheel's entry at or before the connection's deadline. An entry that turns out
    /// to be early costs one look; moving it at every segment would cost more.
    pub(super) fn arm(&mut self, handle: Handle) {
        let Some(socket) = self.sockets.get_mut(handle) else { return };
        let deadline = socket.connection.deadline();
        if deadline >= socket.timer_at {
            return;
        }
        if let Some(timer) = socket.timer.take() {
            self.wheel.cancel(timer);
        }
        socket.timer = Some(self.wheel.insert(deadline, Slot::Tcp(handle)));
        socket.timer_at = deadline;
    }

    pub(super) fn tcp_timer(&mut self, handle: Handle) {
        let Some(socket) = self.sockets.get_mut(handle) else { return };
        socket.timer = None;
        socket.timer_at = Instant::NEVER;
        if socket.connection.deadline() <= self.now {
            socket.connection.on_timer(env!(self));
            self.after_tcp(handle);
        } else {
            self.arm(handle);
        }
    }

    /// A segment of no known flow: a SYN for a listener, the answer to a cookie, or nothing.
    fn segment_without_flow(
        &mut self,
        ip: &IpHeader,
        key: FlowKey,
        hash: u64,
        header: &Header,
        data: Chain,
        beyond: Option<Seq>,
    ) {
        let flags = header.flags;
        let local = key.local();
        if !ip.link_group
            && !ip.destination.is_multicast()
            && !flags.has(Flags::RST)
            && let Some(listener) = self.shared.binds.listener(local, ip.interface, hash)
        {
            if flags.has(Flags::SYN) && !flags.has(Flags::ACK) {
                return self.receive_syn(ip, key, &listener, header, beyond);
            }
            if flags.has(Flags::ACK)
                && !flags.has(Flags::SYN)
                && self.receive_cookie(key, &listener, header, &data)
            {
                return;
            }
        }
        self.counters.no_connection += 1;
        if ip.link_group || ip.destination.is_multicast() {
            return;
        }
        if let Some(reset) = Segment::reset_for(header, data.len())
            && self.may_send_error()
        {
            self.tcp_counters.resets_out += 1;
            self.send_loose_segment(&key, reset);
        }
    }

    fn receive_syn(
        &mut self,
        ip: &IpHeader,
        key: FlowKey,
        listener: &Arc<Listener>,
        header: &Header,
        beyond: Option<Seq>,
    ) {
        self.tcp_counters.syns_in += 1;
        if listener.is_full() {
            self.tcp_counters.listen_overflows += 1;
            return;
        }
        let Some(route) = self.route_for(&key) else {
            self.counters.no_route += 1;
            return;
        };
        let config = listener.config();
        let flow = key.words();
        let mss = route.path_mss(ip.source.is_ipv4());
        let embryo =
            Embryo::new(header, &config, &self.shared.secrets, &flow, mss, beyond, self.now);
        if listener.is_flooded() || self.embryos.len() >= self.shared.limits.handshakes {
            let secrets = self.shared.secrets;
            let cookie = embryo.into_cookie(&secrets, &flow, env!(self));
            return self.send_routed_segment(&key, &route, cookie);
        }
        listener.handshakes.fetch_add(1, Ordering::AcqRel);
        let syn_ack = embryo.syn_ack(self.now);
        // The timer needs the handle and the entry the timer: insert, then arm.
        let deadline = embryo.deadline();
        let placeholder = self.wheel.insert(deadline, Slot::Embryo(Handle::from_bits(u64::MAX)));
        let entry =
            EmbryoEntry { key, embryo, listener: listener.clone(), route, timer: placeholder };
        let handle = self.embryos.insert(Box::new(entry));
        self.wheel.cancel(placeholder);
        let timer = self.wheel.insert(deadline, Slot::Embryo(handle));
        if let Some(entry) = self.embryos.get_mut(handle) {
            entry.timer = timer;
        }
        self.insert_flow(key, Slot::Embryo(handle));
        self.tcp_counters.segments_out += 1;
        self.send_routed_segment(&key, &route, syn_ack);
    }

    /// An acknowledgment that may answer a cookie. True if it made a connection.
    fn receive_cookie(
        &mut self,
        key: FlowKey,
        listener: &Arc<Listener>,
        header: &Header,
        data: &Chain,
    ) -> bool {
        if self.tcp_counters.cookies_sent == 0 {
            return false;
        }
        if listener.is_full() {
            // No room: silence makes the peer try again, which carries the cookie again.
            self.tcp_counters.listen_overflows += 1;
            return true;
        }
        let Some(route) = self.route_for(&key) else { return false };
        let config = listener.config();
        let secrets = self.shared.secrets;
        let mss = route.path_mss(key.remote().is_ipv4());
        let embryo = Embryo::from_cookie(header, &config, &secrets, &key.words(), mss, env!(self));
        let Some(embryo) = embryo else { return false };
        self.establish(key, &embryo, listener, route, header, data.clone());
        true
    }

    fn segment_for_embryo(&mut self, handle: Handle, header: &Header, data: Chain) {
        let Some(entry) = self.embryos.get_mut(handle) else { return };
        if entry.listener.is_closed() {
            let reset = Segment::reset_for(header, data.len());
            let (key, route) = (entry.key, entry.route);
            self.remove_embryo(handle, true);
            if let Some(reset) = reset {
                self.send_routed_segment(&key, &route, reset);
            }
            return;
        }
        match entry.embryo.on_segment(header, data.len(), env!(self)) {
            EmbryoAnswer::Drop => {}
            EmbryoAnswer::Reply(segment) => {
                let (key, route) = (entry.key, entry.route);
                self.send_routed_segment(&key, &route, segment);
            }
            EmbryoAnswer::Remove => {
                self.remove_embryo(handle, true);
            }
            EmbryoAnswer::Complete => {
                if entry.listener.is_full() {
                    self.tcp_counters.listen_overflows += 1;
                    entry.embryo.postpone(self.now);
                    return;
                }
                let (key, embryo, route) = (entry.key, entry.embryo, entry.route);
                let listener = entry.listener.clone();
                self.remove_embryo(handle, false);
                self.establish(key, &embryo, &listener, route, header, data);
            }
        }
    }

    /// Makes the connection of a completed handshake and queues it for accept.
    fn establish(
        &mut self,
        key: FlowKey,
        embryo: &Embryo,
        listener: &Arc<Listener>,
        route: FlowRoute,
        header: &Header,
        data: Chain,
    ) {
        if self.sockets.len() >= self.shared.limits.connections {
            self.counters.connection_limit += 1;
            self.remove_flow(&key);
            return;
        }
        let connection = embryo.complete(listener.config(), env!(self));
        let port = self.shared.binds.share_port(key.local().ip(), key.local().port());
        let readiness = Readiness::new(0);
        let handle = self.add_socket(key, connection, route, readiness.clone());
        if let Some(socket) = self.sockets.get_mut(handle) {
            socket.port = Some(port);
            socket.connection.on_segment(header, data, env!(self));
        }
        self.after_tcp(handle);
        let id = TcpId { shard: self.index as u16, handle };
        let accepted = Accepted { id, local: key.local(), remote: key.remote(), readiness };
        match listener.push(accepted) {
            Ok(true) => self.report(&listener.readiness().clone()),
            Ok(false) => {}
            Err(_) => self.abort_unaccepted(handle),
        }
    }

    pub(super) fn add_socket(
        &mut self,
        key: FlowKey,
        connection: Connection,
        route: FlowRoute,
        readiness: Arc<Readiness>,
    ) -> Handle {
        let hop_limit = self.hop_limit(route.interface);
        let handle = self.sockets.insert(Box::new(TcpSocket {
            key,
            connection,
            route,
            readiness,
            binding: None,
            port: None,
            timer: None,
            timer_at: Instant::NEVER,
            queued: false,
            listed: true,
            hop_limit,
            traffic_class: 0,
        }));
        self.insert_flow(key, Slot::Tcp(handle));
        handle
    }

    fn remove_embryo(&mut self, handle: Handle, flow: bool) {
        let Some(entry) = self.embryos.remove(handle) else { return };
        self.wheel.cancel(entry.timer);
        if flow {
            self.remove_flow(&entry.key);
        }
    }

    pub(super) fn embryo_timer(&mut self, handle: Handle) {
        let Some(entry) = self.embryos.get_mut(handle) else { return };
        let (key, route) = (entry.key, entry.route);
        let reply = if entry.listener.is_closed() { None } else { entry.embryo.on_timer(self.now) };
        let Some(segment) = reply else {
            // The timer is gone already.
            self.embryos.remove(handle);
            self.remove_flow(&key);
            return;
        };
        self.tcp_counters.retransmitted += 1;
        let deadline = entry.embryo.deadline();
        entry.timer = self.wheel.insert(deadline, Slot::Embryo(handle));
        self.send_routed_segment(&key, &route, segment);
    }

    fn segment_for_time_wait(
        &mut self,
        ip: &IpHeader,
        key: FlowKey,
        hash: u64,
        handle: Handle,
        header: &Header,
        data: Chain,
    ) {
        let Some(entry) = self.time_waits.get_mut(handle) else { return };
        let before = entry.entry.expires;
        match entry.entry.on_segment(header, data.len(), self.now) {
            TimeWaitAnswer::Drop => {}
            TimeWaitAnswer::Remove => self.remove_time_wait(handle),
            TimeWaitAnswer::Reply(segment) => {
                if entry.entry.expires > before {
                    self.wheel.cancel(entry.timer);
                    entry.timer = self.wheel.insert(entry.entry.expires, Slot::TimeWait(handle));
                }
                self.send_loose_segment(&key, segment);
            }
            TimeWaitAnswer::Reuse(beyond) => {
                let local: SocketAddr = key.local();
                let listening = self.shared.binds.listener(local, ip.interface, hash).is_some();
                if listening {
                    self.tcp_counters.time_wait_reused += 1;
                    self.remove_time_wait(handle);
                    self.segment_without_flow(ip, key, hash, header, data, Some(beyond));
                }
            }
        }
    }
}

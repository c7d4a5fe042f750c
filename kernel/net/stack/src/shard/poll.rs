use drupe_net_base::Instant;

use super::{Slot, Stack, TransmitQueue};
use crate::config::InterfaceId;
use crate::frame::{Devices, Frame};
use crate::shared::Letter;

/// What the caller of [`Stack::poll`] has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// Poll again at this time, or earlier when a device has frames.
    pub deadline: Instant,
    /// Poll again at once: the budget was used up.
    pub more: bool,
    /// Shards (as bits) that have to be polled because this one gave them something.
    pub kick: u64,
}

impl Stack {
    /// Does everything that can be done at `now`: takes letters of other shards, frames of the
    /// devices and due timers, and sends what connections and neighbours allow.
    pub fn poll(&mut self, now: Instant, devices: &mut dyn Devices) -> Poll {
        self.enter(now);
        self.read_letters();
        self.run_timers();
        let mut budget = self.shared.limits.budget;
        let mut more = false;
        loop {
            let before = budget;
            while budget > 0
                && let Some((interface, received)) = devices.receive()
            {
                budget -= 1;
                self.receive_frame(interface, received);
            }
            self.send_pending();
            self.drain_transmit(devices);
            while budget > 0
                && let Some(received) = self.loopback.pop_front()
            {
                budget -= 1;
                self.receive_packet(InterfaceId::LOOPBACK, received, false);
            }
            if budget == 0 {
                more = true;
                break;
            }
            if budget == before && self.loopback.is_empty() {
                break;
            }
        }
        self.send_pending();
        self.drain_transmit(devices);
        devices.flush();
        more |= !self.loopback.is_empty();
        let kick = core::mem::take(&mut self.kicks) & !(1 << self.index);
        more |= !self.shared.inboxes[self.index].is_empty();
        Poll { deadline: self.next_deadline(), more, kick }
    }

    /// Sends what calls of the application made ready, without looking at received frames.
    pub fn flush(&mut self, now: Instant, devices: &mut dyn Devices) -> Poll {
        self.enter(now);
        self.send_pending();
        self.drain_transmit(devices);
        devices.flush();
        let kick = core::mem::take(&mut self.kicks) & !(1 << self.index);
        Poll { deadline: self.next_deadline(), more: !self.loopback.is_empty(), kick }
    }

    /// Whether there is work that waits for no time and no device.
    pub fn has_work(&self) -> bool {
        !self.pending.is_empty()
            || !self.loopback.is_empty()
            || !self.shared.inboxes[self.index].is_empty()
            || self.transmit.iter().any(|queue| !queue.frames.is_empty())
    }

    fn next_deadline(&mut self) -> Instant {
        let mut deadline = self.wheel.next_deadline().min(self.reassembly.deadline());
        if self.index == 0 {
            deadline = deadline
                .min(self.shared.neighbours.deadline())
                .min(self.autoconf_deadline())
                .min(self.config_expiry());
        }
        deadline
    }

    fn read_letters(&mut self) {
        if self.shared.inboxes[self.index].is_empty() {
            return;
        }
        let mut letters = core::mem::take(&mut self.letters);
        self.shared.inboxes[self.index].take(&mut letters);
        while let Some(letter) = letters.pop_front() {
            match letter {
                Letter::Packet(interface, received) => {
                    self.receive_packet(interface, received, false);
                }
                Letter::Abort(handle) => self.abort_unaccepted(handle),
                Letter::Unreachable(key, seq, failure) => {
                    self.tcp_unreachable(&key, seq, failure);
                }
                Letter::TooBig(key, seq, mtu) => self.tcp_too_big(&key, seq, mtu),
            }
        }
        self.letters = letters;
    }

    fn run_timers(&mut self) {
        while let Some(slot) = self.wheel.expire(self.now) {
            match slot {
                Slot::Tcp(handle) => self.tcp_timer(handle),
                Slot::Embryo(handle) => self.embryo_timer(handle),
                Slot::TimeWait(handle) => self.time_wait_timer(handle),
            }
        }
        let lost = self.reassembly.expire(self.now);
        self.counters.reassembly_timeouts += lost;
        if self.index == 0 {
            self.run_neighbours();
            self.run_autoconf();
            self.expire_config();
        }
    }

    fn run_neighbours(&mut self) {
        let expired = self.shared.neighbours.expire(self.now);
        for solicit in expired.solicit {
            self.solicit(solicit);
        }
        for frame in expired.undeliverable {
            self.counters.unresolved += 1;
            self.undeliverable(&frame);
        }
    }

    fn queue(&mut self, interface: InterfaceId) -> &mut TransmitQueue {
        let at = match self.transmit.iter().position(|queue| queue.interface == interface) {
            Some(at) => at,
            None => {
                self.transmit.push(TransmitQueue { interface, frames: Default::default() });
                self.transmit.len() - 1
            }
        };
        &mut self.transmit[at]
    }

    /// Whether the queue of an interface has room for more from connections.
    pub(super) fn has_transmit_room(&mut self, interface: InterfaceId) -> bool {
        if interface == InterfaceId::LOOPBACK {
            return self.loopback.len() < self.shared.limits.inbox;
        }
        let limit = self.shared.limits.transmit;
        self.queue(interface).frames.len() < limit
    }

    /// Puts a frame into the queue of an interface. Connections ask for room first; others may
    /// use as much again, then are dropped.
    pub(super) fn push_frame(&mut self, interface: InterfaceId, frame: Frame) {
        if self.shared.has_raw_sockets() {
            self.tap_sent(interface, &frame);
        }
        let limit = 2 * self.shared.limits.transmit;
        let queue = self.queue(interface);
        if queue.frames.len() >= limit {
            self.counters.transmit_full += 1;
            return;
        }
        queue.frames.push_back(frame);
    }

    fn drain_transmit(&mut self, devices: &mut dyn Devices) {
        for queue in &mut self.transmit {
            while !queue.frames.is_empty() && devices.has_room(queue.interface) {
                let Some(frame) = queue.frames.pop_front() else { break };
                self.counters.frames_out += 1;
                self.counters.octets_out += frame.len() as u64;
                devices.transmit(queue.interface, frame);
            }
        }
    }
}

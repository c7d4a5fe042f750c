use drupe_net_base::{Chain, SECOND};

use super::{Connection, Env, Failure, State};
use crate::{Flags, Header, Options, Peer, Ready, Seq};

/// Age at which a timestamp to compare with is no longer one (RFC 7323 §5.5).
const TIMESTAMP_LIFE: u64 = 24 * 86_400 * SECOND;
/// How long an acknowledgment may wait for company: Linux's least value.
const DELAYED_ACK: u64 = 40_000_000;

impl Connection {
    /// Takes a segment from the peer (RFC 9293 §3.10.7). Afterwards drain
    /// [`Connection::next_segment`] and look at state, changes and deadline.
    pub fn on_segment(&mut self, header: &Header, payload: Chain, env: &mut Env<'_>) {
        self.statistics.segments_in = self.statistics.segments_in.wrapping_add(1);
        match self.state {
            State::Closed | State::TimeWait => {}
            State::SynSent => self.on_segment_in_syn_sent(header, env),
            _ => self.on_segment_synchronized(header, payload, env),
        }
    }

    fn on_segment_in_syn_sent(&mut self, header: &Header, env: &mut Env<'_>) {
        let flags = header.flags;
        if flags.has(Flags::ACK) && header.ack != self.una + 1 {
            // Another connection's acknowledgment: the peer gets a reset with its number.
            env.counters.bad_ack += 1;
            if !flags.has(Flags::RST) {
                self.stray_reset = Some(header.ack);
            }
            return;
        }
        if flags.has(Flags::RST) {
            if flags.has(Flags::ACK) {
                env.counters.attempt_fails += 1;
                self.fail(Failure::Refused);
            }
            return;
        }
        if !flags.has(Flags::SYN) {
            return;
        }
        let peer = Peer::from_options(&header.options, &self.config);
        self.adopt_peer(header.seq, &peer, env.now);
        self.receive_edge = self.receive_next + self.config.receive_buffer.min(0xffff);
        self.send_window = u32::from(header.window);
        self.max_window = self.send_window;
        self.wl1 = header.seq;
        self.wl2 = header.ack;
        if flags.has(Flags::ACK) {
            self.una = header.ack;
            self.nxt = self.nxt.max(self.una);
            self.highest_delivered = self.una;
            if self.retransmissions == 0 {
                self.sample_rtt(env.now.since(self.last_sent_at), env.now);
            }
            self.establish(env);
            self.ack_now = true;
        } else {
            // Simultaneous open (RFC 9293 §3.5, figure 8).
            self.state = State::SynReceived;
            self.send_now.syn = true;
        }
    }

    /// Both SYNs are acknowledged.
    fn establish(&mut self, env: &mut Env<'_>) {
        self.state = State::Established;
        self.retransmissions = 0;
        self.send_now.syn = false;
        self.rtt.reset_backoff();
        self.timers.retransmit = drupe_net_base::Instant::NEVER;
        self.queue_base = self.una;
        self.small_end = self.una;
        self.last_received_at = env.now;
        self.tuning.since = env.now;
        self.arm_keepalive(env.now);
        self.changes = self.changes.with(Ready::WRITABLE);
    }

    fn on_segment_synchronized(&mut self, header: &Header, payload: Chain, env: &mut Env<'_>) {
        let flags = header.flags;
        let end = header.seq + header.span(payload.len());
        if self.is_old_by_timestamp(&header.options, env) && !flags.has(Flags::RST) {
            env.counters.paws_rejected += 1;
            self.note_duplicate(header.seq, end, payload.len());
            self.ack_now = true;
            return;
        }
        if end.before(self.receive_next) || header.seq.after(self.receive_edge) {
            env.counters.out_of_window += 1;
            if self.state == State::SynReceived && flags.has(Flags::SYN) && !flags.has(Flags::RST) {
                self.send_now.syn = true;
            } else if !flags.has(Flags::RST) {
                self.note_duplicate(header.seq, end, payload.len());
                self.ack_now = true;
            }
            return;
        }
        if flags.has(Flags::RST) {
            // RFC 5961 §3.2: only the exact number counts.
            if header.seq == self.receive_next {
                self.on_reset(env);
            } else {
                env.counters.inexact_reset += 1;
                self.challenge(env);
            }
            return;
        }
        if flags.has(Flags::SYN) {
            env.counters.unexpected_syn += 1;
            if self.state == State::SynReceived && header.seq + 1 == self.receive_next {
                // The SYN of a simultaneous open with the acknowledgment of ours.
                if !flags.has(Flags::ACK) {
                    self.send_now.syn = true;
                    return;
                }
            } else {
                self.challenge(env);
                return;
            }
        }
        if !flags.has(Flags::ACK) {
            env.counters.no_ack += 1;
            return;
        }
        if let Some((value, _)) = header.options.timestamps
            && self.timestamps_ok
            && header.seq.at_or_before(self.acknowledged)
        {
            self.recent = value;
            self.recent_at = env.now;
        }
        self.last_received_at = env.now;
        if self.state == State::SynReceived {
            if header.ack != self.una + 1 {
                env.counters.bad_ack += 1;
                self.stray_reset = Some(header.ack);
                return;
            }
            self.una = header.ack;
            self.nxt = self.nxt.max(self.una);
            self.highest_delivered = self.una;
            self.wl1 = header.seq - 1;
            self.wl2 = header.ack;
            self.establish(env);
        }
        if !self.on_ack(header, payload.len(), env) {
            return;
        }
        if flags.has(Flags::URG) {
            self.on_urgent(header);
        }
        let fin = flags.has(Flags::FIN);
        if !payload.is_empty() || fin {
            self.on_data(header.seq, payload, fin, env);
        }
    }

    fn is_old_by_timestamp(&self, options: &Options, env: &Env<'_>) -> bool {
        let Some((value, _)) = options.timestamps else { return false };
        self.timestamps_ok
            && (value.wrapping_sub(self.recent) as i32) < 0
            && env.now.since(self.recent_at) < TIMESTAMP_LIFE
    }

    /// Remembers octets that came again, to report them (RFC 2883).
    fn note_duplicate(&mut self, start: Seq, end: Seq, payload: usize) {
        if payload > 0 && self.sack_ok {
            self.duplicate = Some((start, end));
        }
    }

    /// An acknowledgment that only a peer in sync can make use of (RFC 5961), within the limit.
    pub(super) fn challenge(&mut self, env: &mut Env<'_>) {
        if env.challenges.allow(env.now) {
            env.counters.challenges += 1;
            self.ack_now = true;
        } else {
            env.counters.challenges_limited += 1;
        }
    }

    fn on_reset(&mut self, env: &mut Env<'_>) {
        env.counters.established_resets += 1;
        let failure = match self.state {
            State::SynReceived => Failure::Refused,
            State::CloseWait => Failure::BrokenPipe,
            _ => Failure::Reset,
        };
        self.fail(failure);
    }

    fn on_urgent(&mut self, header: &Header) {
        if header.urgent == 0 {
            return;
        }
        let at = header.seq + (u32::from(header.urgent) - 1);
        if at.before(self.receive_next) || self.urgent_at.is_some_and(|old| at.at_or_before(old)) {
            return;
        }
        self.urgent_at = Some(at);
        self.urgent_octet = None;
        self.changes = self.changes.with(Ready::PRIORITY);
    }

    fn on_data(&mut self, seq: Seq, mut payload: Chain, fin: bool, env: &mut Env<'_>) {
        let (mut start, mut end) = (seq, seq + payload.len() as u32);
        if !matches!(self.state, State::Established | State::FinWait1 | State::FinWait2) {
            // After the peer's FIN there is nothing more to come; old data is acknowledged.
            self.ack_now = true;
            return;
        }
        if self.orphan && end.after(self.receive_next) {
            // RFC 9293 §3.6.1: data for an application that is gone is a reset.
            env.counters.data_after_close += 1;
            self.abort(env);
            return;
        }
        if start.before(self.receive_next) {
            let old = self.receive_next.since(start).min(payload.len() as u32);
            if old > 0 {
                self.note_duplicate(start, start + old, old as usize);
                payload.advance(old as usize);
                start += old;
                self.ack_now = true;
                if payload.is_empty() && !fin {
                    env.counters.duplicates += 1;
                    return;
                }
            }
        }
        let mut fin = fin;
        if end.after(self.receive_edge) {
            payload.truncate(self.receive_edge.since(start) as usize);
            end = start + payload.len() as u32;
            fin = false;
            self.ack_now = true;
        }
        if fin {
            self.fin_at.get_or_insert(end);
        }
        if let Some(fin_at) = self.fin_at
            && end.after(fin_at)
        {
            // Octets behind a FIN cannot be.
            payload.truncate(fin_at.since(start) as usize);
        }
        let length = payload.len();
        self.receive_mss = self.observe_segment(length);
        if start.after(self.receive_next) {
            self.keep_out_of_order(start, payload, env);
        } else {
            let mut arrived = payload;
            let next = start + length as u32;
            let filled = self.islands.take(next);
            if let Some(more) = filled {
                arrived.append(more);
                self.ack_now = true;
            }
            self.accept(arrived, env);
        }
        if self.fin_at == Some(self.receive_next) {
            self.on_fin(env);
        }
        self.schedule_ack(length, env);
    }

    /// The size of the peer's full segments, as far as segments tell.
    fn observe_segment(&self, length: usize) -> u16 {
        let limit = self.path_mss.clamp(88, 1460);
        match length {
            0 => self.receive_mss,
            length => (length.min(usize::from(limit)) as u16).max(self.receive_mss.min(limit)),
        }
    }

    fn keep_out_of_order(&mut self, start: Seq, payload: Chain, env: &mut Env<'_>) {
        self.ack_now = true;
        if payload.is_empty() {
            return;
        }
        let end = start + payload.len() as u32;
        if self.islands.covers(start, end) {
            env.counters.duplicates += 1;
            self.note_duplicate(start, end, payload.len());
            return;
        }
        let limit = 2 * self.config.receive_buffer as usize;
        let held = self.receive_queue.footprint() + self.islands.footprint();
        if held > limit || !self.islands.insert(start, payload, env.pool) {
            env.counters.receive_full += 1;
            return;
        }
        env.counters.out_of_order += 1;
    }

    /// Puts octets that are next in order into the queue.
    fn accept(&mut self, mut data: Chain, env: &mut Env<'_>) {
        let length = data.len();
        if length == 0 {
            return;
        }
        let start = self.receive_next;
        self.receive_next += length as u32;
        self.statistics.octets_received += length as u64;
        if let Some(at) = self.urgent_at
            && start.at_or_before(at)
            && at.before(self.receive_next)
            && !self.config.urgent_inline
        {
            let mut rest = data.split_to(at.since(start) as usize);
            let mut octet = [0];
            data.copy_to(0, &mut octet);
            data.advance(1);
            self.urgent_octet = Some(octet[0]);
            self.changes = self.changes.with(Ready::PRIORITY);
            rest.append(data);
            data = rest;
        }
        if !self.receive_shut {
            self.receive_queue.push(data, env.pool);
            if self.receive_queue.footprint() > 2 * self.config.receive_buffer as usize {
                self.receive_queue.compact(env.pool);
            }
        }
        self.changes = self.changes.with(Ready::READABLE);
    }

    fn on_fin(&mut self, env: &mut Env<'_>) {
        self.receive_next += 1;
        self.fin_at = None;
        self.islands.clear();
        self.ack_now = true;
        self.changes = self.changes.with(Ready::READABLE).with(Ready::READ_HANGUP);
        self.state = match self.state {
            State::Established => State::CloseWait,
            State::FinWait1 => State::Closing,
            State::FinWait2 => {
                self.enter_time_wait(env.now);
                State::TimeWait
            }
            state => state,
        };
    }

    /// Decides whether the acknowledgment of `length` new octets may wait (RFC 9293 §3.8.6.3).
    fn schedule_ack(&mut self, length: usize, env: &Env<'_>) {
        let unacknowledged = self.receive_next.since(self.acknowledged);
        let full = u32::from(self.receive_mss);
        if self.config.quick_ack || unacknowledged >= 2 * full {
            self.ack_now = true;
        }
        if !self.ack_now && length > 0 && !self.timers.delayed_ack.is_armed() {
            self.timers.delayed_ack = env.now + DELAYED_ACK;
        }
    }
}

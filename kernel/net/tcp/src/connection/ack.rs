use drupe_net_base::{Instant, MILLISECOND};

use super::{Connection, Env, Phase, State};
use crate::scoreboard::Delivery;
use crate::{Header, Ready, Seq};

impl Connection {
    /// Processes the acknowledgment field, the window and SACK. False: the segment is to be
    /// dropped.
    pub(super) fn on_ack(&mut self, header: &Header, payload: usize, env: &mut Env<'_>) -> bool {
        let ack = header.ack;
        if ack.after(self.nxt) {
            env.counters.bad_ack += 1;
            self.challenge(env);
            return false;
        }
        if ack.before(self.una - self.max_window.max(1)) {
            // RFC 5961 §5.2.
            env.counters.bad_ack += 1;
            self.challenge(env);
            return false;
        }
        let advanced = ack.since(self.una);
        let window_changed = self.update_window(header, ack, payload, advanced);
        let sack = header.options.sack;
        if advanced == 0 && self.nxt == self.una {
            // Nothing is out: at most the window is news, and a probe has its answer.
            if self.probes_out > 0 {
                self.probes_out = 0;
                self.arm_keepalive(env.now);
            }
            if window_changed {
                self.timers.persist = Instant::NEVER;
                self.silent_since = env.now;
            }
            return true;
        }
        if ack.before(self.una) && sack.as_slice().is_empty() {
            return true;
        }

        let flight = self.nxt.since(self.una);
        let mut delivery = Delivery::new(env.now, self.rtt.min(), self.highest_delivered);
        if advanced > 0 {
            self.advance(ack, &mut delivery, env);
        }
        let mut duplicate_report = false;
        if self.sack_ok {
            duplicate_report = self.is_duplicate_report(ack, sack.as_slice());
            let blocks = &sack.as_slice()[usize::from(duplicate_report)..];
            for &(start, end) in blocks {
                let inside =
                    start.before(end) && self.una.at_or_before(start) && end.at_or_before(self.nxt);
                if inside {
                    self.board.sack(start.max(ack), end.max(ack), &mut delivery);
                }
            }
        }
        self.highest_delivered = delivery.highest;
        self.measure_round_trip(header, &delivery, advanced, env);
        let is_duplicate_ack = advanced == 0
            && ack == self.una
            && payload == 0
            && !window_changed
            && flight > 0
            && !header.flags.has(crate::Flags::FIN);
        self.recover(&delivery, advanced, duplicate_report, is_duplicate_ack, header, env);
        if advanced > 0 || delivery.octets > 0 {
            self.restart_retransmit(env.now);
        }
        self.after_advance(env);
        true
    }

    /// Window update rules of RFC 9293 §3.10.7.4. Returns whether the window changed.
    fn update_window(&mut self, header: &Header, ack: Seq, payload: usize, advanced: u32) -> bool {
        if ack.before(self.una) {
            return false;
        }
        let newer = self.wl1.before(header.seq)
            || (self.wl1 == header.seq && self.wl2.at_or_before(ack))
            || advanced > 0;
        if !newer {
            return false;
        }
        let window = u32::from(header.window) << self.send_scale;
        let changed = window != self.send_window || payload > 0;
        self.wl1 = header.seq;
        self.wl2 = ack;
        self.send_window = window;
        self.max_window = self.max_window.max(window);
        changed
    }

    /// Whether the first block reports octets that arrived twice (RFC 2883): it lies below the
    /// acknowledgment or inside the second block.
    fn is_duplicate_report(&self, ack: Seq, blocks: &[(Seq, Seq)]) -> bool {
        let Some(&(start, end)) = blocks.first() else { return false };
        if start.before(ack) && end.at_or_before(ack) {
            return true;
        }
        blocks.get(1).is_some_and(|&(outer_start, outer_end)| {
            outer_start.at_or_before(start) && end.at_or_before(outer_end)
        })
    }

    /// The left edge moves to `ack`.
    fn advance(&mut self, ack: Seq, delivery: &mut Delivery, env: &Env<'_>) {
        self.board.acknowledge(ack, delivery);
        self.una = ack;
        let data = ack.min(self.data_end()).since(self.queue_base);
        self.send_queue.release(data as usize);
        self.queue_base += data;
        self.statistics.octets_acked += u64::from(data);
        self.retransmissions = 0;
        self.probes_out = 0;
        self.silent_since = env.now;
        self.rtt.reset_backoff();
        self.soft_failure = None;
        self.small_end = self.small_end.max(ack);
        if self.urgent_end.is_some_and(|end| end.at_or_before(ack)) {
            self.urgent_end = None;
        }
    }

    fn measure_round_trip(
        &mut self,
        header: &Header,
        delivery: &Delivery,
        advanced: u32,
        env: &Env<'_>,
    ) {
        if let Some((first, last)) = delivery.clean
            && !delivery.retransmitted
        {
            self.rtt.sample(env.now.since(first));
            self.rtt.note_min(env.now.since(last), env.now);
        } else if advanced > 0
            && self.timestamps_ok
            && let Some((_, echo)) = header.options.timestamps
        {
            let elapsed = self.timestamp(env.now).wrapping_sub(echo);
            if echo != 0 && elapsed < 60_000 {
                self.rtt.sample(u64::from(elapsed).max(1) * MILLISECOND);
            }
        }
    }

    /// The round trip of the handshake.
    pub(crate) fn sample_handshake(&mut self, rtt: u64, now: Instant) {
        self.sample_rtt(rtt, now);
    }

    pub(super) fn sample_rtt(&mut self, rtt: u64, now: Instant) {
        self.rtt.sample(rtt);
        self.rtt.note_min(rtt, now);
    }

    /// Room in the send buffer, and the acknowledgment of a FIN.
    fn after_advance(&mut self, env: &Env<'_>) {
        self.tune_send_buffer();
        if self.starved && self.is_writable() {
            self.starved = false;
            self.changes = self.changes.with(Ready::WRITABLE);
        }
        if !self.fin_sent || !self.una.after(self.data_end()) {
            return;
        }
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                if self.orphan {
                    self.timers.finish = env.now + self.config.fin_timeout;
                }
            }
            State::Closing => {
                self.state = State::TimeWait;
                self.enter_time_wait(env.now);
            }
            State::LastAck => self.enter_closed(),
            _ => {}
        }
    }

    /// The send buffer follows the congestion window, so that a fast path stays filled.
    fn tune_send_buffer(&mut self) {
        let wanted = self.congestion.window.saturating_mul(2);
        if wanted > self.config.send_buffer && self.phase == Phase::Open {
            self.config.send_buffer =
                wanted.min(self.config.send_buffer_max).max(self.config.send_buffer);
        }
    }
}

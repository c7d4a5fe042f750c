use drupe_net_base::{Instant, MILLISECOND};

use super::{Connection, Env, Failure, Phase, State};

/// Retransmissions of the same data that end a connection (Linux's tcp_retries2).
const MOST_RETRANSMISSIONS: u8 = 15;
/// The same for a connection that no application holds any more.
const MOST_ORPHAN_RETRANSMISSIONS: u8 = 8;
/// Time that a peer may hold back an acknowledgment of a single segment (RFC 8985 §7.2).
const WORST_DELAYED_ACK: u64 = 200 * MILLISECOND;

impl Connection {
    /// When [`Connection::on_timer`] is next due.
    pub fn deadline(&self) -> Instant {
        let t = &self.timers;
        t.retransmit
            .min(t.reorder)
            .min(t.probe)
            .min(t.persist)
            .min(t.delayed_ack)
            .min(t.keepalive)
            .min(t.finish)
    }

    /// Does what is due. Afterwards drain [`Connection::next_segment`].
    pub fn on_timer(&mut self, env: &mut Env<'_>) {
        let now = env.now;
        let due = |at: &mut Instant| {
            let fired = *at <= now;
            if fired {
                *at = Instant::NEVER;
            }
            fired
        };
        if due(&mut self.timers.delayed_ack) {
            self.ack_now = true;
        }
        if due(&mut self.timers.reorder) {
            let newly = self.detect_loss(env);
            if newly > 0 && self.phase == Phase::Open {
                self.enter_recovery(env);
            }
        }
        if due(&mut self.timers.probe) {
            self.on_probe_timeout(env);
        } else if due(&mut self.timers.retransmit) {
            self.on_retransmit_timeout(env);
        }
        if due(&mut self.timers.persist) {
            self.on_persist(env);
        }
        if due(&mut self.timers.keepalive) {
            self.on_keepalive(env);
        }
        if due(&mut self.timers.finish) {
            self.enter_closed();
        }
    }

    fn on_retransmit_timeout(&mut self, env: &mut Env<'_>) {
        env.counters.timeouts += 1;
        if self.retransmissions == 0 && self.phase == Phase::Open {
            self.silent_since = self.silent_since.max(self.last_sent_at);
        }
        self.retransmissions = self.retransmissions.saturating_add(1);
        if self.is_hopeless(env) {
            return self.give_up(env);
        }
        match self.state {
            State::SynSent | State::SynReceived => self.send_now.syn = true,
            _ => {
                self.enter_loss();
                self.rtt.back_off();
                self.timers.probe = Instant::NEVER;
                self.timers.reorder = Instant::NEVER;
                self.timers.retransmit = env.now + self.rtt.timeout();
            }
        }
    }

    fn is_hopeless(&self, env: &Env<'_>) -> bool {
        let limit = match self.state {
            State::SynSent | State::SynReceived => self.config.syn_retries,
            _ if self.orphan => MOST_ORPHAN_RETRANSMISSIONS,
            _ => MOST_RETRANSMISSIONS,
        };
        let patience = self.config.user_timeout;
        if patience > 0 && self.is_synchronized() {
            return env.now.since(self.silent_since) >= patience;
        }
        self.retransmissions > limit
    }

    /// Ends the connection for want of an answer.
    fn give_up(&mut self, env: &mut Env<'_>) {
        env.counters.given_up += 1;
        if matches!(self.state, State::SynSent | State::SynReceived) {
            env.counters.attempt_fails += 1;
        }
        let failure = self.soft_failure.unwrap_or(Failure::TimedOut);
        self.fail(failure);
    }

    /// Tail loss probe (RFC 8985 §7.3): provokes an acknowledgment that shows what is missing.
    fn on_probe_timeout(&mut self, env: &Env<'_>) {
        if self.nxt != self.una && self.phase == Phase::Open {
            self.send_now.tail = true;
            self.timers.retransmit = env.now + self.rtt.timeout();
        }
    }

    fn on_persist(&mut self, env: &mut Env<'_>) {
        if self.nxt != self.una || !self.nxt.before(self.data_end() + u32::from(self.send_shut)) {
            return;
        }
        let patience = self.config.user_timeout;
        let silent = patience > 0 && env.now.since(self.silent_since) >= patience;
        let orphaned = self.orphan && self.probes_out >= MOST_ORPHAN_RETRANSMISSIONS;
        if silent || orphaned {
            return self.give_up(env);
        }
        if self.send_window > 0 {
            self.send_now.partial = true;
        } else {
            self.send_now.probe = true;
            self.probes_out = self.probes_out.saturating_add(1);
        }
        self.rtt.back_off();
        self.timers.persist = env.now + self.rtt.timeout();
    }

    /// Something waits for the peer's window to open.
    pub(super) fn arm_persist(&mut self, now: Instant) {
        if self.nxt == self.una && !self.timers.persist.is_armed() {
            if self.probes_out == 0 {
                self.silent_since = now;
            }
            self.timers.persist = now + self.rtt.timeout();
        }
    }

    /// Data is out: arms the retransmission timer if it is not, and the tail loss probe.
    pub(super) fn arm_retransmit(&mut self, now: Instant) {
        if !self.timers.retransmit.is_armed() {
            self.timers.retransmit = now + self.rtt.timeout();
            if self.retransmissions == 0 {
                self.silent_since = now;
            }
        }
        self.arm_probe(now);
    }

    fn arm_probe(&mut self, now: Instant) {
        let usable = self.sack_ok
            && self.phase == Phase::Open
            && self.rack.probe.is_none()
            && self.board.sacked() == 0
            && self.rtt.smoothed() != 0;
        if !usable {
            self.timers.probe = Instant::NEVER;
            return;
        }
        let mut wait = 2 * self.rtt.smoothed() + 2 * MILLISECOND;
        if self.nxt.since(self.una) <= self.mss() {
            wait += WORST_DELAYED_ACK;
        }
        self.timers.probe = (now + wait).min(self.timers.retransmit);
    }

    /// An acknowledgment brought news: the timers start anew, or stop when nothing is out.
    pub(super) fn restart_retransmit(&mut self, now: Instant) {
        if self.nxt == self.una {
            self.timers.retransmit = Instant::NEVER;
            self.timers.probe = Instant::NEVER;
            self.timers.reorder = Instant::NEVER;
            return;
        }
        self.timers.retransmit = now + self.rtt.timeout();
        self.arm_probe(now);
    }

    /// Keepalive starts counting from the last sign of the peer.
    pub(super) fn arm_keepalive(&mut self, now: Instant) {
        self.timers.keepalive = if self.config.keepalive && self.is_synchronized() {
            let since = self.last_received_at;
            (since + self.config.keepalive_idle).max(now)
        } else {
            Instant::NEVER
        };
    }

    fn on_keepalive(&mut self, env: &mut Env<'_>) {
        if !self.config.keepalive || !self.is_synchronized() || self.state == State::TimeWait {
            return;
        }
        let idle_end = self.last_received_at + self.config.keepalive_idle;
        if idle_end > env.now {
            self.probes_out = 0;
            self.timers.keepalive = idle_end;
            return;
        }
        if self.nxt != self.una {
            // Data is out: its retransmission decides.
            self.timers.keepalive = env.now + self.config.keepalive_interval;
            return;
        }
        if self.probes_out >= self.config.keepalive_count {
            return self.give_up(env);
        }
        self.probes_out += 1;
        self.send_now.probe = true;
        self.timers.keepalive = env.now + self.config.keepalive_interval;
    }
}

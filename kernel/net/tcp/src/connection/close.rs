use drupe_net_base::Instant;

use super::{Connection, Env, Failure, State, Timers};
use crate::Ready;
use crate::time_wait::{TIME_WAIT, TimeWait};

impl Connection {
    /// No more data will be sent (`shutdown(SHUT_WR)`): a FIN follows what is queued.
    pub fn shut_send(&mut self) {
        if self.send_shut {
            return;
        }
        match self.state {
            State::SynSent => return self.enter_closed(),
            State::SynReceived | State::Established => self.state_after_shut(State::FinWait1),
            State::CloseWait => self.state_after_shut(State::LastAck),
            _ => return,
        }
        if self.receive_shut {
            self.changes = self.changes.with(Ready::HANGUP);
        }
    }

    fn state_after_shut(&mut self, state: State) {
        self.send_shut = true;
        if self.state == State::SynReceived {
            // The FIN waits for the handshake to end; a passive open gets here established.
            return;
        }
        self.state = state;
    }

    /// No more data will be read (`shutdown(SHUT_RD)`).
    pub fn shut_receive(&mut self) {
        self.receive_shut = true;
        self.receive_queue.clear();
        self.changes = self.changes.with(Ready::READABLE).with(Ready::READ_HANGUP);
    }

    /// The application lets go (`close(2)`). With data unread, or with `hard` (SO_LINGER of
    /// zero), the connection is reset; otherwise it ends in order. Keep feeding it until its
    /// state is closed or TIME-WAIT.
    pub fn close(&mut self, hard: bool, env: &mut Env<'_>) {
        self.orphan = true;
        let unread = self.receive_queue.len() > 0 && self.is_synchronized();
        if hard || unread {
            return self.abort(env);
        }
        self.receive_shut = true;
        self.shut_send();
        if self.state == State::FinWait2 {
            self.timers.finish = env.now + self.config.fin_timeout;
        }
    }

    /// Ends the connection with a reset to the peer.
    pub fn abort(&mut self, env: &mut Env<'_>) {
        let tell = self.is_synchronized() && self.state != State::TimeWait
            || self.state == State::SynReceived;
        env.counters.established_resets += u64::from(tell);
        self.fail(Failure::Aborted);
        self.send_now.reset = tell;
    }

    /// The connection failed.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.changes = self.changes.with(Ready::ERROR);
        self.enter_closed();
    }

    /// Nothing more will be sent or taken; what was received can still be read.
    pub(super) fn enter_closed(&mut self) {
        self.state = State::Closed;
        self.timers = Timers::OFF;
        self.send_queue.clear();
        self.board.clear();
        self.islands.clear();
        self.cancel_requests();
        self.changes = self
            .changes
            .with(Ready::HANGUP)
            .with(Ready::READ_HANGUP)
            .with(Ready::READABLE)
            .with(Ready::WRITABLE);
    }

    /// Both FINs are acknowledged and this side was first.
    pub(super) fn enter_time_wait(&mut self, now: Instant) {
        self.timers = Timers { finish: now + TIME_WAIT, ..Timers::OFF };
        self.send_queue.clear();
        self.board.clear();
        self.changes = self.changes.with(Ready::HANGUP).with(Ready::WRITABLE);
    }

    /// If the rest of this connection needs no more than [`TimeWait`] (its state is TIME-WAIT, or
    /// FIN-WAIT-2 without an application): that entry. The connection itself is then closed;
    /// send what it still wants to before.
    pub fn into_time_wait(&mut self, now: Instant) -> Option<TimeWait> {
        let half_closed = self.state == State::FinWait2 && self.orphan;
        if self.state != State::TimeWait && !half_closed {
            return None;
        }
        let window = (self.receive_edge.since(self.receive_next) >> self.receive_scale).min(0xffff);
        let entry = TimeWait {
            expires: if half_closed { now + self.config.fin_timeout } else { now + TIME_WAIT },
            half_closed,
            nxt: self.nxt,
            receive_next: self.receive_next,
            window: window as u16,
            recent: self.timestamps_ok.then_some(self.recent),
            recent_at: self.recent_at,
            timestamp_offset: self.timestamp_offset,
        };
        self.enter_closed();
        Some(entry)
    }

    /// The network reports a failure for this connection's packets (ICMP). It is final only
    /// while the connection is being opened (RFC 5461).
    pub fn on_unreachable(&mut self, failure: Failure) {
        if self.state == State::SynSent {
            self.fail(failure);
        } else {
            self.soft_failure = Some(failure);
        }
    }

    /// The path now carries segments of `path_mss` octets. Larger ones that are out went into
    /// the void: they are sent again at once.
    pub fn on_path_mss(&mut self, path_mss: u16) {
        let path_mss = path_mss.max(88);
        let shrinks = path_mss < self.path_mss;
        self.path_mss = path_mss;
        if shrinks && self.is_synchronized() && self.nxt != self.una {
            self.board.mark_all_lost();
        }
    }

    /// Whether `seq` is something this connection has out: the test that an ICMP message must
    /// pass (RFC 5927).
    pub fn has_in_flight(&self, seq: crate::Seq) -> bool {
        self.una.at_or_before(seq) && seq.before(self.nxt)
            || seq == self.una && self.state == State::SynSent
    }
}

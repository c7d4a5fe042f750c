use drupe_net_base::{Chain, Instant};

use super::{Connection, Env, Failure, State};
use crate::{Config, Ready};

/// Why a call of the application did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IoError {
    /// There is no data or no room now (EAGAIN).
    WouldBlock,
    /// The connection is not made yet or was never begun (ENOTCONN).
    NotConnected,
    /// This direction was shut (EPIPE when sending).
    Shut,
    /// The connection failed; reported once, then as if shut.
    Failed(Failure),
}

impl Connection {
    /// Whether data may be given now, and how many octets.
    pub fn send_room(&mut self) -> Result<usize, IoError> {
        if let Some(failure) = self.failure.take() {
            return Err(IoError::Failed(failure));
        }
        if self.send_shut {
            return Err(IoError::Shut);
        }
        match self.state {
            State::SynSent | State::SynReceived => Err(IoError::NotConnected),
            State::Established | State::CloseWait => {
                let room = self.room();
                if room == 0 {
                    self.starved = true;
                    return Err(IoError::WouldBlock);
                }
                Ok(room)
            }
            _ => Err(IoError::Shut),
        }
    }

    fn room(&self) -> usize {
        (self.config.send_buffer as usize).saturating_sub(self.send_queue.len())
    }

    /// Copies bytes into the send queue, as many as there is room for.
    pub fn send(&mut self, bytes: &[u8], env: &mut Env<'_>) -> Result<usize, IoError> {
        let room = self.send_room()?;
        let taken = self.send_queue.push_bytes(&bytes[..bytes.len().min(room)], env.pool);
        if taken < bytes.len() {
            self.starved = true;
        }
        if taken == 0 && !bytes.is_empty() { Err(IoError::WouldBlock) } else { Ok(taken) }
    }

    /// Takes data over without copying. What does not fit stays in `data`.
    pub fn send_chain(&mut self, data: &mut Chain) -> Result<usize, IoError> {
        let room = self.send_room()?;
        let part = data.split_to(room);
        let taken = part.len();
        self.send_queue.push_chain(part);
        if !data.is_empty() {
            self.starved = true;
        }
        Ok(taken)
    }

    /// Marks the end of what was given so far as urgent (`MSG_OOB`).
    pub fn mark_urgent(&mut self) {
        self.urgent_end = Some(self.data_end());
    }

    /// Whether received data, the end of the stream or a failure is there.
    fn check_receive(&mut self) -> Result<bool, IoError> {
        if self.receive_queue.len() > 0 {
            return Ok(true);
        }
        if let Some(failure) = self.failure.take() {
            return Err(IoError::Failed(failure));
        }
        match self.state {
            _ if self.receive_shut => Ok(false),
            State::SynSent | State::SynReceived => Err(IoError::NotConnected),
            State::Established | State::FinWait1 | State::FinWait2 => Err(IoError::WouldBlock),
            _ => Ok(false),
        }
    }

    /// Takes up to `limit` octets; an empty chain is the end of the stream.
    pub fn receive(&mut self, limit: usize, env: &mut Env<'_>) -> Result<Chain, IoError> {
        if !self.check_receive()? {
            return Ok(Chain::new());
        }
        let data = self.receive_queue.read(limit);
        self.after_read(data.len(), env);
        Ok(data)
    }

    /// Like [`Connection::receive`], leaving the data in place (`MSG_PEEK`).
    pub fn peek(&mut self, offset: usize, limit: usize) -> Result<Chain, IoError> {
        if !self.check_receive()? {
            return Ok(Chain::new());
        }
        Ok(self.receive_queue.peek(offset, limit))
    }

    /// Shows received data in place; `visit` says how much of a piece it consumed. Returns the
    /// octets consumed; 0 is the end of the stream.
    pub fn receive_with(
        &mut self,
        visit: &mut dyn FnMut(&[u8]) -> usize,
        env: &mut Env<'_>,
    ) -> Result<usize, IoError> {
        if !self.check_receive()? {
            return Ok(0);
        }
        let taken = self.receive_queue.visit(visit);
        self.after_read(taken, env);
        Ok(taken)
    }

    /// The urgent octet that was taken out of the stream, if one is there (`MSG_OOB`).
    pub fn receive_urgent(&mut self) -> Option<u8> {
        self.urgent_octet.take()
    }

    /// Octets that can be read at once (`FIONREAD`).
    pub fn readable_octets(&self) -> usize {
        self.receive_queue.len()
    }

    /// Octets given but not acknowledged (`SIOCOUTQ`), and those not even sent.
    pub fn unsent_octets(&self) -> (usize, usize) {
        (self.send_queue.len(), self.data_end().since(self.nxt) as usize)
    }

    /// The application made room: maybe tell the peer, maybe offer more.
    fn after_read(&mut self, octets: usize, env: &Env<'_>) {
        self.tune_receive_buffer(octets as u32, env.now);
        if !matches!(self.state, State::Established | State::FinWait1 | State::FinWait2) {
            return;
        }
        let known = self.receive_edge.since(self.receive_next);
        let room = self.receive_room();
        let step = (2 * u32::from(self.receive_mss)).min(self.config.receive_buffer / 2);
        // Tell when the window was nearly shut and has doubled; otherwise the next
        // acknowledgment tells.
        let shut = known <= (self.config.receive_buffer / 4).max(2 * u32::from(self.receive_mss));
        if shut && room >= known.saturating_add(step) && room >= known.saturating_mul(2) {
            self.ack_now = true;
        }
    }

    /// Dynamic right-sizing: a reader that takes more than half a buffer per round trip gets a
    /// larger buffer.
    fn tune_receive_buffer(&mut self, octets: u32, now: Instant) {
        self.tuning.copied = self.tuning.copied.saturating_add(octets);
        let round_trip = match self.tuning.round_trip {
            0 => self.rtt.smoothed(),
            measured => measured,
        };
        if now.since(self.tuning.since) < round_trip.max(1) {
            return;
        }
        let wanted =
            self.tuning.copied.saturating_mul(2).saturating_add(16 * u32::from(self.receive_mss));
        if wanted > self.config.receive_buffer {
            self.config.receive_buffer =
                wanted.min(self.config.receive_buffer_max).max(self.config.receive_buffer);
        }
        self.tuning.copied = 0;
        self.tuning.since = now;
    }

    /// What the application could do now.
    pub fn ready(&self) -> Ready {
        let ended = !matches!(
            self.state,
            State::SynSent
                | State::SynReceived
                | State::Established
                | State::FinWait1
                | State::FinWait2
        );
        let peer_done = ended || self.receive_shut;
        let low_water = self.config.receive_low_water.max(1) as usize;
        let readable = self.receive_queue.len() >= low_water || peer_done;
        let both = self.state == State::Closed
            || self.state == State::TimeWait
            || (self.send_shut && peer_done);
        Ready::NONE
            .with_if(Ready::READABLE, readable)
            .with_if(Ready::WRITABLE, self.is_writable())
            .with_if(Ready::PRIORITY, self.urgent_octet.is_some())
            .with_if(Ready::ERROR, self.failure.is_some())
            .with_if(Ready::READ_HANGUP, peer_done)
            .with_if(Ready::HANGUP, both)
    }

    /// As Linux: writable means that a third of the buffer is free, or that writing would fail
    /// at once.
    pub(super) fn is_writable(&self) -> bool {
        match self.state {
            State::SynSent | State::SynReceived => false,
            State::Established | State::CloseWait if !self.send_shut => {
                let unsent = self.data_end().since(self.nxt);
                self.room() >= self.send_queue.len() / 2
                    && self.room() > 0
                    && unsent < self.config.unsent_low_water
            }
            _ => true,
        }
    }

    /// What became ready since the last call: edges, also where the level did not change.
    pub fn take_changes(&mut self) -> Ready {
        core::mem::take(&mut self.changes)
    }

    /// The failure that ended the connection, once (`SO_ERROR`).
    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take().or_else(|| self.soft_failure.take())
    }

    /// Changes options.
    pub fn set_config(&mut self, config: Config, env: &mut Env<'_>) {
        let old = core::mem::replace(&mut self.config, config);
        if old.algorithm != config.algorithm {
            self.congestion.set_algorithm(config.algorithm);
        }
        if (old.cork && !config.cork) || (!old.no_delay && config.no_delay) {
            self.send_now.partial = self.nxt.before(self.data_end());
        }
        if config.quick_ack && self.receive_next.after(self.acknowledged) {
            self.ack_now = true;
        }
        let keepalive = old.keepalive != config.keepalive
            || old.keepalive_idle != config.keepalive_idle
            || old.keepalive_interval != config.keepalive_interval;
        if keepalive {
            self.arm_keepalive(env.now);
        }
    }

    /// Whether both directions of the application are gone.
    pub const fn is_orphan(&self) -> bool {
        self.orphan
    }
}

use drupe_net_base::{Chain, Instant, SECOND};

use super::{Connection, Env, Phase, SendNow, State};
use crate::options::{Options, SackBlocks};
use crate::{Flags, OptionBytes, Segment, Seq};

/// Pieces of memory in one segment; more are copied together, because device rings take only so
/// many.
const MOST_PIECES: usize = 16;
/// Spacing of SYNs is the initial timeout; `silent_since` then measures the attempt.
const FIRST_TIMEOUT: u64 = SECOND;

impl Connection {
    /// The next segment to send, if any. `largest` is how many octets of data a device that
    /// segments takes at once; 0 for one that does not: then a segment holds no more than its
    /// size.
    pub fn next_segment(&mut self, largest: usize, env: &mut Env<'_>) -> Option<Segment> {
        if let Some(seq) = self.stray_reset.take() {
            env.counters.resets_out += 1;
            return Some(Segment { seq, flags: Flags::RST, ..Segment::default() });
        }
        if core::mem::take(&mut self.send_now.reset) {
            env.counters.resets_out += 1;
            return Some(self.finished(self.nxt, Flags::RST.with(Flags::ACK), Chain::new(), env));
        }
        match self.state {
            State::Closed => return None,
            State::SynSent | State::SynReceived => return self.syn(env),
            State::TimeWait => {}
            _ => {
                if let Some(segment) = self.repetition(largest, env) {
                    return Some(segment);
                }
                if let Some(segment) = self.fresh(largest, env) {
                    return Some(segment);
                }
            }
        }
        if core::mem::take(&mut self.send_now.probe) {
            env.counters.probes += 1;
            return Some(self.finished(self.una - 1, Flags::ACK, Chain::new(), env));
        }
        self.ack_now.then(|| self.finished(self.nxt, Flags::ACK, Chain::new(), env))
    }

    /// Whether [`Connection::next_segment`] may have something: a cheap test.
    pub fn wants_output(&self) -> bool {
        self.ack_now
            || self.send_now.syn
            || self.send_now.reset
            || self.send_now.probe
            || self.send_now.tail
            || self.stray_reset.is_some()
            || self.board.lost() > 0
            || self.nxt.before(self.send_limit())
    }

    /// First number behind everything to send, a FIN included.
    fn send_limit(&self) -> Seq {
        self.data_end() + u32::from(self.send_shut && self.is_synchronized())
    }

    fn syn(&mut self, env: &mut Env<'_>) -> Option<Segment> {
        if !core::mem::take(&mut self.send_now.syn) {
            return None;
        }
        let answering = self.state == State::SynReceived;
        let timestamps = match answering {
            true => self.timestamps_ok.then_some((self.timestamp(env.now), self.recent)),
            false => self.config.timestamps.then_some((self.timestamp(env.now), 0)),
        };
        let sack_permitted = if answering { self.sack_ok } else { self.config.sack };
        let scaling = if answering { self.receive_scale > 0 } else { self.config.window_scaling };
        let mut mss = self.path_mss;
        if self.config.max_segment != 0 {
            mss = mss.min(self.config.max_segment);
        }
        let options = Options {
            mss: Some(mss),
            window_scale: scaling.then_some(self.receive_scale),
            sack_permitted,
            timestamps,
            ..Options::default()
        };
        self.nxt = self.una + 1;
        self.last_sent_at = env.now;
        self.timers.retransmit = env.now + (FIRST_TIMEOUT << self.retransmissions.min(6));
        if self.retransmissions > 0 {
            env.counters.retransmitted += 1;
        }
        env.counters.segments_out += 1;
        self.ack_now = false;
        Some(Segment {
            seq: self.una,
            ack: if answering { self.receive_next } else { Seq(0) },
            flags: if answering { Flags::SYN.with(Flags::ACK) } else { Flags::SYN },
            window: self.config.receive_buffer.min(0xffff) as u16,
            options: options.encode(),
            ..Segment::default()
        })
    }

    /// The options of the next segment, and how much data fits beside them.
    fn options(&self, env: &Env<'_>) -> (OptionBytes, u32) {
        let timestamps = self.timestamps_ok.then(|| (self.timestamp(env.now), self.recent));
        let mut sack = SackBlocks::default();
        if self.sack_ok {
            if let Some((start, end)) = self.duplicate {
                sack.push(start, end);
            }
            if !self.islands.is_empty() {
                self.islands.report(&mut sack);
            }
        }
        let options = Options { timestamps, sack, ..Options::default() }.encode();
        let fixed = if self.timestamps_ok { 12 } else { 0 };
        let room = self.mss() + fixed - options.as_slice().len() as u32;
        (options, room)
    }

    /// Something that was lost, or the last segment as a probe, again.
    fn repetition(&mut self, largest: usize, env: &mut Env<'_>) -> Option<Segment> {
        let tail = self.send_now.tail;
        if self.board.lost() == 0 && !tail {
            return None;
        }
        let (options, mss) = self.options(env);
        let (start, end) = match self.board.next_lost() {
            Some(range) => range,
            None if tail && !self.board.is_empty() && !self.can_send_fresh() => {
                let end = self.nxt;
                ((end - mss.min(end.since(self.una))), end)
            }
            None => return None,
        };
        let first = start == self.una && self.phase != Phase::Open;
        let room = self.congestion.window.saturating_sub(self.in_flight());
        // The head goes out even when the window is overdrawn: it is what everything waits for.
        if room < mss && !tail && !(first && self.in_flight() == 0) {
            self.window_limited = true;
            return None;
        }
        let largest = (largest as u32 / mss).max(1) * mss;
        let limit = room.max(mss).min(largest);
        let limit = if limit > mss { limit - limit % mss } else { limit.min(mss) };
        let mut stop = end.min(start + limit);
        if self.send_window > 0 {
            let edge = self.una + self.send_window.max(mss);
            if edge.at_or_before(start) {
                return None;
            }
            stop = stop.min(edge);
        }
        let data_stop = stop.min(self.data_end());
        let length = data_stop.since(start);
        let payload = self.payload(start, length, env)?;
        let stop = start + length;
        let fin = self.fin_sent && stop == self.data_end() && end.after(stop);
        let stop = stop + u32::from(fin);
        if stop == start {
            return None;
        }
        self.send_now.tail = false;
        if tail {
            self.rack.probe = Some((self.nxt, true));
            env.counters.loss_probes += 1;
        }
        self.board.retransmitted(start, stop, env.now);
        self.note_retransmission(stop.since(start), env);
        if self.phase == Phase::Recovery {
            self.reduction.sent = self.reduction.sent.saturating_add(stop.since(start));
        }
        self.arm_retransmit(env.now);
        let mut flags = Flags::ACK;
        if fin {
            flags = flags.with(Flags::FIN);
        }
        if data_stop == self.data_end() && length > 0 {
            flags = flags.with(Flags::PSH);
        }
        Some(self.with_options(start, flags, payload, options, mss, env))
    }

    /// Whether a probe may carry new data.
    fn can_send_fresh(&self) -> bool {
        let unsent = self.data_end().since(self.nxt);
        unsent > 0 && (self.una + self.send_window).since(self.nxt) > 0
    }

    /// New data, or the FIN.
    fn fresh(&mut self, largest: usize, env: &mut Env<'_>) -> Option<Segment> {
        if self.fin_sent || !self.nxt.before(self.send_limit()) {
            self.window_limited = self.window_limited && self.board.lost() > 0;
            return None;
        }
        let (options, mss) = self.options(env);
        let (tail, partial) = (self.send_now.tail, self.send_now.partial);
        let unsent = self.data_end().since(self.nxt);
        let receiver_room = (self.una + self.send_window).since(self.nxt);
        let in_flight = self.in_flight();
        if in_flight == 0 && unsent > 0 {
            self.restart_after_idle(env.now);
        }
        let mut sender_room = self.congestion.window.saturating_sub(in_flight);
        if tail {
            sender_room = sender_room.max(mss);
        }
        if sender_room < mss.min(unsent) {
            self.window_limited = true;
            return None;
        }
        let burst = (self.congestion.window / 2).max(2 * mss);
        // Whole segments, also when options leave less room than usual.
        let largest = (largest as u32 / mss).max(1) * mss;
        let mut length = unsent.min(receiver_room).min(sender_room).min(largest).min(burst);
        if length < unsent {
            if length >= mss {
                length -= length % mss;
            } else if receiver_room < mss.min(unsent) && !partial {
                // Silly window: wait for more room unless it is half of the largest seen
                // (RFC 9293 §3.8.6.2.1); the persist timer bounds the wait.
                if receiver_room < self.max_window / 2 || receiver_room == 0 {
                    self.arm_persist(env.now);
                    return None;
                }
            }
        }
        let last = length == unsent;
        let fin = self.send_shut && last && length < receiver_room;
        if length == 0 && !fin {
            self.arm_persist(env.now);
            return None;
        }
        if last && !length.is_multiple_of(mss) && !fin && !self.may_send_small(partial || tail) {
            // Whole segments go, the remainder waits.
            length -= length % mss;
            if length == 0 {
                return None;
            }
        }
        let last = length == unsent;
        let payload = self.payload(self.nxt, length, env)?;
        let start = self.nxt;
        let end = start + length + u32::from(fin);
        if !length.is_multiple_of(mss) {
            self.small_end = end;
        }
        self.send_now.partial = false;
        if core::mem::take(&mut self.send_now.tail) {
            self.rack.probe = Some((end, false));
            env.counters.loss_probes += 1;
        }
        self.board.push(start, end, env.now);
        self.nxt = end;
        if self.phase == Phase::Recovery {
            self.reduction.sent = self.reduction.sent.saturating_add(length);
        }
        self.window_limited =
            self.window_limited || in_flight + length + mss > self.congestion.window;
        self.fin_sent = fin;
        self.last_sent_at = env.now;
        self.timers.persist = Instant::NEVER;
        self.arm_retransmit(env.now);
        let mut flags = Flags::ACK;
        if last && length > 0 {
            flags = flags.with(Flags::PSH);
        }
        if fin {
            flags = flags.with(Flags::FIN);
        }
        Some(self.with_options(start, flags, payload, options, mss, env))
    }

    /// Nagle's algorithm in Minshall's form, and corking.
    fn may_send_small(&self, forced: bool) -> bool {
        if forced || (self.send_shut && !self.fin_sent) {
            return true;
        }
        if self.config.cork {
            return false;
        }
        self.config.no_delay || self.urgent_end.is_some() || !self.small_end.after(self.una)
    }

    fn payload(&self, start: Seq, length: u32, env: &Env<'_>) -> Option<Chain> {
        if length == 0 {
            return Some(Chain::new());
        }
        let offset = start.since(self.queue_base) as usize;
        let chain = self.send_queue.slice(offset, length as usize);
        if chain.chunk_count() <= MOST_PIECES {
            return Some(chain);
        }
        // Without memory for the copy the pieces go as they are: the device may refuse them, but
        // a stalled connection would be worse.
        Some(chain.copied(env.pool).unwrap_or(chain))
    }

    fn finished(&mut self, seq: Seq, flags: Flags, payload: Chain, env: &mut Env<'_>) -> Segment {
        let (options, mss) = self.options(env);
        self.with_options(seq, flags, payload, options, mss, env)
    }

    /// Fills in acknowledgment and window; whatever waited to be acknowledged now is.
    fn with_options(
        &mut self,
        seq: Seq,
        flags: Flags,
        payload: Chain,
        options: OptionBytes,
        mss: u32,
        env: &mut Env<'_>,
    ) -> Segment {
        env.counters.segments_out += 1;
        self.statistics.segments_out = self.statistics.segments_out.wrapping_add(1);
        let window = self.offer_window();
        self.acknowledged = self.receive_next;
        self.ack_now = false;
        self.duplicate = None;
        self.timers.delayed_ack = Instant::NEVER;
        let (mut flags, mut urgent) = (flags, 0);
        if let Some(end) = self.urgent_end
            && end.after(seq)
        {
            flags = flags.with(Flags::URG);
            urgent = end.since(seq).min(0xffff) as u16;
        }
        Segment {
            seq,
            ack: self.receive_next,
            flags,
            window,
            urgent,
            options,
            payload,
            segment_size: mss as u16,
        }
    }

    /// The window to advertise: it never shrinks (RFC 9293 §3.8.6.2.2) and grows in useful steps.
    fn offer_window(&mut self) -> u16 {
        let scale = self.receive_scale;
        let known = self.receive_edge.since(self.receive_next);
        let free = self.receive_room();
        let step = u32::from(self.receive_mss).min(self.config.receive_buffer / 2);
        let window =
            if free >= known.saturating_add(step) || free >= known && known == 0 && free >= step {
                free
            } else {
                known
            };
        // Rounding down may not take back what was promised.
        let mut units = window >> scale;
        if units << scale < known {
            units += 1;
        }
        let units = units.min(0xffff);
        self.receive_edge = self.receive_edge.max(self.receive_next + (units << scale));
        units as u16
    }

    /// Octets that the receive buffer still takes.
    pub(super) fn receive_room(&self) -> u32 {
        let held = self.receive_queue.footprint() + self.islands.footprint();
        if held > 2 * self.config.receive_buffer as usize {
            return 0;
        }
        self.config.receive_buffer.saturating_sub(self.receive_queue.len() as u32)
    }

    /// A congestion window that was not used lately says nothing about the path.
    fn restart_after_idle(&mut self, now: Instant) {
        let timeout = self.rtt.timeout();
        let idle = now.since(self.last_sent_at);
        if idle > timeout && self.nxt.after(self.queue_base) {
            let mss = self.mss();
            self.congestion.on_idle(idle / timeout, mss);
        }
    }

    /// Resets requests that the end of the connection made void.
    pub(super) fn cancel_requests(&mut self) {
        let reset = self.send_now.reset;
        self.send_now = SendNow { reset, ..SendNow::default() };
        self.ack_now = false;
    }
}

use drupe_net_base::{Instant, SECOND};

use crate::connection::Env;
use crate::options::Options;
use crate::secrets::{COOKIE_TIMESTAMP_BITS, FlowWords, Secrets};
use crate::{Config, Connection, Flags, Header, Peer, Segment, Seq};

/// SYN-ACKs sent before the attempt is forgotten, as in Linux.
const MOST_RETRIES: u8 = 5;

/// A passive open between the SYN and the acknowledgment of our SYN: all that is kept until the
/// peer has shown that its address is its own.
#[derive(Debug, Clone, Copy)]
pub struct Embryo {
    iss: Seq,
    irs: Seq,
    peer: Peer,
    window: u16,
    scale: u8,
    path_mss: u16,
    timestamp_offset: u32,
    retries: u8,
    sent_at: Instant,
    deadline: Instant,
}

/// What to do with a segment for an [`Embryo`].
#[derive(Debug)]
pub enum EmbryoAnswer {
    /// Nothing.
    Drop,
    /// Send this.
    Reply(Segment),
    /// The handshake is complete: make the connection with [`Embryo::complete`] and hand it the
    /// segment.
    Complete,
    /// The peer gave up.
    Remove,
}

impl Embryo {
    /// Takes a SYN. `path_mss` as for [`Connection::connect`]; `beyond` is a number that the
    /// initial sequence number must exceed when a TIME-WAIT entry is replaced.
    pub fn new(
        header: &Header,
        config: &Config,
        secrets: &Secrets,
        flow: &FlowWords,
        path_mss: u16,
        beyond: Option<Seq>,
        now: Instant,
    ) -> Self {
        Embryo {
            iss: beyond.unwrap_or_else(|| secrets.initial_sequence(flow, now)),
            irs: header.seq,
            peer: Peer::from_options(&header.options, config),
            window: config.receive_buffer.min(0xffff) as u16,
            scale: config.window_scale(),
            path_mss,
            timestamp_offset: secrets.timestamp_offset(flow),
            retries: 0,
            sent_at: now,
            deadline: now + SECOND,
        }
    }

    /// The SYN-ACK.
    pub fn syn_ack(&self, now: Instant) -> Segment {
        let value = (now.millis() as u32).wrapping_add(self.timestamp_offset);
        self.syn_ack_with(value)
    }

    fn syn_ack_with(&self, timestamp: u32) -> Segment {
        let options = Options {
            mss: Some(self.path_mss),
            window_scale: self.peer.window_scale.map(|_| self.scale),
            sack_permitted: self.peer.sack,
            timestamps: self.peer.timestamp.map(|recent| (timestamp, recent)),
            ..Options::default()
        };
        Segment {
            seq: self.iss,
            ack: self.irs + 1,
            flags: Flags::SYN.with(Flags::ACK),
            window: self.window,
            options: options.encode(),
            ..Segment::default()
        }
    }

    /// When [`Embryo::on_timer`] is due.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The SYN-ACK again, or `None` when it is time to forget the attempt.
    pub fn on_timer(&mut self, now: Instant) -> Option<Segment> {
        self.retries += 1;
        if self.retries > MOST_RETRIES {
            return None;
        }
        self.deadline = now + (SECOND << self.retries);
        Some(self.syn_ack(now))
    }

    /// The accept queue had no room for the completed handshake: wait for a repetition.
    pub fn postpone(&mut self, now: Instant) {
        self.deadline = self.deadline.max(now + SECOND);
    }

    /// Takes a segment of the same flow.
    pub fn on_segment(
        &mut self,
        header: &Header,
        payload: usize,
        env: &mut Env<'_>,
    ) -> EmbryoAnswer {
        let flags = header.flags;
        let acceptable = {
            let end = header.seq + header.span(payload);
            !end.before(self.irs + 1) && !header.seq.after(self.irs + 1 + u32::from(self.window))
        };
        if flags.has(Flags::RST) {
            if header.seq == self.irs + 1 {
                return EmbryoAnswer::Remove;
            }
            env.counters.inexact_reset += 1;
            return EmbryoAnswer::Drop;
        }
        if flags.has(Flags::SYN) {
            if header.seq == self.irs && !flags.has(Flags::ACK) {
                // The SYN again: our answer was lost.
                return EmbryoAnswer::Reply(self.syn_ack(env.now));
            }
            env.counters.unexpected_syn += 1;
            return EmbryoAnswer::Drop;
        }
        if !flags.has(Flags::ACK) {
            env.counters.no_ack += 1;
            return EmbryoAnswer::Drop;
        }
        if header.ack != self.iss + 1 {
            env.counters.bad_ack += 1;
            return Segment::reset_for(header, payload)
                .map_or(EmbryoAnswer::Drop, EmbryoAnswer::Reply);
        }
        let old = match (self.peer.timestamp, header.options.timestamps) {
            (Some(recent), Some((value, _))) => (value.wrapping_sub(recent) as i32) < 0,
            _ => false,
        };
        if old || !acceptable {
            env.counters.out_of_window += 1;
            return EmbryoAnswer::Drop;
        }
        EmbryoAnswer::Complete
    }

    /// The connection; the acknowledgment that completed it goes through
    /// [`Connection::on_segment`] next.
    pub fn complete(&self, config: Config, env: &mut Env<'_>) -> Connection {
        env.counters.passive_opens += 1;
        let mut connection = Connection::accepted(
            config,
            self.iss,
            self.irs,
            &self.peer,
            u32::from(self.window),
            self.timestamp_offset,
            self.path_mss,
            env.now,
        );
        if self.retries == 0 {
            connection.sample_handshake(env.now.since(self.sent_at), env.now);
        }
        connection
    }

    /// Turns the embryo into a SYN-ACK that needs no memory: the sequence number is a cookie, and
    /// the options ride in the low bits of the timestamp.
    pub fn into_cookie(
        mut self,
        secrets: &Secrets,
        flow: &FlowWords,
        env: &mut Env<'_>,
    ) -> Segment {
        env.counters.cookies_sent += 1;
        self.iss = secrets.cookie(flow, self.irs, self.peer.mss, env.now);
        let mask = (1 << COOKIE_TIMESTAMP_BITS) - 1;
        let scale = self.peer.window_scale.map_or(15, u32::from);
        let bits = scale | u32::from(self.peer.sack) << 4;
        let now = (env.now.millis() as u32).wrapping_add(self.timestamp_offset);
        // Never ahead of the clock, or later timestamps would seem old to the peer.
        let mut value = (now & !mask) | bits;
        if (value.wrapping_sub(now) as i32) > 0 {
            value = value.wrapping_sub(1 << COOKIE_TIMESTAMP_BITS);
        }
        if self.peer.timestamp.is_none() {
            // Nowhere to keep them.
            self.peer.window_scale = None;
            self.peer.sack = false;
        }
        self.syn_ack_with(value)
    }

    /// The embryo behind an acknowledgment that returns a valid cookie.
    pub fn from_cookie(
        header: &Header,
        config: &Config,
        secrets: &Secrets,
        flow: &FlowWords,
        path_mss: u16,
        env: &mut Env<'_>,
    ) -> Option<Self> {
        let (iss, irs) = (header.ack - 1, header.seq - 1);
        let Some(mss) = secrets.check_cookie(flow, irs, iss, env.now) else {
            env.counters.cookies_failed += 1;
            return None;
        };
        env.counters.cookies_received += 1;
        let timestamps = header.options.timestamps.filter(|_| config.timestamps);
        let bits = timestamps.map_or(15, |(_, echo)| echo & ((1 << COOKIE_TIMESTAMP_BITS) - 1));
        let scale = (bits & 15) as u8;
        let peer = Peer {
            mss,
            window_scale: (scale < 15 && config.window_scaling).then_some(scale.min(14)),
            sack: bits & 16 != 0 && config.sack,
            timestamp: timestamps.map(|(value, _)| value),
        };
        Some(Embryo {
            iss,
            irs,
            peer,
            window: config.receive_buffer.min(0xffff) as u16,
            scale: config.window_scale(),
            path_mss,
            timestamp_offset: secrets.timestamp_offset(flow),
            retries: 1,
            sent_at: env.now,
            deadline: env.now + SECOND,
        })
    }
}

mod ack;
mod close;
mod info;
mod input;
mod output;
mod recovery;
#[cfg(test)]
mod tests;
mod timers;
mod user;

use drupe_net_base::{BufferPool, Instant};

use crate::congestion::Congestion;
use crate::rack::Rack;
use crate::receive_queue::{OutOfOrder, ReceiveQueue};
use crate::rtt::RttEstimator;
use crate::scoreboard::Scoreboard;
use crate::send_queue::SendQueue;
use crate::{ChallengeLimit, Config, Counters, Options, Ready, Seq};

pub use info::Info;
pub use user::IoError;

/// What the state machine borrows from its surroundings for one call.
pub struct Env<'a> {
    /// The current time.
    pub now: Instant,
    /// Memory for copies.
    pub pool: &'a dyn BufferPool,
    /// Where events are counted.
    pub counters: &'a mut Counters,
    /// The limit on challenge acknowledgments.
    pub challenges: &'a mut ChallengeLimit,
}

/// Connection states (RFC 9293 §3.3.2). LISTEN is not one of a connection's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum State {
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
    Closed,
}

/// Why a connection ended or could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The peer refused the connection (ECONNREFUSED).
    Refused,
    /// The peer reset the connection (ECONNRESET).
    Reset,
    /// The peer reset it while data was on its way (EPIPE).
    BrokenPipe,
    /// No answer (ETIMEDOUT).
    TimedOut,
    /// The network told that the host cannot be reached (EHOSTUNREACH).
    HostUnreachable,
    /// The network told that the network cannot be reached (ENETUNREACH).
    NetworkUnreachable,
    /// Ended by this side (ECONNABORTED).
    Aborted,
}

/// What the peer offered in its SYN, and what both therefore use.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Largest segment that the peer takes, without options.
    pub mss: u16,
    /// Shift of the peer's windows; `None` without window scaling.
    pub window_scale: Option<u8>,
    /// Selective acknowledgments may be used.
    pub sack: bool,
    /// The timestamp of the SYN, if timestamps are used.
    pub timestamp: Option<u32>,
}

impl Peer {
    /// What remains of the peer's offer under our own options.
    pub fn from_options(options: &Options, config: &Config) -> Self {
        Peer {
            // RFC 9293 §3.7.1: 536 without the option. Less than 88 would leave no room for data
            // beside options and serves only attacks.
            mss: options.mss.unwrap_or(536).max(88),
            window_scale: options.window_scale.filter(|_| config.window_scaling),
            sack: options.sack_permitted && config.sack,
            timestamp: options.timestamps.map(|(value, _)| value).filter(|_| config.timestamps),
        }
    }
}

/// How far loss recovery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing is known to be lost.
    Open,
    /// Fast recovery until the recovery point is acknowledged.
    Recovery,
    /// After a retransmission timeout, likewise.
    Loss,
}

/// What a reduction of the window changed, to take it back if it was needless.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Undo {
    window: u32,
    threshold: u32,
    /// Left edge at the reduction.
    marker: Seq,
    /// Retransmissions since that were not reported as duplicates.
    outstanding: u32,
    /// Timestamp of the first retransmission.
    stamp: Option<u32>,
}

/// Proportional rate reduction (RFC 9937), in octets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reduction {
    delivered: u32,
    sent: u32,
    flight: u32,
}

/// Deadlines; [`Instant::NEVER`] when off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timers {
    retransmit: Instant,
    reorder: Instant,
    probe: Instant,
    persist: Instant,
    delayed_ack: Instant,
    keepalive: Instant,
    finish: Instant,
}

impl Timers {
    const OFF: Timers = Timers {
        retransmit: Instant::NEVER,
        reorder: Instant::NEVER,
        probe: Instant::NEVER,
        persist: Instant::NEVER,
        delayed_ack: Instant::NEVER,
        keepalive: Instant::NEVER,
        finish: Instant::NEVER,
    };
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    state: State,
    config: Config,
    failure: Option<Failure>,
    /// What the network reported that need not be final.
    soft_failure: Option<Failure>,
    /// Edges since the last [`Connection::take_changes`].
    changes: Ready,
    /// The application let go of the connection.
    orphan: bool,
    /// The application will send no more.
    send_shut: bool,
    /// The application will read no more.
    receive_shut: bool,
    /// A send was cut short: tell when there is room.
    starved: bool,

    // Sending.
    una: Seq,
    nxt: Seq,
    send_window: u32,
    max_window: u32,
    wl1: Seq,
    wl2: Seq,
    send_scale: u8,
    fin_sent: bool,
    /// First octet in the send queue.
    queue_base: Seq,
    /// End of the last segment that was not full (Minshall).
    small_end: Seq,
    /// Octet after the last urgent one to send.
    urgent_end: Option<Seq>,
    send_queue: SendQueue,
    last_sent_at: Instant,

    // Segment sizes: what the peer takes and what the path carries, without options.
    peer_mss: u16,
    path_mss: u16,
    sack_ok: bool,
    timestamps_ok: bool,
    timestamp_offset: u32,

    // Loss recovery and congestion.
    board: Scoreboard,
    rack: Rack,
    rtt: RttEstimator,
    congestion: Congestion,
    phase: Phase,
    recovery_point: Seq,
    highest_delivered: Seq,
    reduction: Reduction,
    undo: Option<Undo>,
    duplicate_acks: u16,
    /// Timeouts in a row without an advance.
    retransmissions: u8,
    /// When the oldest unanswered octet or probe was first sent.
    silent_since: Instant,
    probes_out: u8,
    window_limited: bool,
    send_now: SendNow,
    /// Answer a segment of some other connection with a reset of this number.
    stray_reset: Option<Seq>,

    // Receiving.
    receive_next: Seq,
    /// Right edge of the window as the peer knows it.
    receive_edge: Seq,
    receive_scale: u8,
    /// Next octet at the time of the last acknowledgment.
    acknowledged: Seq,
    /// The peer's timestamp to echo.
    recent: u32,
    recent_at: Instant,
    fin_at: Option<Seq>,
    urgent_at: Option<Seq>,
    urgent_octet: Option<u8>,
    receive_queue: ReceiveQueue,
    islands: OutOfOrder,
    duplicate: Option<(Seq, Seq)>,
    /// Largest segment seen lately: the peer's effective segment size.
    receive_mss: u16,
    ack_now: bool,
    last_received_at: Instant,
    tuning: Tuning,

    timers: Timers,
    statistics: Statistics,
}

/// Requests to [`Connection::next_segment`] that timers make.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SendNow {
    syn: bool,
    reset: bool,
    /// An empty segment that the peer must answer.
    probe: bool,
    /// One segment beyond the congestion window, new or the last one again.
    tail: bool,
    /// A segment that is not full.
    partial: bool,
}

/// Dynamic right-sizing of the receive buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tuning {
    /// Octets the application took in the current round trip.
    copied: u32,
    since: Instant,
    /// Round trip as the receiver sees it.
    round_trip: u64,
}

/// What [`Info`] reports besides state.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Statistics {
    octets_acked: u64,
    octets_received: u64,
    segments_in: u32,
    segments_out: u32,
    retransmitted: u32,
}

impl Connection {
    /// Begins an active open: the first [`Connection::next_segment`] is the SYN. `path_mss` is
    /// what fits into a packet behind an IP header and 20 octets of TCP header.
    pub fn connect(
        config: Config,
        iss: Seq,
        timestamp_offset: u32,
        path_mss: u16,
        env: &mut Env<'_>,
    ) -> Self {
        env.counters.active_opens += 1;
        let mut connection = Connection::blank(config, iss, timestamp_offset, path_mss, env.now);
        connection.send_now.syn = true;
        connection.silent_since = env.now;
        connection
    }

    /// The connection that a completed handshake made; the acknowledgment that completed it, or
    /// the data with it, still goes through [`Connection::on_segment`].
    #[expect(clippy::too_many_arguments, reason = "all of the state that two SYNs agreed on")]
    pub(crate) fn accepted(
        config: Config,
        iss: Seq,
        irs: Seq,
        peer: &Peer,
        receive_window: u32,
        timestamp_offset: u32,
        path_mss: u16,
        now: Instant,
    ) -> Self {
        let mut connection = Connection::blank(config, iss, timestamp_offset, path_mss, now);
        connection.nxt = iss + 1;
        connection.state = State::SynReceived;
        connection.adopt_peer(irs, peer, now);
        connection.receive_edge = connection.receive_next + receive_window;
        connection
    }

    fn blank(config: Config, iss: Seq, timestamp_offset: u32, path_mss: u16, now: Instant) -> Self {
        let path_mss = path_mss.max(88);
        Connection {
            state: State::SynSent,
            failure: None,
            soft_failure: None,
            changes: Ready::NONE,
            orphan: false,
            send_shut: false,
            receive_shut: false,
            starved: true,
            una: iss,
            nxt: iss,
            send_window: 0,
            max_window: 0,
            wl1: Seq(0),
            wl2: Seq(0),
            send_scale: 0,
            fin_sent: false,
            queue_base: iss + 1,
            small_end: iss,
            urgent_end: None,
            send_queue: SendQueue::default(),
            last_sent_at: now,
            peer_mss: 536,
            path_mss,
            sack_ok: false,
            timestamps_ok: false,
            timestamp_offset,
            board: Scoreboard::default(),
            rack: Rack::default(),
            rtt: RttEstimator::default(),
            congestion: Congestion::new(config.algorithm, u32::from(path_mss)),
            phase: Phase::Open,
            recovery_point: iss,
            highest_delivered: iss,
            reduction: Reduction::default(),
            undo: None,
            duplicate_acks: 0,
            retransmissions: 0,
            silent_since: now,
            probes_out: 0,
            window_limited: false,
            send_now: SendNow::default(),
            stray_reset: None,
            receive_next: Seq(0),
            receive_edge: Seq(0),
            receive_scale: config.window_scale(),
            acknowledged: Seq(0),
            recent: 0,
            recent_at: now,
            fin_at: None,
            urgent_at: None,
            urgent_octet: None,
            receive_queue: ReceiveQueue::default(),
            islands: OutOfOrder::default(),
            duplicate: None,
            receive_mss: 536,
            ack_now: false,
            last_received_at: now,
            tuning: Tuning { copied: 0, since: now, round_trip: 0 },
            timers: Timers::OFF,
            statistics: Statistics::default(),
            config,
        }
    }

    /// Takes over what the peer's SYN said.
    fn adopt_peer(&mut self, irs: Seq, peer: &Peer, now: Instant) {
        self.receive_next = irs + 1;
        self.acknowledged = self.receive_next;
        self.receive_edge = self.receive_next;
        self.peer_mss = peer.mss;
        self.sack_ok = peer.sack;
        match peer.window_scale {
            Some(scale) => self.send_scale = scale,
            None => {
                self.send_scale = 0;
                self.receive_scale = 0;
            }
        }
        self.timestamps_ok = peer.timestamp.is_some();
        if let Some(value) = peer.timestamp {
            self.recent = value;
            self.recent_at = now;
        }
        self.receive_mss = self.path_mss.min(peer.mss);
        self.congestion = Congestion::new(self.config.algorithm, self.mss());
    }

    /// Octets of data in a full segment: what peer and path allow, less the timestamps.
    fn mss(&self) -> u32 {
        let mut limit = self.peer_mss.min(self.path_mss);
        if self.config.max_segment != 0 {
            limit = limit.min(self.config.max_segment.max(88));
        }
        u32::from(limit) - if self.timestamps_ok { 12 } else { 0 }
    }

    /// First number behind the data that the application gave.
    fn data_end(&self) -> Seq {
        self.queue_base + self.send_queue.len() as u32
    }

    /// Octets believed to be on their way.
    fn in_flight(&self) -> u32 {
        let out = self.nxt.since(self.una);
        let guessed = if self.sack_ok {
            0
        } else {
            u32::from(self.duplicate_acks).saturating_mul(self.mss())
        };
        out.saturating_sub(self.board.sacked())
            .saturating_sub(self.board.lost())
            .saturating_sub(guessed)
    }

    fn timestamp(&self, now: Instant) -> u32 {
        (now.millis() as u32).wrapping_add(self.timestamp_offset)
    }

    /// The state.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether both SYNs were acknowledged, now or in the past.
    pub const fn is_synchronized(&self) -> bool {
        !matches!(self.state, State::SynSent | State::SynReceived | State::Closed)
    }

    /// The options, to read.
    pub const fn config(&self) -> &Config {
        &self.config
    }
}

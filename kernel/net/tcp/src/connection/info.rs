use super::{Connection, Phase, State};

/// What `TCP_INFO` reports. Times in nanoseconds, sizes in octets.
#[derive(Debug, Clone, Copy)]
pub struct Info {
    /// State.
    pub state: State,
    /// Fast recovery or loss recovery is under way.
    pub in_recovery: bool,
    /// Timeouts in a row.
    pub retransmissions: u8,
    /// Unanswered window probes or keepalives.
    pub probes: u8,
    /// Timestamps are in use.
    pub timestamps: bool,
    /// SACK is in use.
    pub sack: bool,
    /// Shifts of the peer's and of our windows.
    pub window_scales: (u8, u8),
    /// Retransmission timeout.
    pub timeout: u64,
    /// Smoothed round trip and its variation.
    pub round_trip: (u64, u64),
    /// Smallest recent round trip; 0 when unknown.
    pub min_round_trip: u64,
    /// Data per full segment sent.
    pub send_mss: u32,
    /// Data per segment as seen from the peer.
    pub receive_mss: u32,
    /// Octets out, those selectively acknowledged and those deemed lost.
    pub unacknowledged: u32,
    /// Selectively acknowledged.
    pub sacked: u32,
    /// Deemed lost.
    pub lost: u32,
    /// Congestion window.
    pub congestion_window: u32,
    /// Slow start threshold.
    pub threshold: u32,
    /// The peer's window.
    pub send_window: u32,
    /// The receive buffer.
    pub receive_space: u32,
    /// Segments sent again, ever.
    pub total_retransmissions: u32,
    /// Octets acknowledged, ever.
    pub octets_acked: u64,
    /// Octets received, ever.
    pub octets_received: u64,
    /// Segments out and in, ever.
    pub segments: (u32, u32),
    /// Octets in the send queue that were not sent.
    pub unsent: u32,
    /// Reordering was seen.
    pub reordering: bool,
    /// Ranges that the retransmission queue tracks.
    pub ranges: u32,
}

impl Connection {
    /// A snapshot for `TCP_INFO`.
    pub fn info(&self) -> Info {
        Info {
            state: self.state,
            in_recovery: self.phase != Phase::Open,
            retransmissions: self.retransmissions,
            probes: self.probes_out,
            timestamps: self.timestamps_ok,
            sack: self.sack_ok,
            window_scales: (self.send_scale, self.receive_scale),
            timeout: self.rtt.timeout(),
            round_trip: (self.rtt.smoothed(), self.rtt.variation()),
            min_round_trip: if self.rtt.min() == u64::MAX { 0 } else { self.rtt.min() },
            send_mss: self.mss(),
            receive_mss: u32::from(self.receive_mss),
            unacknowledged: self.nxt.since(self.una),
            sacked: self.board.sacked(),
            lost: self.board.lost(),
            congestion_window: self.congestion.window,
            threshold: self.congestion.threshold,
            send_window: self.send_window,
            receive_space: self.config.receive_buffer,
            total_retransmissions: self.statistics.retransmitted,
            octets_acked: self.statistics.octets_acked,
            octets_received: self.statistics.octets_received,
            segments: (self.statistics.segments_out, self.statistics.segments_in),
            unsent: self.data_end().since(self.nxt),
            reordering: self.rack.reordering,
            ranges: self.board.range_count() as u32,
        }
    }
}

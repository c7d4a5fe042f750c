use drupe_net_base::{Instant, SECOND};

/// What happened to TCP segments and connections; every segment that is not taken is counted.
/// The names follow `/proc/net/snmp` and `/proc/net/netstat` where those have one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections opened actively.
    pub active_opens: u64,
    /// Connections opened passively.
    pub passive_opens: u64,
    /// Connection attempts that failed.
    pub attempt_fails: u64,
    /// Connections ended by a reset.
    pub established_resets: u64,
    /// Segments received.
    pub segments_in: u64,
    /// Segments sent, retransmissions included; a segmented one counts once.
    pub segments_out: u64,
    /// Octets sent again.
    pub retransmitted_octets: u64,
    /// Segments sent again.
    pub retransmitted: u64,
    /// Resets sent.
    pub resets_out: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Tail loss probes sent.
    pub loss_probes: u64,
    /// Entries into fast recovery.
    pub recoveries: u64,
    /// Reductions taken back because nothing was lost.
    pub undos: u64,
    /// Segments outside the window, dropped.
    pub out_of_window: u64,
    /// Segments refused by timestamps (PAWS), dropped.
    pub paws_rejected: u64,
    /// Acknowledgments of data never sent or long gone, dropped.
    pub bad_ack: u64,
    /// Segments without ACK in a synchronized state, dropped.
    pub no_ack: u64,
    /// Resets whose number was not exact (RFC 5961), dropped.
    pub inexact_reset: u64,
    /// SYNs in a synchronized state (RFC 5961), dropped.
    pub unexpected_syn: u64,
    /// Challenge acknowledgments sent.
    pub challenges: u64,
    /// Challenge acknowledgments suppressed by their limit.
    pub challenges_limited: u64,
    /// Segments that held nothing new.
    pub duplicates: u64,
    /// Segments kept ahead of a hole.
    pub out_of_order: u64,
    /// Segments dropped for want of receive memory.
    pub receive_full: u64,
    /// Data that arrived after the application had closed; answered by a reset.
    pub data_after_close: u64,
    /// Zero window probes and keepalives sent.
    pub probes: u64,
    /// Connections given up after too many retransmissions or probes.
    pub given_up: u64,
    /// SYNs taken.
    pub syns_in: u64,
    /// SYNs dropped because the accept queue was full.
    pub listen_overflows: u64,
    /// SYNs dropped because the SYN queue was full and cookies are off.
    pub syn_dropped: u64,
    /// SYN cookies sent.
    pub cookies_sent: u64,
    /// SYN cookies that came back valid.
    pub cookies_received: u64,
    /// Acknowledgments that claimed a cookie and failed the test.
    pub cookies_failed: u64,
    /// Connections whose end waits out in TIME-WAIT, ever.
    pub time_waits: u64,
    /// TIME-WAIT entries reused by a new connection.
    pub time_wait_reused: u64,
    /// TIME-WAIT entries evicted early because of their limit.
    pub time_wait_overflow: u64,
}

/// A limit on challenge acknowledgments, so that they cannot be used for a reflection or to
/// probe for connections (RFC 5961 §7).
#[derive(Debug, Clone, Copy)]
pub struct ChallengeLimit {
    per_second: u32,
    left: u32,
    since: Instant,
}

impl ChallengeLimit {
    /// At most `per_second` challenge acknowledgments.
    pub const fn new(per_second: u32) -> Self {
        ChallengeLimit { per_second, left: per_second, since: Instant::ZERO }
    }

    /// Whether one more may be sent now.
    pub fn allow(&mut self, now: Instant) -> bool {
        if now.since(self.since) >= SECOND {
            self.since = now;
            self.left = self.per_second;
        }
        let allowed = self.left > 0;
        self.left -= u32::from(allowed);
        allowed
    }
}

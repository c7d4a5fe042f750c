use drupe_net_base::{Instant, MILLISECOND, SECOND};

/// Round-trip estimation and the retransmission timeout (RFC 6298), in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct RttEstimator {
    smoothed: u64,
    variation: u64,
    /// Smallest sample of the last [`MIN_WINDOW`], for RACK.
    min: u64,
    min_at: Instant,
    backoff: u8,
}

/// Timeout before the first sample, and between SYNs.
pub const INITIAL_RTO: u64 = SECOND;
/// Least timeout; Linux has the same, RFC 6298 says one second.
pub const MIN_RTO: u64 = 200 * MILLISECOND;
/// Greatest timeout.
pub const MAX_RTO: u64 = 120 * SECOND;
const MIN_WINDOW: u64 = 300 * SECOND;

impl Default for RttEstimator {
    fn default() -> Self {
        RttEstimator { smoothed: 0, variation: 0, min: u64::MAX, min_at: Instant::ZERO, backoff: 0 }
    }
}

impl RttEstimator {
    /// Takes a measurement.
    pub fn sample(&mut self, rtt: u64) {
        let rtt = rtt.max(1000);
        if self.smoothed == 0 {
            self.smoothed = rtt;
            self.variation = rtt / 2;
        } else {
            let error = self.smoothed.abs_diff(rtt);
            self.variation = self.variation - self.variation / 4 + error / 4;
            self.smoothed = self.smoothed - self.smoothed / 8 + rtt / 8;
        }
        self.backoff = 0;
    }

    /// Takes a measurement that contains as little waiting as possible, for the minimum.
    pub fn note_min(&mut self, rtt: u64, now: Instant) {
        let rtt = rtt.max(1000);
        if rtt <= self.min || now.since(self.min_at) > MIN_WINDOW {
            self.min = rtt;
            self.min_at = now;
        }
    }

    /// Smoothed round trip; 0 before the first sample.
    pub const fn smoothed(&self) -> u64 {
        self.smoothed
    }

    /// Mean deviation.
    pub const fn variation(&self) -> u64 {
        self.variation
    }

    /// Smallest recent round trip; `u64::MAX` before the first sample.
    pub const fn min(&self) -> u64 {
        self.min
    }

    /// The retransmission timeout with its backoff.
    pub fn timeout(&self) -> u64 {
        let base = match self.smoothed {
            0 => INITIAL_RTO,
            smoothed => smoothed + (4 * self.variation).max(MIN_RTO),
        };
        base.saturating_mul(1 << self.backoff.min(16)).min(MAX_RTO)
    }

    /// Doubles the timeout after it struck.
    pub fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1).min(16);
    }

    /// Ends the doubling: an acknowledgment of new data arrived.
    pub fn reset_backoff(&mut self) {
        self.backoff = 0;
    }
}

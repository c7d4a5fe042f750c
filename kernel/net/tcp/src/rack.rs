use drupe_net_base::Instant;

use crate::Seq;
use crate::scoreboard::Delivery;

/// The state of RACK-TLP (RFC 8985) beside the scoreboard.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rack {
    /// Send time and end of the most recently sent octet that arrived.
    pub newest: Option<(Instant, Seq)>,
    /// Its round trip.
    pub round_trip: u64,
    /// Reordering was seen on this connection.
    pub reordering: bool,
    /// Quarters of the minimal round trip to wait for reordered segments.
    multiplier: u8,
    /// Recoveries until the multiplier falls back.
    persist: u8,
    /// A duplicate was reported in the round trip that ends here.
    duplicate_round: Option<Seq>,
    /// A tail loss probe is out: what was sent last then, and whether the probe was a repetition.
    pub probe: Option<(Seq, bool)>,
}

const PERSIST: u8 = 16;

impl Rack {
    /// Takes in what an acknowledgment delivered.
    pub fn update(&mut self, delivery: &Delivery) {
        self.reordering |= delivery.reordered;
        let Some((at, end)) = delivery.newest else { return };
        let later = match self.newest {
            None => true,
            Some((newest, seq)) => at > newest || (at == newest && end.after(seq)),
        };
        if later {
            self.newest = Some((at, end));
            self.round_trip = delivery.now.since(at);
        }
    }

    /// The peer reported a duplicate: something was sent again without need, so wait longer
    /// (§6.2 step 4). Counted once a round trip, which ends when `nxt` is acknowledged.
    pub fn on_duplicate(&mut self, nxt: Seq) {
        if self.duplicate_round.is_none() {
            self.duplicate_round = Some(nxt);
            self.multiplier = self.multiplier.saturating_add(1);
            self.persist = PERSIST;
        }
    }

    /// The left edge reached `una`.
    pub fn on_advance(&mut self, una: Seq) {
        if self.duplicate_round.is_some_and(|end| end.at_or_before(una)) {
            self.duplicate_round = None;
        }
    }

    /// A recovery ended.
    pub fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.multiplier = 0;
        }
    }

    /// How long to wait beyond a round trip before declaring loss.
    pub fn allowance(&self, min_rtt: u64, smoothed: u64, urgent: bool) -> u64 {
        if !self.reordering && urgent {
            return 0;
        }
        (min_rtt / 4).saturating_mul(u64::from(self.multiplier) + 1).min(smoothed)
    }
}

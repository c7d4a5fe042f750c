//! Congestion control: how the window grows and by how much it shrinks.
//!
//! Loss recovery proper (what to send, when) lives in the connection; these algorithms only
//! answer "how large".

mod cubic;

use drupe_net_base::Instant;

use cubic::Cubic;

/// Which algorithm governs a connection (`TCP_CONGESTION`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// CUBIC (RFC 9438).
    #[default]
    Cubic,
    /// NewReno (RFC 5681, RFC 6582).
    NewReno,
}

/// The congestion window in octets with its algorithm.
#[derive(Debug, Clone)]
pub struct Congestion {
    /// Congestion window.
    pub window: u32,
    /// Slow start threshold; `u32::MAX` at first.
    pub threshold: u32,
    algorithm: State,
    /// Octets acknowledged in congestion avoidance that have not grown the window yet.
    credit: u32,
}

#[derive(Debug, Clone)]
enum State {
    NewReno,
    Cubic(Cubic),
}

/// No window grows beyond this: what a scaled receive window can express.
const LARGEST: u32 = 1 << 30;

impl Congestion {
    /// The state of a new connection with the initial window of RFC 6928: ten segments.
    pub fn new(algorithm: Algorithm, mss: u32) -> Self {
        let algorithm = match algorithm {
            Algorithm::NewReno => State::NewReno,
            Algorithm::Cubic => State::Cubic(Cubic::default()),
        };
        Congestion { window: initial_window(mss), threshold: u32::MAX, algorithm, credit: 0 }
    }

    /// Changes the algorithm; window and threshold stay.
    pub fn set_algorithm(&mut self, algorithm: Algorithm) {
        self.algorithm = match algorithm {
            Algorithm::NewReno => State::NewReno,
            Algorithm::Cubic => State::Cubic(Cubic::default()),
        };
    }

    /// Whether the window is below the threshold.
    pub const fn in_slow_start(&self) -> bool {
        self.window < self.threshold
    }

    /// Grows the window for `acked` octets while the sender was limited by it.
    pub fn on_ack(&mut self, acked: u32, mss: u32, rtt: u64, now: Instant) {
        let mut acked = acked;
        if self.in_slow_start() {
            let grown = self.window.saturating_add(acked).min(self.threshold);
            acked -= (grown - self.window).min(acked);
            self.window = grown.min(LARGEST);
            if acked == 0 {
                return;
            }
        }
        // Octets to be acknowledged for one more segment.
        let per_segment = match &mut self.algorithm {
            State::NewReno => self.window,
            State::Cubic(cubic) => cubic.octets_per_segment(self.window, acked, mss, rtt, now),
        }
        .max(1);
        self.credit = self.credit.saturating_add(acked);
        if self.credit >= per_segment {
            let segments = self.credit / per_segment;
            self.credit %= per_segment;
            self.window = self.window.saturating_add(segments.saturating_mul(mss)).min(LARGEST);
        }
    }

    /// Sets the threshold after a loss with `in_flight` octets out, and returns it. The window
    /// itself follows during recovery.
    pub fn on_loss(&mut self, mss: u32) -> u32 {
        let floor = 2 * mss;
        self.threshold = match &mut self.algorithm {
            State::NewReno => self.window / 2,
            State::Cubic(cubic) => cubic.on_loss(self.window),
        }
        .max(floor);
        self.credit = 0;
        self.threshold
    }

    /// Starts over after a retransmission timeout.
    pub fn on_timeout(&mut self, mss: u32) {
        if let State::Cubic(cubic) = &mut self.algorithm {
            cubic.restart();
        }
        self.window = mss;
        self.credit = 0;
    }

    /// After an idle time of `timeouts` retransmission timeouts: halves the window for each
    /// down to the initial one (RFC 5681 §4.1 in the gentler form of RFC 2861).
    pub fn on_idle(&mut self, timeouts: u64, mss: u32) {
        let restart = initial_window(mss).min(self.window);
        self.threshold = self.threshold.max(self.window / 4 * 3);
        self.window = (self.window >> timeouts.min(31)).max(restart);
        if let State::Cubic(cubic) = &mut self.algorithm {
            cubic.restart();
        }
    }
}

/// Initial window for a segment size (RFC 6928).
pub fn initial_window(mss: u32) -> u32 {
    (10 * mss).min((2 * mss).max(14_600))
}

#[cfg(test)]
mod tests {
    use super::*;
    use drupe_net_base::MILLISECOND;

    const MSS: u32 = 1000;

    /// Acknowledges whole windows for `millis` with a round trip of 100 ms.
    fn run(congestion: &mut Congestion, start: u64, millis: u64) {
        let mut time = start;
        while time < start + millis {
            let window = congestion.window;
            let mut left = window;
            while left > 0 {
                let acked = left.min(MSS);
                let now = Instant::from_millis(time);
                congestion.on_ack(acked, MSS, 100 * MILLISECOND, now);
                left -= acked;
            }
            time += 100;
        }
    }

    #[test]
    fn slow_start_doubles() {
        let mut congestion = Congestion::new(Algorithm::Cubic, MSS);
        let before = congestion.window;
        run(&mut congestion, 0, 100);
        assert_eq!(congestion.window, 2 * before);
    }

    #[test]
    fn new_reno_adds_one_segment_per_round_trip() {
        let mut congestion = Congestion::new(Algorithm::NewReno, MSS);
        congestion.window = 100 * MSS;
        assert_eq!(congestion.on_loss(MSS), 50 * MSS);
        congestion.window = 50 * MSS;
        run(&mut congestion, 0, 1000);
        assert!((59 * MSS..=61 * MSS).contains(&congestion.window), "{}", congestion.window);
    }

    #[test]
    fn cubic_returns_to_the_old_window_after_k_and_then_passes_it() {
        let mut congestion = Congestion::new(Algorithm::Cubic, MSS);
        congestion.window = 1000 * MSS;
        assert_eq!(congestion.on_loss(MSS), 700 * MSS);
        congestion.window = 700 * MSS;
        // K = cbrt(300 / 0.4) = 9.09 s.
        run(&mut congestion, 0, 9_100);
        let at_k = congestion.window / MSS;
        assert!((960..=1040).contains(&at_k), "{at_k}");
        run(&mut congestion, 9_100, 9_000);
        assert!(congestion.window / MSS > 1150, "{}", congestion.window / MSS);
    }
}

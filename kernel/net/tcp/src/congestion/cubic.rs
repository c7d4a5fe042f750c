use drupe_net_base::{Instant, MILLISECOND};

/// CUBIC (RFC 9438) in integers: C = 0.4, β = 0.7. The window function counts milliseconds and
/// octets.
#[derive(Debug, Clone, Default)]
pub(super) struct Cubic {
    /// Start of the current congestion avoidance stage, unset between stages.
    epoch: Option<Instant>,
    /// Window before the last reduction, after fast convergence.
    w_max: u32,
    /// Window at the centre of the cubic function.
    origin: u32,
    /// Milliseconds from the start of the stage to the centre.
    k: u32,
    /// What NewReno with the same average window would have reached.
    w_est: u32,
    /// Octets acknowledged that have not grown `w_est` yet.
    est_credit: u32,
}

impl Cubic {
    /// Forgets the stage: after a timeout or idle time.
    pub(super) fn restart(&mut self) {
        self.epoch = None;
    }

    /// The threshold after a loss.
    pub(super) fn on_loss(&mut self, window: u32) -> u32 {
        self.epoch = None;
        // Fast convergence: with less than last time, leave room for newcomers.
        self.w_max =
            if window < self.w_max { (u64::from(window) * 17 / 20) as u32 } else { window };
        (u64::from(window) * 7 / 10) as u32
    }

    /// How many octets must be acknowledged for the window to grow by one segment.
    pub(super) fn octets_per_segment(
        &mut self,
        window: u32,
        acked: u32,
        mss: u32,
        rtt: u64,
        now: Instant,
    ) -> u32 {
        let mss = mss.max(1);
        let epoch = match self.epoch {
            Some(epoch) => epoch,
            None => {
                self.start(window, mss, now);
                now
            }
        };
        let elapsed = (now.since(epoch) + rtt) / MILLISECOND;
        let target = self.window_at(elapsed, mss).clamp(window, window.saturating_add(window / 2));
        // Reno-friendly region: α = 3·(1−β)/(1+β) = 9/17 until the old maximum, then 1.
        self.est_credit = self.est_credit.saturating_add(acked);
        let per_segment =
            if self.w_est < self.w_max { (u64::from(window) * 17 / 9) as u32 } else { window }
                .max(1);
        self.w_est = self.w_est.saturating_add((self.est_credit / per_segment).saturating_mul(mss));
        self.est_credit %= per_segment;
        let target = target.max(self.w_est);
        let growth = target.saturating_sub(window);
        if growth == 0 {
            return window.saturating_mul(100);
        }
        (u64::from(window) * u64::from(mss) / u64::from(growth)).min(u64::from(u32::MAX)) as u32
    }

    fn start(&mut self, window: u32, mss: u32, now: Instant) {
        self.epoch = Some(now);
        self.w_est = window;
        self.est_credit = 0;
        if window < self.w_max {
            let segments_by_c = u64::from(self.w_max - window) * 2_500_000_000 / u64::from(mss);
            self.k = cube_root(segments_by_c);
            self.origin = self.w_max;
        } else {
            self.k = 0;
            self.origin = window;
        }
    }

    fn window_at(&self, elapsed: u64, mss: u32) -> u32 {
        let distance =
            (elapsed.min(1_000_000) as i64 - i64::from(self.k)).clamp(-1_000_000, 1_000_000);
        let cubed = i128::from(distance) * i128::from(distance) * i128::from(distance);
        let delta = cubed * 2 * i128::from(mss) / 5_000_000_000;
        (i128::from(self.origin) + delta).clamp(0, i128::from(u32::MAX)) as u32
    }
}

/// The integer cube root, rounded down, at most 2^21 − 1 (ms: beyond any stage's length).
fn cube_root(value: u64) -> u32 {
    let mut root = 0u64;
    for bit in (0..21).rev() {
        let next = root | 1 << bit;
        if next * next * next <= value {
            root = next;
        }
    }
    root as u32
}

#[cfg(test)]
mod tests {
    #[test]
    fn cube_roots() {
        for (value, root) in [(0, 0), (7, 1), (8, 2), (26, 2), (27, 3), (1_000_000_000_000, 10_000)]
        {
            assert_eq!(super::cube_root(value), root);
        }
        assert!(super::cube_root(u64::MAX) == 2_097_151);
    }
}

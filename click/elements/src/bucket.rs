//! Token buckets that fill once per millisecond.
//!
//! Tokens are counted in fractions of the capacity with 32 bits, and the fraction per
//! millisecond is rounded down, so that rates come out as they do in Click.

use alloc::string::String;

use click_runtime::args::{Bandwidth, Time};
use click_runtime::{Args, Context};

const TICKS_PER_SECOND: u64 = 1000;
const TICK: i64 = 1_000_000;
const FULL: u32 = u32::MAX;

/// Bytes that a bandwidth bucket holds beyond its burst.
pub(crate) const BANDWIDTH_SLACK: u32 = 131_072;

/// A bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    rate: u32,
    scale: u32,
    per_tick: u32,
    ticks_until_full: u32,
    level: u32,
    tick: i64,
}

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(rate: u32, capacity: u32) -> Self {
        let mut new = Self { level: FULL, ..Self::default() };
        new.assign(rate, capacity);
        new
    }

    /// Changes rate and capacity.
    pub(crate) fn assign(&mut self, rate: u32, capacity: u32) {
        self.rate = rate;
        self.scale = FULL / capacity.max(1);
        let per_tick = u64::from(rate) * u64::from(self.scale) / TICKS_PER_SECOND;
        self.per_tick = u32::try_from(per_tick).unwrap_or(FULL);
        self.ticks_until_full = match self.per_tick {
            0 => u32::MAX,
            per_tick => (FULL - 1) / per_tick + 1,
        };
    }

    /// Tokens per second.
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    /// Adds what has come in until `now`.
    pub(crate) fn refill(&mut self, now: i64) {
        let tick = now / TICK;
        let passed = (tick - self.tick).max(0);
        self.tick = tick;
        if passed >= i64::from(self.ticks_until_full) {
            self.level = FULL;
        } else {
            let more = u64::from(self.per_tick).saturating_mul(passed as u64);
            self.level = self.level.saturating_add(u32::try_from(more).unwrap_or(FULL));
        }
    }

    fn fraction(&self, tokens: u32) -> u32 {
        self.scale.saturating_mul(tokens)
    }

    /// Whether there are so many tokens.
    pub(crate) fn contains(&self, tokens: u32) -> bool {
        self.level >= self.fraction(tokens)
    }

    /// Leaves exactly so many tokens.
    pub(crate) fn set(&mut self, tokens: u32) {
        self.level = self.fraction(tokens);
    }

    /// Takes tokens out, as far as there are any.
    pub(crate) fn remove(&mut self, tokens: u32) {
        self.level = self.level.saturating_sub(self.fraction(tokens));
    }

    /// Takes tokens out if there are enough.
    pub(crate) fn remove_if(&mut self, tokens: u32) -> bool {
        let enough = self.contains(tokens);
        if enough {
            self.remove(tokens);
        }
        enough
    }

    /// Nanoseconds until there are so many tokens.
    pub(crate) fn delay(&self, tokens: u32) -> i64 {
        let missing = self.fraction(tokens).saturating_sub(self.level);
        match (missing, self.per_tick) {
            (0, _) => 0,
            (_, 0) => i64::MAX / 4,
            (missing, per_tick) => i64::from((missing - 1) / per_tick + 1) * TICK,
        }
    }
}

/// Reads `RATE`, `BURST_DURATION` and `BURST_SIZE` (`BURST_BYTES` for bandwidths).
pub(crate) fn configure(args: &mut Args<'_>, bandwidth: bool) -> Option<Bucket> {
    let mut rate = 0u32;
    if bandwidth {
        let mut bytes = Bandwidth::default();
        args.required("RATE", &mut bytes);
        rate = u32::try_from(bytes.0).unwrap_or(u32::MAX);
    } else {
        args.required("RATE", &mut rate);
    }
    let mut duration = Time(20_000_000);
    let mut tokens = 0u32;
    let by_duration = args.keyword("BURST_DURATION", &mut duration);
    let size = if bandwidth { "BURST_BYTES" } else { "BURST_SIZE" };
    let by_size = args.keyword(size, &mut tokens);
    args.finish();
    if by_duration && by_size {
        args.error("cannot specify both BURST_DURATION and BURST_SIZE");
    }
    if !by_size {
        let milliseconds = u64::try_from(duration.0 / TICK).unwrap_or(0);
        tokens = u32::try_from(u64::from(rate) * milliseconds / 1000).unwrap_or(u32::MAX);
    }
    if bandwidth {
        tokens = tokens.saturating_add(BANDWIDTH_SLACK);
    }
    args.is_fine().then(|| Bucket::new(rate, tokens.max(1)))
}

/// The bucket for a rate that allows bursts of the default duration.
pub(crate) fn default_bucket(rate: u32, bandwidth: bool) -> Bucket {
    let burst = u32::try_from(u64::from(rate) * 20 / 1000).unwrap_or(u32::MAX);
    let slack = if bandwidth { BANDWIDTH_SLACK } else { 0 };
    Bucket::new(rate, burst.saturating_add(slack).max(1))
}

/// Tokens that a packet needs: its bytes for a bandwidth, else one.
pub(crate) fn cost(length: usize, bandwidth: bool) -> u32 {
    if bandwidth { u32::try_from(length).unwrap_or(u32::MAX) } else { 1 }
}

/// The rate as its handler prints it.
pub(crate) fn unparse_rate(rate: u32, bandwidth: bool) -> String {
    if bandwidth { alloc::format!("{rate}Bps") } else { alloc::format!("{rate}") }
}

/// Reads the rate written to a handler.
pub(crate) fn parse_rate(text: &str, bandwidth: bool, cx: &Context<'_>) -> Result<u32, String> {
    if bandwidth {
        let bytes: Bandwidth = crate::common::value(text, cx)?;
        Ok(u32::try_from(bytes.0).unwrap_or(u32::MAX))
    } else {
        crate::common::value(text, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_takes_a_tick_longer_than_it_should() {
        let mut bucket = Bucket::new(100, 1);
        bucket.refill(0);
        assert!(bucket.remove_if(1) && !bucket.remove_if(1));
        assert_eq!(bucket.delay(1), 11_000_000);
        bucket.refill(10_999_999);
        assert!(!bucket.contains(1));
        bucket.refill(11_000_000);
        assert!(bucket.contains(1));
    }
}

//! Packets at even gaps: a rate kept by counting within each second.

/// Rates above this are lowered to it.
const MOST: u32 = 1_000_000;

/// A rate and how much of the current second is used up.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    rate: u32,
    second: Option<i64>,
    count: i64,
}

impl Gap {
    pub(crate) fn new(rate: u32) -> Self {
        Self { rate: rate.min(MOST), second: None, count: 0 }
    }

    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }

    pub(crate) fn set_rate(&mut self, rate: u32, now: i64) {
        let rate = rate.min(MOST);
        if rate != self.rate {
            self.rate = rate;
            if self.second.is_some() {
                self.count = self.need(now);
            }
        }
    }

    pub(crate) fn reset(&mut self) {
        self.second = None;
    }

    /// Packets that should have gone out in this second so far.
    fn need(&self, now: i64) -> i64 {
        now.rem_euclid(1_000_000_000) / 1000 * i64::from(self.rate) / 1_000_000
    }

    /// Whether the next packet is due.
    pub(crate) fn is_due(&mut self, now: i64) -> bool {
        let second = now.div_euclid(1_000_000_000);
        let need = self.need(now);
        match self.second {
            None => {
                // Right after a reset a packet may go out, unless the gap began just now.
                let microsecond = now.rem_euclid(1_000_000_000) / 1000;
                let rest = microsecond * i64::from(self.rate) % 1_000_000;
                self.second = Some(second);
                self.count = need + i64::from(rest > 500_000 || self.rate == 0);
            }
            Some(old) if second > old => {
                self.second = Some(second);
                if self.count > 0 {
                    self.count -= i64::from(self.rate);
                }
            }
            Some(_) => {}
        }
        need >= self.count
    }

    /// `count` packets or bytes went out.
    pub(crate) fn update_with(&mut self, count: i64) {
        self.count += count;
    }
}

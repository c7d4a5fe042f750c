use alloc::collections::VecDeque;

use drupe_net_base::Instant;

use crate::Seq;

/// Octets sent together, with what is known of their fate.
#[derive(Debug, Clone, Copy)]
struct Range {
    start: Seq,
    end: Seq,
    /// When last sent.
    sent_at: Instant,
    marks: u8,
}

/// The peer reported it received.
const SACKED: u8 = 1;
/// Deemed lost and waiting to be sent again.
const LOST: u8 = 2;
/// Sent more than once.
const RETRANSMITTED: u8 = 4;

impl Range {
    const fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    const fn octets(&self) -> u32 {
        self.end.since(self.start)
    }
}

/// What one acknowledgment told about octets in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    /// When the acknowledgment came.
    pub now: Instant,
    /// Smallest round trip: an answer to a retransmission that is faster was caused by the
    /// original.
    pub min_rtt: u64,
    /// Octets newly known to have arrived.
    pub octets: u32,
    /// Send time and end of the most recently sent of them.
    pub newest: Option<(Instant, Seq)>,
    /// Send times of the first and the last sent of those that were sent only once.
    pub clean: Option<(Instant, Instant)>,
    /// Highest octet ever acknowledged, selectively or not.
    pub highest: Seq,
    /// Something sent once arrived after something sent later.
    pub reordered: bool,
    /// A retransmitted octet was acknowledged.
    pub retransmitted: bool,
}

impl Delivery {
    pub fn new(now: Instant, min_rtt: u64, highest: Seq) -> Self {
        Delivery {
            now,
            min_rtt,
            octets: 0,
            newest: None,
            clean: None,
            highest,
            reordered: false,
            retransmitted: false,
        }
    }

    fn note(&mut self, range: &Range, end: Seq) {
        let again = range.has(RETRANSMITTED);
        self.octets += end.since(range.start);
        self.retransmitted |= again;
        if !again {
            let (first, last) = self.clean.unwrap_or((range.sent_at, range.sent_at));
            self.clean = Some((first.min(range.sent_at), last.max(range.sent_at)));
            self.reordered |= end.before(self.highest);
        }
        self.highest = self.highest.max(end);
        if again && self.now.since(range.sent_at) < self.min_rtt {
            return;
        }
        let later = match self.newest {
            None => true,
            Some((at, seq)) => range.sent_at > at || (range.sent_at == at && end.after(seq)),
        };
        if later {
            self.newest = Some((range.sent_at, end));
        }
    }
}

/// The octets in flight and their marks: the sender's side of RFC 2018 and RFC 6675.
///
/// Neighbouring ranges with the same fate merge, so the work per acknowledgment grows with the
/// number of holes, not with the window.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scoreboard {
    ranges: VecDeque<Range>,
    sacked: u32,
    lost: u32,
    /// No range before this one is marked lost.
    lost_hint: Seq,
}

impl Scoreboard {
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Octets selectively acknowledged.
    pub fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Octets deemed lost and not sent again yet.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// Number of ranges: bounds the work per acknowledgment.
    pub fn range_count(&self) -> usize {
        self.ranges.len()
    }

    /// Records octets sent for the first time, behind all others.
    pub fn push(&mut self, start: Seq, end: Seq, now: Instant) {
        if let Some(last) = self.ranges.back_mut()
            && last.marks == 0
            && last.sent_at == now
        {
            last.end = end;
            return;
        }
        if self.ranges.is_empty() {
            self.lost_hint = start;
        }
        self.ranges.push_back(Range { start, end, sent_at: now, marks: 0 });
    }

    /// Everything up to `upto` has arrived.
    pub fn acknowledge(&mut self, upto: Seq, delivery: &mut Delivery) {
        while let Some(front) = self.ranges.front_mut() {
            if upto.at_or_before(front.start) {
                break;
            }
            let end = front.end.min(upto);
            let octets = end.since(front.start);
            if front.has(SACKED) {
                self.sacked -= octets;
                delivery.highest = delivery.highest.max(end);
            } else {
                delivery.note(front, end);
            }
            if front.has(LOST) {
                self.lost -= octets;
            }
            if front.end.after(upto) {
                front.start = upto;
                break;
            }
            self.ranges.pop_front();
        }
    }

    /// The peer holds `start..end`.
    pub fn sack(&mut self, start: Seq, end: Seq, delivery: &mut Delivery) {
        let first = self.ranges.partition_point(|range| range.end.at_or_before(start));
        match self.ranges.get(first) {
            // The common case: the block grew, and what it covered before is known.
            Some(range) if range.has(SACKED) && end.at_or_before(range.end) => return,
            _ => {}
        }
        let mut index = self.split(start);
        let mut touched = None;
        while let Some(range) = self.ranges.get(index) {
            if end.at_or_before(range.start) {
                break;
            }
            if range.has(SACKED) {
                index += 1;
                continue;
            }
            if range.end.after(end) {
                self.split(end);
            }
            let range = &mut self.ranges[index];
            delivery.note(range, range.end);
            if range.has(LOST) {
                self.lost -= range.octets();
            }
            self.sacked += range.octets();
            range.marks = (range.marks & !LOST) | SACKED;
            touched.get_or_insert(index);
            index += 1;
        }
        if let Some(touched) = touched {
            self.merge_sacked(touched.saturating_sub(1), index);
        }
    }

    /// Joins neighbours that are both acknowledged, among the ranges `from..=to`.
    fn merge_sacked(&mut self, from: usize, to: usize) {
        let mut index = from;
        let mut to = to;
        while index < to && index + 1 < self.ranges.len() {
            if self.ranges[index].has(SACKED) && self.ranges[index + 1].has(SACKED) {
                self.ranges[index].end = self.ranges[index + 1].end;
                self.ranges.remove(index + 1);
                to -= 1;
            } else {
                index += 1;
            }
        }
    }

    /// Makes a range start at `at` if it lies inside one. Returns the index of the first range
    /// at or behind `at`.
    fn split(&mut self, at: Seq) -> usize {
        let index = self.ranges.partition_point(|range| range.end.at_or_before(at));
        match self.ranges.get_mut(index) {
            Some(range) if range.start.before(at) => {
                let tail = Range { start: at, ..*range };
                range.end = at;
                self.ranges.insert(index + 1, tail);
                index + 1
            }
            _ => index,
        }
    }

    fn mark_lost(&mut self, index: usize) -> u32 {
        let range = &mut self.ranges[index];
        range.marks |= LOST;
        let octets = range.octets();
        self.lost += octets;
        self.lost_hint = self.lost_hint.min(range.start);
        octets
    }

    /// RACK (RFC 8985 §6.2): whatever was sent `allowance` before the most recently sent octet
    /// that arrived is lost. `round_trip` is that octet's. Returns the octets newly deemed lost
    /// and when to look again.
    pub fn detect_loss(
        &mut self,
        (newest_at, newest_end): (Instant, Seq),
        round_trip: u64,
        allowance: u64,
        now: Instant,
    ) -> (u32, Instant) {
        let mut newly = 0;
        let mut again = Instant::NEVER;
        let mut index = 0;
        while let Some(&range) = self.ranges.get(index) {
            // At the same instant (a batch of acknowledgments) only first transmissions are
            // known to have gone out in order.
            let earlier = range.sent_at < newest_at
                || (range.sent_at == newest_at
                    && range.end.at_or_before(newest_end)
                    && !range.has(RETRANSMITTED));
            if !earlier && !range.has(RETRANSMITTED | SACKED) {
                // First sent after the newest arrival, and so was all that follows.
                break;
            }
            if earlier && !range.has(SACKED | LOST) {
                let due = range.sent_at + round_trip + allowance;
                if due <= now {
                    newly += self.mark_lost(index);
                } else {
                    again = again.min(due);
                }
            }
            index += 1;
        }
        (newly, again)
    }

    /// After a timeout nothing in flight is trusted any more. If the peer took back what it had
    /// acknowledged selectively (the first range is marked received, yet not acknowledged), its
    /// marks go as well. Returns the octets newly deemed lost.
    pub fn mark_all_lost(&mut self) -> u32 {
        let reneged = self.ranges.front().is_some_and(|range| range.has(SACKED));
        let mut newly = 0;
        for index in 0..self.ranges.len() {
            let range = &mut self.ranges[index];
            if reneged && range.has(SACKED) {
                self.sacked -= range.octets();
                range.marks &= !SACKED;
            }
            if !range.has(SACKED | LOST) {
                newly += self.mark_lost(index);
            }
        }
        newly
    }

    /// Marks the first `octets` in flight lost (without SACK, RFC 6582). Returns how many were
    /// not marked before.
    pub fn mark_front_lost(&mut self, octets: u32) -> u32 {
        let Some(front) = self.ranges.front() else { return 0 };
        if front.has(SACKED | LOST) {
            return 0;
        }
        let cut = front.start + octets;
        if cut.before(front.end) {
            self.split(cut);
        }
        self.mark_lost(0)
    }

    /// The first range that waits to be sent again.
    pub fn next_lost(&mut self) -> Option<(Seq, Seq)> {
        if self.lost == 0 {
            return None;
        }
        let hint = self.lost_hint;
        let mut index = self.ranges.partition_point(|range| range.end.at_or_before(hint));
        while let Some(range) = self.ranges.get(index) {
            if range.has(LOST) {
                self.lost_hint = range.start;
                return Some((range.start, range.end));
            }
            index += 1;
        }
        None
    }

    /// `start..end` goes out again.
    pub fn retransmitted(&mut self, start: Seq, end: Seq, now: Instant) {
        let mut index = self.split(start);
        while let Some(range) = self.ranges.get(index) {
            if end.at_or_before(range.start) {
                break;
            }
            if range.end.after(end) {
                self.split(end);
            }
            let range = &mut self.ranges[index];
            if range.has(LOST) {
                self.lost -= range.octets();
            }
            if !range.has(SACKED) {
                range.marks = RETRANSMITTED;
                range.sent_at = now;
            }
            index += 1;
        }
    }

    /// Takes back that anything is lost: it was only late.
    pub fn forget_losses(&mut self) {
        for range in &mut self.ranges {
            range.marks &= !LOST;
        }
        self.lost = 0;
    }

    /// Forgets all marks and all ranges.
    pub fn clear(&mut self) {
        *self = Scoreboard::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn delivery() -> Delivery {
        Delivery::new(Instant::from_millis(50), 0, Seq(0))
    }

    #[test]
    fn a_hole_is_lost_when_later_octets_arrive() {
        let mut board = Scoreboard::default();
        for n in 0..4u32 {
            board.push(Seq(n * 10), Seq(n * 10 + 10), Instant::from_millis(u64::from(n)));
        }
        let mut seen = delivery();
        board.sack(Seq(20), Seq(40), &mut seen);
        assert_eq!(seen.octets, 20);
        assert_eq!(seen.newest, Some((Instant::from_millis(3), Seq(40))));
        let now = Instant::from_millis(50);
        let (lost, again) = board.detect_loss((Instant::from_millis(3), Seq(40)), 0, 0, now);
        assert_eq!((lost, again), (20, Instant::NEVER));
        assert_eq!(board.next_lost(), Some((Seq(0), Seq(10))));
        board.retransmitted(Seq(0), Seq(5), now);
        assert_eq!(board.next_lost(), Some((Seq(5), Seq(10))));
        let mut seen = delivery();
        board.acknowledge(Seq(40), &mut seen);
        assert!(board.is_empty());
        assert_eq!((board.sacked(), board.lost()), (0, 0));
    }

    proptest! {
        /// The sums agree with a plain octet-by-octet model under any sequence of events.
        #[test]
        fn sums_agree_with_a_model(
            events in prop::collection::vec((0u8..5, 0u32..120, 1u32..40), 1..60),
        ) {
            let base = Seq(u32::MAX - 50);
            let mut board = Scoreboard::default();
            let mut una = 0u32;
            let mut nxt = 0u32;
            let mut sacked = [false; 4000];
            let mut lost = [false; 4000];
            let mut time = 0;
            for (kind, from, length) in events {
                time += 1;
                let now = Instant::from_millis(time);
                let from = una + from % (nxt - una + 1);
                let to = (from + length).min(nxt);
                let mut seen = Delivery::new(now, 0, base + una);
                match kind {
                    0 => {
                        board.push(base + nxt, base + (nxt + length), now);
                        nxt += length;
                    }
                    1 if from < to => {
                        board.sack(base + from, base + to, &mut seen);
                        let new = (from..to).filter(|&n| !sacked[n as usize]).count();
                        prop_assert_eq!(seen.octets as usize, new);
                        for n in from..to { sacked[n as usize] = true; lost[n as usize] = false; }
                    }
                    2 => {
                        board.acknowledge(base + from, &mut seen);
                        una = from;
                    }
                    3 => {
                        // Reneging clears selective marks.
                        if una < nxt && sacked[una as usize] { sacked = [false; 4000]; }
                        board.mark_all_lost();
                        for n in una..nxt { lost[n as usize] = !sacked[n as usize]; }
                    }
                    4 if from < to => {
                        board.retransmitted(base + from, base + to, now);
                        for n in from..to { lost[n as usize] = false; }
                    }
                    _ => {}
                }
                let count = |marks: &[bool]| (una..nxt).filter(|&n| marks[n as usize]).count() as u32;
                prop_assert_eq!(board.sacked(), count(&sacked));
                prop_assert_eq!(board.lost(), count(&lost));
                let first = (una..nxt).find(|&n| lost[n as usize]);
                prop_assert_eq!(board.next_lost().map(|(start, _)| start), first.map(|n| base + n));
            }
        }
    }
}

use drupe_net_base::{Instant, SECOND};

use crate::options::Options;
use crate::{Flags, Header, Segment, Seq};

/// How long the end of a connection is remembered: Linux's choice for twice the segment
/// lifetime.
pub(crate) const TIME_WAIT: u64 = 60 * SECOND;

/// What remains of a connection that this side closed first: enough to answer the peer, to keep
/// old segments out of a new connection, and to let a new one start safely (RFC 9293 §3.10.7.4,
/// RFC 6191).
#[derive(Debug, Clone, Copy)]
pub struct TimeWait {
    /// When the entry goes.
    pub expires: Instant,
    /// Still waiting for the peer's FIN (an orphan in FIN-WAIT-2).
    pub half_closed: bool,
    pub(crate) nxt: Seq,
    pub(crate) receive_next: Seq,
    pub(crate) window: u16,
    /// The peer's last timestamp, if both sides use them.
    pub(crate) recent: Option<u32>,
    pub(crate) recent_at: Instant,
    pub(crate) timestamp_offset: u32,
}

/// What to do with a segment for a [`TimeWait`] entry.
#[derive(Debug)]
pub enum TimeWaitAnswer {
    /// Nothing.
    Drop,
    /// Send this.
    Reply(Segment),
    /// The entry is over (reset by the peer).
    Remove,
    /// A new connection may replace the entry, with an initial sequence number beyond this one.
    Reuse(Seq),
}

impl TimeWait {
    /// Takes a segment with `payload` octets of data. May prolong [`TimeWait::expires`].
    pub fn on_segment(&mut self, header: &Header, payload: usize, now: Instant) -> TimeWaitAnswer {
        let flags = header.flags;
        let timestamp = header.options.timestamps.map(|(value, _)| value);
        let paws = match (self.recent, timestamp) {
            (Some(recent), Some(value)) => {
                (value.wrapping_sub(recent) as i32) < 0
                    && now.since(self.recent_at) < 86_400 * 24 * SECOND
            }
            _ => false,
        };
        if flags.has(Flags::SYN) && !flags.has(Flags::RST) && !flags.has(Flags::ACK) && !paws {
            let newer = match (self.recent, timestamp) {
                (Some(recent), Some(value)) => (value.wrapping_sub(recent) as i32) > 0,
                _ => false,
            };
            if newer || header.seq.after(self.receive_next) {
                return TimeWaitAnswer::Reuse(self.nxt + 65_537);
            }
        }
        if flags.has(Flags::RST) {
            // RFC 1337: a reset does not end TIME-WAIT, an exact one ends FIN-WAIT-2.
            if self.half_closed && header.seq == self.receive_next {
                return TimeWaitAnswer::Remove;
            }
            return TimeWaitAnswer::Drop;
        }
        if paws || !flags.has(Flags::ACK) {
            return TimeWaitAnswer::Reply(self.acknowledgment(now));
        }
        if self.half_closed {
            let end = header.seq + payload as u32;
            if payload > 0 && end.after(self.receive_next) {
                // Data that nobody will read.
                return Segment::reset_for(header, payload)
                    .map_or(TimeWaitAnswer::Remove, TimeWaitAnswer::Reply);
            }
            if flags.has(Flags::FIN) && end == self.receive_next {
                self.receive_next = end + 1;
                self.half_closed = false;
                self.expires = now + TIME_WAIT;
                if let Some(value) = timestamp {
                    self.recent = Some(value);
                    self.recent_at = now;
                }
                return TimeWaitAnswer::Reply(self.acknowledgment(now));
            }
            return TimeWaitAnswer::Drop;
        }
        if flags.has(Flags::FIN) || payload > 0 || header.seq.before(self.receive_next) {
            if flags.has(Flags::FIN) {
                self.expires = now + TIME_WAIT;
            }
            return TimeWaitAnswer::Reply(self.acknowledgment(now));
        }
        TimeWaitAnswer::Drop
    }

    /// Whether this side may open a new connection with the same addresses and ports: the
    /// clock of timestamps has moved on, so old segments cannot be taken for new ones. Returns
    /// the number that the initial sequence number must exceed.
    pub fn reuse_for_connect(&self, now: Instant) -> Option<Seq> {
        (self.recent.is_some() && now.since(self.recent_at) > SECOND).then_some(self.nxt + 65_537)
    }

    fn acknowledgment(&self, now: Instant) -> Segment {
        let timestamps = self
            .recent
            .map(|recent| ((now.millis() as u32).wrapping_add(self.timestamp_offset), recent));
        Segment {
            seq: self.nxt,
            ack: self.receive_next,
            flags: Flags::ACK,
            window: self.window,
            options: Options { timestamps, ..Options::default() }.encode(),
            ..Segment::default()
        }
    }
}

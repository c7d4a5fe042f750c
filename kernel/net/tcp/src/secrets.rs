use drupe_net_base::hash::Key;
use drupe_net_base::{Instant, MILLISECOND, Random};

use crate::Seq;

/// A flow as words to be hashed: both addresses and both ports, in an order that the two
/// directions need not share.
pub type FlowWords = [u64; 5];

/// What sequence numbers, timestamps and cookies are derived from: unpredictable from outside,
/// the same on every CPU.
#[derive(Debug, Clone, Copy)]
pub struct Secrets {
    isn: Key,
    timestamp: Key,
    cookie: Key,
    port: Key,
}

/// Segment sizes that a cookie can express, ascending.
const COOKIE_MSS: [u16; 8] = [216, 536, 1220, 1300, 1400, 1440, 1460, 8960];
/// Length of a cookie period: a cookie is good for this one and the one before.
const COOKIE_PERIOD: u64 = 64_000 * MILLISECOND;
/// Low bits of the timestamp that carry options in a cookie's SYN-ACK.
pub(crate) const COOKIE_TIMESTAMP_BITS: u32 = 6;

impl Secrets {
    /// Secrets from a generator.
    pub fn new(random: &mut Random) -> Self {
        Secrets {
            isn: random.key(),
            timestamp: random.key(),
            cookie: random.key(),
            port: random.key(),
        }
    }

    /// Initial sequence number (RFC 6528): a hash of the flow plus a clock of 64 ns.
    pub fn initial_sequence(&self, flow: &FlowWords, now: Instant) -> Seq {
        Seq((self.isn.sip(flow) as u32).wrapping_add((now.nanos() >> 6) as u32))
    }

    /// Offset of a flow's timestamps, so that they reveal neither uptime nor other flows.
    pub fn timestamp_offset(&self, flow: &FlowWords) -> u32 {
        // Ports are left out: a new connection between two hosts continues the clock of the
        // last, which reuse of TIME-WAIT relies on.
        self.timestamp.sip(&flow[..4]) as u32
    }

    /// First ephemeral port to try for a destination (RFC 6056 §3.3.3), as an offset.
    pub fn port_offset(&self, flow: &FlowWords) -> u32 {
        self.port.sip(flow) as u32
    }

    /// A cookie as the sequence number of a SYN-ACK: five bits of period, three of segment size,
    /// 24 of hash.
    pub(crate) fn cookie(&self, flow: &FlowWords, irs: Seq, mss: u16, now: Instant) -> Seq {
        let period = now.nanos() / COOKIE_PERIOD;
        let index = COOKIE_MSS.iter().rposition(|&size| size <= mss).unwrap_or(0) as u32;
        Seq(self.cookie_at(flow, irs, period, index))
    }

    /// The segment size behind a cookie, if this machine made it lately.
    pub(crate) fn check_cookie(
        &self,
        flow: &FlowWords,
        irs: Seq,
        cookie: Seq,
        now: Instant,
    ) -> Option<u16> {
        let current = now.nanos() / COOKIE_PERIOD;
        let index = cookie.0 >> 24 & 7;
        (0..2).find_map(|age| {
            let period = current.checked_sub(age)?;
            (self.cookie_at(flow, irs, period, index) == cookie.0)
                .then(|| COOKIE_MSS[index as usize])
        })
    }

    fn cookie_at(&self, flow: &FlowWords, irs: Seq, period: u64, index: u32) -> u32 {
        let extra = [u64::from(irs.0), period, u64::from(index)];
        let mut words = [0; 8];
        words[..5].copy_from_slice(flow);
        words[5..].copy_from_slice(&extra);
        let hash = self.cookie.sip(&words) as u32 & 0x00ff_ffff;
        ((period as u32 & 31) << 27) | index << 24 | hash
    }
}

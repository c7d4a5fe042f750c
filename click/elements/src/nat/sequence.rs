//! Sequence numbers of TCP flows whose data changes its length on the way.
//!
//! Behind each place where bytes were added or taken, the numbers of that direction are
//! shifted, and so must be the acknowledgements that come back (RFC 9293, section 3.4; SACK
//! blocks as in RFC 2018, section 3).

use alloc::vec::Vec;

use click_runtime::Packet;

use crate::wire;

/// Numbers that far behind a change are taken to be of another turn of the counter.
const HORIZON: u32 = 1 << 30;

/// Whether one sequence number is at or behind another.
fn is_from(number: u32, start: u32) -> bool {
    number.wrapping_sub(start) < 1 << 31
}

/// The shifts of one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shift {
    /// For numbers before the first change.
    base: u32,
    /// Where data changed, oldest first, and the shift from there on.
    changes: Vec<(u32, u32)>,
}

/// Changes that are remembered; older ones count as of another turn.
const MOST_CHANGES: usize = 64;

impl Shift {
    /// What a number of the sender becomes.
    fn outward(&self, number: u32) -> u32 {
        let change = self.changes.iter().rev().find(|change| is_from(number, change.0));
        number.wrapping_add(change.map_or(self.base, |change| change.1))
    }

    /// The sender's number that became this one.
    fn inward(&self, number: u32) -> u32 {
        let passed = |change: &&(u32, u32)| is_from(number, change.0.wrapping_add(change.1));
        let change = self.changes.iter().rev().find(passed);
        number.wrapping_sub(change.map_or(self.base, |change| change.1))
    }

    fn add(&mut self, from: u32, difference: u32) {
        match self.changes.last() {
            Some(&(last, _)) if last == from => {
                self.changes.pop();
            }
            // Sent again, or out of order: what was changed then stays.
            Some(&(last, _)) if !is_from(from, last) => return,
            _ => {}
        }
        let before = self.changes.last().map_or(self.base, |change| change.1);
        self.changes.push((from, before.wrapping_add(difference)));
        if self.changes.len() > MOST_CHANGES {
            self.base = self.changes.remove(0).1;
        }
    }

    /// Forgets the changes that are far behind a number of the sender.
    fn forget(&mut self, number: u32) {
        while let Some(&(from, shift)) = self.changes.first()
            && is_from(number, from.wrapping_add(HORIZON))
        {
            self.base = shift;
            self.changes.remove(0);
        }
    }
}

/// The shifts of a flow: forward, and of replies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shifts([Shift; 2]);

impl Shifts {
    /// Notes that from the sender's number `from` on the data is shifted by `difference`
    /// bytes more than before.
    pub(crate) fn add(&mut self, reply: bool, from: u32, difference: i32) {
        self.0[usize::from(reply)].add(from, difference as u32);
    }

    /// Shifts the numbers in a packet, which has its TCP header marked.
    pub(crate) fn apply(&mut self, reply: bool, packet: &mut Packet) {
        let transport = packet.transport_data_mut();
        let length = transport.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
        let Some(tcp) = transport.get_mut(..length).filter(|tcp| tcp.len() >= 20) else { return };
        let before = wire::fold(wire::sum(tcp));
        let sequence = wire::u32_at(tcp, 4);
        let (own, other) = (usize::from(reply), usize::from(!reply));
        self.0[own].forget(sequence);
        wire::put(tcp, 4, &self.0[own].outward(sequence).to_be_bytes());
        let mut places = alloc::vec![8];
        places.extend(sack_edges(tcp));
        for at in places {
            let number = self.0[other].inward(wire::u32_at(tcp, at));
            wire::put(tcp, at, &number.to_be_bytes());
        }
        let after = wire::fold(wire::sum(tcp));
        let checksum = wire::update(wire::u16_at(tcp, 16), before, after);
        wire::put(tcp, 16, &checksum.to_be_bytes());
    }
}

/// Where the edges of SACK blocks are in a TCP header.
fn sack_edges(tcp: &[u8]) -> Vec<usize> {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const SACK: u8 = 5;
    let mut edges = Vec::new();
    let mut at = 20;
    while let Some(&kind) = tcp.get(at) {
        let length = match (kind, tcp.get(at + 1)) {
            (END, _) => break,
            (NOTHING, _) => 1,
            (_, Some(&length)) if length >= 2 => usize::from(length),
            _ => break,
        };
        if at + length > tcp.len() {
            break;
        }
        if kind == SACK {
            edges.extend((at + 2..at + length).step_by(4).filter(|edge| edge + 4 <= at + length));
        }
        at += length;
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_behind_a_change_are_shifted_both_ways() {
        let mut shift = Shift::default();
        shift.add(30, 12u32.wrapping_neg());
        shift.add(65, 5);
        assert_eq!([0, 29, 30, 64, 65].map(|n| shift.outward(n)), [0, 29, 18, 52, 58]);
        assert_eq!([0, 17, 18, 52, 58].map(|n| shift.inward(n)), [0, 17, 30, 64, 65]);
        // Sent again with another length.
        shift.add(65, 7);
        shift.add(40, 100);
        assert_eq!(shift.outward(65), 60);
    }

    #[test]
    fn changes_far_behind_are_forgotten() {
        let mut shift = Shift::default();
        shift.add(u32::MAX - 5, 10);
        assert_eq!(shift.outward(3), 13);
        shift.forget(HORIZON);
        assert_eq!((shift.outward(HORIZON), shift.changes.len()), (HORIZON + 10, 0));
    }
}

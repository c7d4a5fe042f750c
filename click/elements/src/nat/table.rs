//! The table of flows of a rewriter.
//!
//! Flows lie in blocks, so that the table grows without copying them. The index has two
//! entries for each flow, one per direction, in open addressing with linear probing. An
//! entry holds 32 bits of the hash, so that a wrong flow is hardly ever looked at. The hash
//! is keyed: a sender cannot choose ports that meet in one place.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::flow::{FlowId, Group};

/// A flow.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub(crate) group: Group,
    /// Packets of the flow come with the first identity and leave with the second.
    pub(crate) forward: [FlowId; 2],
    /// Time until which the flow has a claim to its place.
    pub(crate) guaranteed: i64,
    /// Time at which it ends if no packet comes.
    pub(crate) expiry: i64,
    /// Packets so far, counted up to the largest number.
    pub(crate) packets: u8,
    /// Data was seen, and the end was seen, in each direction.
    pub(crate) data: [bool; 2],
    pub(crate) done: [bool; 2],
    pub(crate) input: u16,
    pub(crate) outputs: [u16; 2],
    /// Annotation that replies get.
    pub(crate) annotation: u8,
}

impl Flow {
    /// The identity of packets that belong to the flow: forward, or replies.
    #[inline]
    pub(crate) fn key(&self, reply: bool) -> FlowId {
        if reply { self.forward[1].reverse() } else { self.forward[0] }
    }

    /// What packets become: forward, or replies.
    #[inline]
    pub(crate) fn result(&self, reply: bool) -> FlowId {
        if reply { self.forward[0].reverse() } else { self.forward[1] }
    }
}

/// Flows in a block.
const BLOCK: usize = 1024;

/// An index entry that refers to no flow.
const EMPTY: u64 = u64::MAX;

/// All flows of one rewriter.
pub(crate) struct Table {
    blocks: Vec<Vec<Option<Flow>>>,
    free: Vec<u32>,
    /// Entries: hash in the upper half, number and direction (1 for replies) in the lower.
    index: Vec<u64>,
    /// Entries in use.
    used: usize,
    count: usize,
    keys: [u64; 2],
    /// Grows with each flow that is added or removed.
    version: u64,
    /// Kept while the table is full.
    ends: Option<Ends>,
}

type Times = BinaryHeap<Reverse<(i64, u32)>>;

/// Which flows end next. Times are those of when a flow was entered, or earlier; what a
/// flow became since is looked at when its time comes.
struct Ends {
    /// When flows end.
    free: Times,
    /// When the claims of other flows end.
    held: Times,
}

impl Ends {
    fn new(blocks: &[Vec<Option<Flow>>]) -> Self {
        let flows = blocks.iter().flatten().enumerate();
        let free = flows.filter_map(|(at, flow)| Some(Reverse((flow.as_ref()?.expiry, at as u32))));
        Self { free: free.collect(), held: Times::new() }
    }

    fn len(&self) -> usize {
        self.free.len() + self.held.len()
    }

    /// Enters the flows whose claims ended.
    fn release(&mut self, now: i64, blocks: &[Vec<Option<Flow>>]) {
        while let Some(&Reverse((until, number))) = self.held.peek()
            && until <= now
        {
            self.held.pop();
            if let Some(flow) = flow_at(blocks, number) {
                self.free.push(Reverse((flow.expiry, number)));
            }
        }
    }
}

#[inline]
fn flow_at(blocks: &[Vec<Option<Flow>>], number: u32) -> Option<&Flow> {
    blocks.get(number as usize / BLOCK)?.get(number as usize % BLOCK)?.as_ref()
}

impl Default for Table {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            free: Vec::new(),
            index: alloc::vec![EMPTY; 16],
            used: 0,
            count: 0,
            keys: [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03],
            version: 0,
            ends: None,
        }
    }
}

impl Table {
    /// Makes the hash differ from table to table. The table must be empty.
    pub(crate) fn set_keys(&mut self, keys: [u64; 2]) {
        debug_assert!(self.count == 0);
        self.keys = keys;
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A number that changes when flows come or go.
    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The hash of an identity.
    #[inline]
    pub(crate) fn hash(&self, group: Group, id: FlowId) -> u32 {
        let word = |address: [u8; 4]| u64::from(u32::from_ne_bytes(address));
        let addresses = word(id.source) << 32 | word(id.destination);
        let ports = u64::from(id.sport) << 32 | u64::from(id.dport) << 16 | group as u64;
        let product = u128::from(addresses ^ self.keys[0]) * u128::from(ports ^ self.keys[1]);
        let folded = product as u64 ^ (product >> 64) as u64;
        (folded ^ folded >> 32) as u32
    }

    /// The first entry that the search for a hash looks at. Reading it ahead for several
    /// packets lets the memory work on all of them at once.
    #[inline]
    pub(crate) fn first_entry(&self, hash: u32) -> u64 {
        self.index.get(hash as usize & (self.index.len() - 1)).copied().unwrap_or(EMPTY)
    }

    fn place(&self, entry: u64) -> usize {
        (entry >> 32) as usize & (self.index.len() - 1)
    }

    fn flow(&self, number: u32) -> Option<&Flow> {
        flow_at(&self.blocks, number)
    }

    fn slot(&mut self, number: u32) -> Option<&mut Option<Flow>> {
        self.blocks.get_mut(number as usize / BLOCK)?.get_mut(number as usize % BLOCK)
    }

    #[inline]
    pub(crate) fn flow_mut(&mut self, number: u32) -> Option<&mut Flow> {
        self.slot(number)?.as_mut()
    }

    /// Place in the index of the entry for an identity.
    #[inline]
    fn locate(&self, group: Group, id: FlowId, hash: u32) -> Option<usize> {
        let mask = self.index.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let entry = *self.index.get(at)?;
            if entry == EMPTY {
                return None;
            }
            if (entry >> 32) as u32 == hash
                && let Some(flow) = self.flow(entry as u32 >> 1)
                && flow.group == group
                && flow.key(entry & 1 == 1) == id
            {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    /// The flow that packets of this identity and hash belong to, and whether they are
    /// replies.
    #[inline]
    pub(crate) fn find_hashed(&self, group: Group, id: FlowId, hash: u32) -> Option<(u32, bool)> {
        let entry = self.index[self.locate(group, id, hash)?];
        Some((entry as u32 >> 1, entry & 1 == 1))
    }

    /// The flow that packets of this identity belong to, and whether they are replies.
    pub(crate) fn find(&self, group: Group, id: FlowId) -> Option<(u32, bool)> {
        self.find_hashed(group, id, self.hash(group, id))
    }

    /// Enters what packets of an identity belong to, in place of what they belonged to.
    fn enter(&mut self, group: Group, id: FlowId, number: u32, reply: bool) {
        let hash = self.hash(group, id);
        let entry = u64::from(hash) << 32 | u64::from(number << 1 | u32::from(reply));
        if let Some(at) = self.locate(group, id, hash) {
            self.index[at] = entry;
            return;
        }
        if (self.used + 1) * 4 > self.index.len() * 3 {
            self.grow();
        }
        self.put(entry);
        self.used += 1;
    }

    fn put(&mut self, entry: u64) {
        let mask = self.index.len() - 1;
        let mut at = self.place(entry);
        while self.index[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.index[at] = entry;
    }

    fn grow(&mut self) {
        let larger = alloc::vec![EMPTY; self.index.len() * 2];
        let old = core::mem::replace(&mut self.index, larger);
        for entry in old.into_iter().filter(|entry| *entry != EMPTY) {
            self.put(entry);
        }
    }

    /// Takes an entry out; those behind it that were pushed on move up.
    fn erase(&mut self, mut hole: usize) {
        let mask = self.index.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.index[at];
            if entry == EMPTY {
                break;
            }
            // The entry may move if its own place is not between the hole and itself.
            let distance = at.wrapping_sub(self.place(entry)) & mask;
            if distance >= at.wrapping_sub(hole) & mask {
                self.index[hole] = entry;
                hole = at;
            }
        }
        self.index[hole] = EMPTY;
        self.used -= 1;
    }

    pub(crate) fn insert(&mut self, flow: Flow) -> u32 {
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
                    self.blocks.push(Vec::with_capacity(BLOCK));
                }
                let full = (self.blocks.len() - 1) * BLOCK;
                let last = self.blocks.len() - 1;
                self.blocks[last].push(None);
                (full + self.blocks[last].len() - 1) as u32
            }
        };
        let (group, forward, reply) = (flow.group, flow.key(false), flow.key(true));
        if let Some(ends) = &mut self.ends {
            ends.free.push(Reverse((flow.expiry, number)));
        }
        if let Some(slot) = self.slot(number) {
            *slot = Some(flow);
        }
        // If both are the same, packets count as replies.
        self.enter(group, forward, number, false);
        self.enter(group, reply, number, true);
        self.count += 1;
        self.version += 1;
        number
    }

    pub(crate) fn remove(&mut self, number: u32) {
        let Some(flow) = self.flow(number) else { return };
        let (group, keys) = (flow.group, [flow.key(false), flow.key(true)]);
        for id in keys {
            if let Some(at) = self.locate(group, id, self.hash(group, id))
                && self.index[at] as u32 >> 1 == number
            {
                self.erase(at);
            }
        }
        if let Some(slot) = self.slot(number) {
            *slot = None;
        }
        self.free.push(number);
        self.count -= 1;
        self.version += 1;
    }

    /// Removes the flows that `remove` picks.
    pub(crate) fn remove_if(&mut self, remove: impl Fn(&Flow) -> bool) {
        for number in 0..(self.blocks.len() * BLOCK) as u32 {
            if self.flow(number).is_some_and(&remove) {
                self.remove(number);
            }
        }
        // There is room again: nobody asks for the next to end for some time.
        self.ends = None;
    }

    /// The flow without a claim that ends first, and when.
    pub(crate) fn weakest(&mut self, now: i64) -> Option<(i64, u32)> {
        let blocks = &self.blocks;
        if self.ends.as_ref().is_some_and(|ends| ends.len() > 64 + 4 * self.count) {
            self.ends = None;
        }
        let ends = self.ends.get_or_insert_with(|| Ends::new(blocks));
        ends.release(now, blocks);
        while let Some(&Reverse((expiry, number))) = ends.free.peek() {
            match flow_at(blocks, number) {
                // It has a claim again: out of the way until that ends.
                Some(flow) if flow.expiry >= expiry && flow.guaranteed > now => {
                    ends.free.pop();
                    ends.held.push(Reverse((flow.guaranteed, number)));
                }
                Some(flow) if flow.expiry == expiry => return Some((expiry, number)),
                // It lives longer by now.
                Some(flow) if flow.expiry > expiry => {
                    ends.free.pop();
                    ends.free.push(Reverse((flow.expiry, number)));
                }
                // It is gone, or its life was cut short and it is entered anew.
                _ => {
                    ends.free.pop();
                }
            }
        }
        None
    }

    /// Notes that a flow ends earlier than it did.
    pub(crate) fn shortened(&mut self, number: u32) {
        let expiry = self.flow(number).map(|flow| flow.expiry);
        if let (Some(ends), Some(expiry)) = (&mut self.ends, expiry) {
            ends.free.push(Reverse((expiry, number)));
        }
    }

    /// All flows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.blocks.iter().flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(port: u16, expiry: i64) -> Flow {
        let id = |source: [u8; 4], sport| FlowId { source, sport, destination: [9; 4], dport: 80 };
        Flow {
            group: Group::Tcp,
            forward: [id([10, 0, 0, 1], port), id([192, 0, 2, 1], port)],
            guaranteed: 0,
            expiry,
            packets: 0,
            data: [false; 2],
            done: [false; 2],
            input: 0,
            outputs: [0; 2],
            annotation: 0,
        }
    }

    #[test]
    fn a_flow_is_small() {
        assert!(size_of::<Option<Flow>>() <= 56);
    }

    #[test]
    fn flows_are_found_both_ways_while_others_come_and_go() {
        let mut table = Table::default();
        let numbers: Vec<u32> =
            (0..5000).map(|port| table.insert(flow(port, i64::from(port)))).collect();
        for (port, number) in numbers.iter().enumerate() {
            if port % 3 == 0 {
                table.remove(*number);
            }
        }
        assert_eq!(table.len(), 5000 - 1667);
        for (port, number) in numbers.iter().enumerate() {
            let wanted = flow(port as u16, 0);
            for reply in [false, true] {
                let found = table.find(Group::Tcp, wanted.key(reply));
                assert_eq!(found, (port % 3 != 0).then_some((*number, reply)), "{port}");
            }
            assert_eq!(table.find(Group::Udp, wanted.key(false)), None);
        }
        table.remove_if(|_| true);
        assert_eq!((table.len(), table.used), (0, 0));
    }

    #[test]
    fn the_weakest_is_the_one_that_ends_first_now() {
        let mut table = Table::default();
        let first = table.insert(flow(1, 10));
        let second = table.insert(flow(2, 20));
        let third = table.insert(flow(3, 30));
        assert_eq!(table.weakest(0), Some((10, first)));
        table.flow_mut(first).unwrap().expiry = 40;
        table.flow_mut(second).unwrap().guaranteed = 5;
        assert_eq!(table.weakest(0), Some((30, third)));
        assert_eq!(table.weakest(5), Some((20, second)));
        table.flow_mut(first).unwrap().expiry = 3;
        table.shortened(first);
        assert_eq!(table.weakest(5), Some((3, first)));
        table.remove(first);
        let last = table.insert(flow(4, 1));
        assert_eq!(table.weakest(5), Some((1, last)));
        table.remove_if(|_| true);
        assert_eq!(table.weakest(5), None);
    }
}

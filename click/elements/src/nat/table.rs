//! The table of flows of a rewriter.

use alloc::vec::Vec;

use hashbrown::HashMap;

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
    pub(crate) packets: u32,
    /// Data was seen, and the end was seen, in each direction.
    pub(crate) data: [bool; 2],
    pub(crate) done: [bool; 2],
    pub(crate) input: u16,
    pub(crate) outputs: [u16; 2],
    /// Annotation that replies get.
    pub(crate) annotation: u8,
}

impl Flow {
    /// Identities of packets that belong to the flow: forward, and replies.
    pub(crate) fn keys(&self) -> [FlowId; 2] {
        [self.forward[0], self.forward[1].reverse()]
    }

    /// What packets become: forward, and replies.
    pub(crate) fn results(&self) -> [FlowId; 2] {
        [self.forward[1], self.forward[0].reverse()]
    }
}

/// All flows of one rewriter.
#[derive(Default)]
pub(crate) struct Table {
    flows: Vec<Option<Flow>>,
    free: Vec<u32>,
    /// Identity of packets to flow number and direction (true for replies).
    index: HashMap<(Group, FlowId), (u32, bool)>,
    count: usize,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The flow that packets of this identity belong to, and whether they are replies.
    #[inline]
    pub(crate) fn find(&self, group: Group, id: FlowId) -> Option<(u32, bool)> {
        self.index.get(&(group, id)).copied()
    }

    #[inline]
    pub(crate) fn flow_mut(&mut self, number: u32) -> Option<&mut Flow> {
        self.flows.get_mut(number as usize)?.as_mut()
    }

    pub(crate) fn insert(&mut self, flow: Flow) -> u32 {
        let number = match self.free.pop() {
            Some(number) => number,
            None => {
                self.flows.push(None);
                (self.flows.len() - 1) as u32
            }
        };
        let [forward, reply] = flow.keys();
        self.index.insert((flow.group, forward), (number, false));
        // If both are the same, packets count as replies.
        self.index.insert((flow.group, reply), (number, true));
        self.flows[number as usize] = Some(flow);
        self.count += 1;
        number
    }

    pub(crate) fn remove(&mut self, number: u32) {
        let Some(flow) = self.flows.get_mut(number as usize).and_then(Option::take) else { return };
        for key in flow.keys() {
            if self.find(flow.group, key).is_some_and(|(known, _)| known == number) {
                self.index.remove(&(flow.group, key));
            }
        }
        self.free.push(number);
        self.count -= 1;
    }

    /// Removes the flows that `remove` picks.
    pub(crate) fn remove_if(&mut self, remove: impl Fn(&Flow) -> bool) {
        for number in 0..self.flows.len() {
            if self.flows[number].as_ref().is_some_and(&remove) {
                self.remove(number as u32);
            }
        }
    }

    /// The flow without a claim that ends first, and when.
    pub(crate) fn weakest(&self, now: i64) -> Option<(i64, u32)> {
        self.flows
            .iter()
            .enumerate()
            .filter_map(|(number, flow)| Some((flow.as_ref()?, number)))
            .filter(|(flow, _)| flow.guaranteed <= now)
            .map(|(flow, number)| (flow.expiry, number as u32))
            .min()
    }

    /// All flows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter().flatten()
    }
}

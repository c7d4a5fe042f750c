//! A routing table: the route with the longest prefix that covers an address.
//!
//! All addresses are divided into ranges with the same best route. The ranges lie in one
//! array, in parts by the first bits of the address; an index of those bits says where a
//! part is, and a binary search in the part ends the look-up. The index grows with the
//! table, so that a part is a few ranges, usually in one line of the cache. (The idea is
//! that of DXR: Zec, Rizzo, Mikuc, CCR 42(5), 2012.)

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use click_language::value;
use hashbrown::HashMap;

/// Where a route leads: an output, and a gateway unless the destination is reached directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Hop {
    pub(super) gateway: [u8; 4],
    pub(super) port: u32,
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) network: u32,
    /// Bits of the prefix, 0 to 32.
    pub(super) length: u8,
    pub(super) hop: Hop,
}

/// What is kept of a route: the number of its hop, and its place in the order of additions.
#[derive(Clone, Copy)]
struct Entry {
    hop: u32,
    order: u32,
}

/// No route covers the address.
const NONE: u32 = u32::MAX;

/// A part of the address space: `count` ranges from `first` on, or if `count` is 0 the hop
/// `first` for all.
#[derive(Clone, Copy, Default)]
struct Part {
    first: u32,
    count: u32,
}

/// Most bits of the index: 2 MiB of parts.
const MOST_BITS: u32 = 18;

/// Parts that may wait to be made anew before it is cheaper to make all anew.
const MOST_STALE: usize = 256;

/// The network mask of a prefix.
pub(super) fn mask(length: u8) -> u32 {
    u32::from_be_bytes(value::mask_of(u32::from(length)))
}

/// Routes, and the ranges made from them.
#[derive(Default)]
pub(super) struct Table {
    routes: BTreeMap<(u32, u8), Entry>,
    hops: Vec<Hop>,
    /// Number and uses of each hop.
    known: HashMap<Hop, (u32, u32)>,
    free: Vec<u32>,
    next_order: u32,
    /// Bits of the address that the index looks at.
    bits: u32,
    parts: Vec<Part>,
    starts: Vec<u32>,
    targets: Vec<u32>,
    /// Ranges that no part refers to any more.
    garbage: usize,
    /// Parts to be made anew; all of them if `stale_all`.
    stale: Vec<u32>,
    stale_all: bool,
}

/// Ranges from `low` to `high` of one best route each, as first address and hop.
fn ranges(
    (low, high): (u32, u32),
    cover: u32,
    routes: impl Iterator<Item = (u32, u8, u32)>,
) -> Vec<(u32, u32)> {
    let mut list = alloc::vec![(low, cover)];
    let mut add = |start: u32, hop: u32| match list.last_mut() {
        Some(last) if last.0 == start => last.1 = hop,
        Some(last) if last.1 == hop => {}
        _ => list.push((start, hop)),
    };
    // Routes come by network, shorter ones first, so that those around one are below it.
    let mut open: Vec<(u32, u32)> = Vec::new();
    let close = |open: &mut Vec<(u32, u32)>, add: &mut dyn FnMut(u32, u32)| {
        if let Some((end, _)) = open.pop()
            && end < high
        {
            // What ends at the same address gives way to the next around it.
            add(end + 1, open.last().map_or(cover, |around| around.1));
        }
    };
    for (network, length, hop) in routes {
        while open.last().is_some_and(|&(end, _)| end < network) {
            close(&mut open, &mut add);
        }
        add(network, hop);
        open.push((network | !mask(length), hop));
    }
    while !open.is_empty() {
        close(&mut open, &mut add);
    }
    list.dedup_by(|next, last| next.1 == last.1);
    list
}

impl Table {
    /// Makes ready for look-ups after changes.
    #[inline]
    pub(super) fn settle(&mut self) {
        if self.stale_all || !self.stale.is_empty() || self.parts.is_empty() {
            self.rebuild();
        }
    }

    /// Where packets for an address go. The table must be settled.
    #[inline]
    pub(super) fn find(&self, address: u32) -> Option<Hop> {
        let index = address.checked_shr(32 - self.bits).unwrap_or(0);
        let part = self.parts.get(index as usize)?;
        if part.count == 0 {
            return self.hops.get(part.first as usize).copied();
        }
        let (mut first, mut count) = (part.first as usize, part.count as usize);
        // The last range that begins at or before the address, without branches to guess.
        while count > 1 {
            let half = count / 2;
            let middle = self.starts.get(first + half).copied().unwrap_or(u32::MAX);
            first = if middle <= address { first + half } else { first };
            count -= half;
        }
        self.hops.get(*self.targets.get(first)? as usize).copied()
    }

    fn rebuild(&mut self) {
        let wanted = (self.routes.len() * 4).max(1).ilog2().min(MOST_BITS);
        if self.stale_all || self.parts.is_empty() || wanted > self.bits + 2 {
            self.rebuild_all(wanted);
            return;
        }
        for part in core::mem::take(&mut self.stale) {
            self.rebuild_part(part);
        }
        if self.garbage > self.starts.len() / 2 + 64 {
            self.rebuild_all(wanted);
        }
    }

    fn shift(&self) -> u32 {
        32 - self.bits
    }

    fn rebuild_all(&mut self, bits: u32) {
        self.bits = bits;
        self.stale.clear();
        self.stale_all = false;
        self.garbage = 0;
        let routes = self.routes.iter();
        let routes = routes.map(|(&(network, length), entry)| (network, length, entry.hop));
        let all = ranges((0, u32::MAX), NONE, routes);
        let (parts, shift) = (1usize << bits, self.shift());
        self.starts = Vec::with_capacity(all.len() + parts);
        self.targets = Vec::with_capacity(all.len() + parts);
        self.parts = Vec::with_capacity(parts);
        let mut rest = all.into_iter().peekable();
        let mut current = NONE;
        for part in 0..parts as u64 {
            let (low, end) = (part << shift, (part + 1) << shift);
            let first = self.starts.len();
            if rest.peek().is_none_or(|next| u64::from(next.0) > low) {
                self.starts.push(low as u32);
                self.targets.push(current);
            }
            while let Some((start, hop)) = rest.next_if(|next| u64::from(next.0) < end) {
                self.starts.push(start);
                self.targets.push(hop);
                current = hop;
            }
            let count = self.starts.len() - first;
            if count == 1 {
                self.starts.pop();
                self.targets.pop();
                self.parts.push(Part { first: current, count: 0 });
            } else {
                self.parts.push(Part { first: first as u32, count: count as u32 });
            }
        }
        self.starts.shrink_to_fit();
        self.targets.shrink_to_fit();
    }

    fn rebuild_part(&mut self, part: u32) {
        let low = part.checked_shl(self.shift()).unwrap_or(0);
        let high = low | u32::MAX.checked_shr(self.bits).unwrap_or(0);
        let inside = self.routes.range((low, 0)..=(high, 32));
        let cover = self.around(low, self.bits as u8);
        let list = ranges(
            (low, high),
            cover,
            inside.map(|(&(network, length), entry)| (network, length, entry.hop)),
        );
        let slot = &mut self.parts[part as usize];
        self.garbage += slot.count as usize;
        if let [(_, hop)] = list[..] {
            *slot = Part { first: hop, count: 0 };
            return;
        }
        let first = if list.len() <= slot.count as usize {
            self.garbage -= list.len();
            slot.first as usize
        } else {
            let first = self.starts.len();
            self.starts.resize(first + list.len(), 0);
            self.targets.resize(first + list.len(), NONE);
            first
        };
        *slot = Part { first: first as u32, count: list.len() as u32 };
        for (at, (start, hop)) in list.into_iter().enumerate() {
            self.starts[first + at] = start;
            self.targets[first + at] = hop;
        }
    }

    /// The hop of the longest route around an address that is shorter than `length`.
    fn around(&self, address: u32, length: u8) -> u32 {
        let found = (0..length).rev().find_map(|shorter| {
            self.routes.get(&(address & mask(shorter), shorter)).map(|entry| entry.hop)
        });
        found.unwrap_or(NONE)
    }

    fn mark_stale(&mut self, network: u32, length: u8) {
        let length = u32::from(length);
        let count = 1usize << self.bits.saturating_sub(length);
        if self.stale_all || self.stale.len() + count > MOST_STALE {
            self.stale_all = true;
            self.stale.clear();
            return;
        }
        let first = network.checked_shr(self.shift()).unwrap_or(0);
        for part in first..first + count as u32 {
            if !self.stale.contains(&part) {
                self.stale.push(part);
            }
        }
    }

    fn use_hop(&mut self, hop: Hop) -> u32 {
        if let Some((number, uses)) = self.known.get_mut(&hop) {
            *uses += 1;
            return *number;
        }
        let number = match self.free.pop() {
            Some(number) => {
                self.hops[number as usize] = hop;
                number
            }
            None => {
                self.hops.push(hop);
                (self.hops.len() - 1) as u32
            }
        };
        self.known.insert(hop, (number, 1));
        number
    }

    fn release_hop(&mut self, number: u32) {
        let Some(hop) = self.hops.get(number as usize).copied() else { return };
        if let Some((_, uses)) = self.known.get_mut(&hop) {
            *uses -= 1;
            if *uses == 0 {
                self.known.remove(&hop);
                self.free.push(number);
            }
        }
    }

    /// Places in the order run out after four thousand million additions.
    fn renumber(&mut self) {
        let mut order: Vec<(u32, u8)> = self.routes.keys().copied().collect();
        order.sort_unstable_by_key(|key| self.routes.get(key).map_or(0, |entry| entry.order));
        self.next_order = 0;
        for key in order {
            if let Some(entry) = self.routes.get_mut(&key) {
                entry.order = self.next_order;
                self.next_order += 1;
            }
        }
    }

    /// The route for exactly this prefix.
    pub(super) fn get(&self, network: u32, length: u8) -> Option<Route> {
        let entry = self.routes.get(&(network, length))?;
        Some(Route { network, length, hop: *self.hops.get(entry.hop as usize)? })
    }

    /// Adds a route; one for the same prefix gives way, but keeps its place in the order.
    pub(super) fn insert(&mut self, route: Route) {
        if self.next_order == u32::MAX {
            self.renumber();
        }
        let hop = self.use_hop(route.hop);
        let mut entry = Entry { hop, order: self.next_order };
        self.next_order += 1;
        if let Some(old) = self.routes.get(&(route.network, route.length)).copied() {
            entry.order = old.order;
            self.release_hop(old.hop);
        }
        self.routes.insert((route.network, route.length), entry);
        self.mark_stale(route.network, route.length);
    }

    /// Removes the route for exactly this prefix.
    pub(super) fn remove(&mut self, network: u32, length: u8) {
        if let Some(entry) = self.routes.remove(&(network, length)) {
            self.release_hop(entry.hop);
            self.mark_stale(network, length);
        }
    }

    /// All routes in the order in which they were added.
    pub(super) fn in_order(&self) -> Vec<Route> {
        let mut list: Vec<(u32, Route)> = self
            .routes
            .iter()
            .filter_map(|(&(network, length), entry)| {
                Some((entry.order, self.get(network, length)?))
            })
            .collect();
        list.sort_unstable_by_key(|(order, _)| *order);
        list.into_iter().map(|(_, route)| route).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers(u32);

    impl Numbers {
        fn next(&mut self) -> u32 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            self.0 >> 4
        }
    }

    fn check(table: &mut Table, addresses: impl Iterator<Item = u32>) {
        table.settle();
        for address in addresses {
            let covering = |route: &Route| address & mask(route.length) == route.network;
            let best = table.in_order().into_iter().filter(covering).max_by_key(|r| r.length);
            assert_eq!(table.find(address), best.map(|route| route.hop), "{address:08x}");
        }
    }

    fn route(network: u32, length: u8, port: u32) -> Route {
        Route { network: network & mask(length), length, hop: Hop { gateway: [0; 4], port } }
    }

    /// Random routes added and removed: the ranges agree with a search of the list.
    #[test]
    fn agrees_with_a_linear_search() {
        let mut table = Table::default();
        let mut numbers = Numbers(1);
        for step in 0..1500 {
            let length = (numbers.next() % 33) as u8;
            // Few distinct addresses, so that prefixes nest.
            let network = (numbers.next() & 0x0303_0303) << 4;
            if numbers.next().is_multiple_of(3) {
                table.remove(network & mask(length), length);
            } else {
                table.insert(route(network, length, step % 7));
            }
            let addresses: Vec<u32> = (0..3).map(|_| (numbers.next() & 0x0303_0303) << 4).collect();
            check(&mut table, addresses.into_iter());
        }
    }

    #[test]
    fn grows_and_keeps_the_ends() {
        let mut table = Table::default();
        check(&mut table, [0, u32::MAX].into_iter());
        let mut numbers = Numbers(7);
        for step in 0..2000 {
            let length = 8 + (numbers.next() % 25) as u8;
            table.insert(route(numbers.next() << 4, length, step));
            if step % 500 == 499 {
                let addresses: Vec<u32> = (0..20).map(|_| numbers.next() << 4).collect();
                check(&mut table, addresses.into_iter().chain([0, u32::MAX]));
            }
        }
        table.insert(route(0, 0, 9999));
        table.insert(route(u32::MAX, 32, 9998));
        table.insert(route(0, 32, 9997));
        check(&mut table, [0, 1, u32::MAX, u32::MAX - 1].into_iter());
        for route in table.in_order() {
            table.remove(route.network, route.length);
        }
        check(&mut table, [0, u32::MAX].into_iter());
        assert_eq!(table.known.len(), 0);
    }
}

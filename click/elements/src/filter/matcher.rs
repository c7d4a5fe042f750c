//! Programs in a form that runs fast: step by step, or by bitmaps where rules are many.

use alloc::vec::Vec;

use click_runtime::Packet;

use super::bitmap::Bitmaps;
use super::program::{Expression, Jump, Program, Test};

/// Offsets from here on count from the network header.
pub(crate) const NETWORK: u32 = 256;
/// Offsets from here on count from the transport header.
pub(crate) const TRANSPORT: u32 = 512;

/// Where a packet begins for the purposes of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Base {
    Data,
    Network,
    Transport,
}

/// A target: below `OUTPUTS` a node, else an output; the last drops.
type Target = u32;

const OUTPUTS: u32 = 1 << 31;
const DROP: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    base: Base,
    /// Bytes that must be there for the test.
    length: u16,
    offset: u32,
}

impl Place {
    fn new(test: Test, headers: bool) -> Self {
        let (base, offset) = match test.offset {
            offset if !headers => (Base::Data, offset),
            offset @ TRANSPORT.. => (Base::Transport, offset - TRANSPORT),
            offset @ NETWORK.. => (Base::Network, offset - NETWORK),
            offset => (Base::Data, offset),
        };
        let length = test.length().saturating_sub(test.offset - offset) as u16;
        Self { base, length, offset }
    }
}

#[derive(Clone, Copy, Debug)]
struct Node {
    place: Place,
    mask: u32,
    value: u32,
    yes: Target,
    no: Target,
    short: Target,
}

/// A program ready to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matcher {
    nodes: Vec<Node>,
    /// The rules as bitmaps, for packets that are not too short for a test.
    bitmaps: Option<Bitmaps>,
    /// Words that the fields of the bitmaps are in, and which one each is in.
    places: Vec<Place>,
    fields: Vec<usize>,
    /// Where the places are in usual packets, whose transport header follows an IP header
    /// without options, and how long those must be.
    usual: Vec<usize>,
    usual_length: usize,
    everything: Option<Jump>,
    /// All tests are on the data, none on headers.
    only_data: bool,
}

fn target(jump: Jump) -> Target {
    match jump {
        Jump::Step(step) => step as u32,
        Jump::Output(output) => OUTPUTS + output as u32,
        Jump::Drop => DROP,
    }
}

/// Memory for the work on a batch, kept to save allocations.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The words at each place of all packets.
    words: Vec<u32>,
    /// Rules that are left for each packet.
    left: Vec<u64>,
    chosen: Vec<u64>,
    /// The bitmaps of each field for all packets.
    maps: Vec<u32>,
    /// Packets that are too short for a test.
    short: Vec<usize>,
    outputs: Vec<u32>,
}

/// Length of an IPv4 header without options.
const IP_HEADER: usize = 20;

/// The output of packets that are dropped.
const NOWHERE: u32 = u32::MAX;

/// The parts of a packet by [`Base`].
type Parts<'a> = [&'a [u8]; 3];

impl Matcher {
    /// Prepares the program that was made from these patterns. With `headers`, offsets from
    /// [`NETWORK`] on count from headers.
    pub(crate) fn new(program: &Program, patterns: &[(Expression, Jump)], headers: bool) -> Self {
        let node = |step: &super::program::Step| Node {
            place: Place::new(step.test, headers),
            mask: step.test.mask,
            value: step.test.value,
            yes: target(step.yes),
            no: target(step.no),
            short: target(step.jump(step.short)),
        };
        let nodes: Vec<Node> = program.steps.iter().map(node).collect();
        let bitmaps = Bitmaps::new(patterns, nodes.len());
        let mut places: Vec<Place> = Vec::new();
        let mut fields = Vec::new();
        for field in bitmaps.iter().flat_map(|bitmaps| &bitmaps.fields) {
            let place = Place::new(field.test, headers);
            let same = |known: &Place| (known.base, known.offset) == (place.base, place.offset);
            match places.iter().position(same) {
                Some(known) => {
                    fields.push(known);
                    // Packets that are too short for one of the fields go step by step.
                    places[known].length = places[known].length.max(place.length);
                }
                None => {
                    fields.push(places.len());
                    places.push(place);
                }
            }
        }
        let usual: Vec<usize> = places
            .iter()
            .map(|place| match place.base {
                Base::Transport => IP_HEADER + place.offset as usize,
                _ => place.offset as usize,
            })
            .collect();
        let only_data = nodes.iter().all(|node| node.place.base == Base::Data);
        let mixed = !only_data && places.iter().any(|place| place.base == Base::Data);
        let usual_length = match usual.iter().max() {
            Some(last) if !mixed => last + 4,
            // No packet is that long.
            _ => usize::MAX,
        };
        Self {
            only_data,
            nodes,
            bitmaps,
            places,
            fields,
            usual,
            usual_length,
            everything: program.everything,
        }
    }

    /// Finds the outputs of packets; `u32::MAX` drops one.
    pub(crate) fn classify<'a>(&self, batch: &[Packet], scratch: &'a mut Scratch) -> &'a [u32] {
        let Scratch { words, left, chosen, maps, short, outputs } = scratch;
        outputs.clear();
        if let Some(everything) = self.everything {
            outputs.resize(batch.len(), output(target(everything)));
            return outputs;
        }
        let together = |bitmaps: &&Bitmaps| bitmaps.is_narrow() || bitmaps.has_one_summary();
        let Some(bitmaps) = self.bitmaps.as_ref().filter(together) else {
            outputs.extend(batch.iter().map(|packet| output(self.classify_one(packet))));
            return outputs;
        };
        left.clear();
        left.resize(batch.len(), u64::MAX);
        let count = batch.len();
        if count == 0 {
            return outputs;
        }
        words.resize(count * self.places.len(), 0);
        for (number, packet) in batch.iter().enumerate() {
            if let Some(bytes) = self.usual_bytes(packet) {
                let mut at = number;
                for offset in &self.usual {
                    let word = bytes.get(*offset..).and_then(|rest| rest.first_chunk::<4>());
                    if let (Some(word), Some(slot)) = (word, words.get_mut(at)) {
                        *slot = u32::from_ne_bytes(*word);
                    }
                    at += count;
                }
                continue;
            }
            let parts = self.parts(packet);
            let mut complete = true;
            let mut at = number;
            for place in &self.places {
                match (word(&parts, place), words.get_mut(at)) {
                    (Some(word), Some(slot)) => *slot = word.to_be(),
                    _ => complete = false,
                }
                at += count;
            }
            if !complete {
                short.push(number);
            }
        }
        let fields = bitmaps.fields.iter().zip(&self.fields);
        let fields = fields.map(|(field, place)| (field, place * count));
        if bitmaps.is_narrow() {
            for (field, first) in fields {
                bitmaps.restrict(field, &words[first..first + count], left, chosen);
            }
            outputs.extend(left.iter().map(|left| output(target(bitmaps.first(*left)))));
        } else {
            maps.resize(count * bitmaps.fields.len(), 0);
            for ((field, first), maps) in fields.zip(maps.chunks_exact_mut(count)) {
                bitmaps.restrict_summary(field, &words[first..first + count], left, maps);
            }
            outputs.extend(left.iter().enumerate().map(|(number, left)| {
                let maps = (&maps[..], number, count);
                output(target(bitmaps.choose(maps, core::iter::once(*left))))
            }));
        }
        for number in short.drain(..) {
            outputs[number] = output(self.walk(&self.parts(&batch[number])));
        }
        outputs
    }

    /// The bytes that `usual` counts from, if the packet is a usual one and long enough.
    #[inline]
    fn usual_bytes<'a>(&self, packet: &'a Packet) -> Option<&'a [u8]> {
        let bytes = if self.only_data {
            packet.data()
        } else if packet.network_header_len() == Some(IP_HEADER) {
            packet.network_data()
        } else {
            return None;
        };
        bytes.get(..self.usual_length)
    }

    #[inline]
    fn parts<'a>(&self, packet: &'a Packet) -> Parts<'a> {
        if self.only_data {
            return [packet.data(), &[], &[]];
        }
        let data = if packet.mac().is_some() { packet.mac_data() } else { packet.data() };
        [data, packet.network_data(), packet.transport_data()]
    }

    #[inline]
    fn classify_one(&self, packet: &Packet) -> Target {
        let parts = self.parts(packet);
        self.search(&parts).map_or_else(|| self.walk(&parts), target)
    }

    #[inline]
    fn search(&self, parts: &Parts<'_>) -> Option<Jump> {
        let bitmaps = self.bitmaps.as_ref().filter(|bitmaps| !bitmaps.is_narrow())?;
        let mut fields = self.fields.iter();
        bitmaps.search(|_| word(parts, self.places.get(*fields.next()?)?))
    }

    #[inline]
    fn walk(&self, parts: &Parts<'_>) -> Target {
        let mut at = 0;
        while let Some(node) = self.nodes.get(at as usize) {
            at = match word(parts, &node.place) {
                Some(word) if word & node.mask == node.value => node.yes,
                Some(_) => node.no,
                None => node.short,
            };
        }
        at
    }
}

fn output(target: Target) -> u32 {
    if target == DROP { NOWHERE } else { target.wrapping_sub(OUTPUTS) }
}

/// The word at a place; none if the bytes that the test needs are not there.
#[inline]
fn word(parts: &Parts<'_>, place: &Place) -> Option<u32> {
    let bytes = parts[place.base as usize];
    match bytes.get(place.offset as usize..).and_then(|rest| rest.first_chunk::<4>()) {
        Some(word) => Some(u32::from_be_bytes(*word)),
        None => last_word(bytes, place),
    }
}

/// The word at a place near the end, which may go on behind it.
#[cold]
fn last_word(bytes: &[u8], place: &Place) -> Option<u32> {
    if bytes.len() < usize::from(place.length) {
        return None;
    }
    let mut padded = [0; 4];
    let rest = bytes.get(place.offset as usize..).unwrap_or_default();
    for (slot, byte) in padded.iter_mut().zip(rest) {
        *slot = *byte;
    }
    Some(u32::from_be_bytes(padded))
}

#[cfg(test)]
mod tests {
    use super::super::program::{Expression, Order};
    use super::*;

    struct Numbers(u32);

    impl Numbers {
        fn below(&mut self, end: u32) -> u32 {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (self.0 >> 8) % end
        }
    }

    /// Rules as people write them: a source prefix, a destination port, a protocol, each
    /// there or not, some turned around.
    fn rule(numbers: &mut Numbers) -> Expression {
        let mut tests = Vec::new();
        let mut add = |numbers: &mut Numbers, offset, mask, range| {
            let value = numbers.below(range).wrapping_mul(0x0101_0101) & mask;
            let test = Expression::Test(Test { offset, mask, value });
            tests.push(if numbers.below(8) == 0 { test.not(numbers.below(2) == 0) } else { test });
        };
        if numbers.below(4) > 0 {
            let mask = [0xffff_ff00, 0xffff_ffff, 0xffff_0000][numbers.below(3) as usize];
            add(numbers, 12, mask, 40);
        }
        if numbers.below(4) > 0 {
            add(numbers, 20, 0xffff, 30);
        }
        if numbers.below(4) == 0 {
            add(numbers, 8, 0xff_0000, 3);
        }
        add(numbers, 24, 0xffff_ffff, 60);
        Expression::And(tests)
    }

    #[test]
    fn bitmaps_agree_with_the_program() {
        let mut numbers = Numbers(3);
        for rules in [1, 5, 30, 200] {
            let patterns: Vec<(Expression, Jump)> =
                (0..rules).map(|at| (rule(&mut numbers), Jump::Output(at % 5))).collect();
            let program = Program::new(&patterns, Order { rank: |offset| offset });
            let matcher = Matcher::new(&program, &patterns, false);
            assert!(rules < 30 || matcher.bitmaps.is_some());
            let mut packets = Vec::new();
            for _ in 0..2000 {
                let length = if numbers.below(8) == 0 { numbers.below(32) } else { 32 };
                let mut data = alloc::vec![0; length as usize];
                for word in data.chunks_mut(4) {
                    word.fill(numbers.below(60) as u8);
                }
                packets.push(Packet::from_data(&data));
            }
            let mut scratch = Scratch::default();
            let found = matcher.classify(&packets, &mut scratch);
            let wanted: Vec<u32> = packets
                .iter()
                .map(|packet| output(matcher.walk(&[packet.data(), &[], &[]])))
                .collect();
            assert_eq!(found, wanted);
            let taken = found.iter().filter(|output| **output != NOWHERE).count();
            assert!(rules < 30 || taken > 10, "{taken}");
        }
    }
}

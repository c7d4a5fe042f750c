//! Programs in a form that runs fast.
//!
//! Runs of steps that compare the same bits with different values become one look-up, so
//! that the cost of many rules of one kind grows with the logarithm of their number.

use alloc::vec::Vec;

use click_runtime::Packet;

use super::program::{Jump, Program, Step};

/// Offsets from here on count from the network header.
pub(crate) const NETWORK: u32 = 256;
/// Offsets from here on count from the transport header.
pub(crate) const TRANSPORT: u32 = 512;

/// Steps that make a look-up worth while.
const SHORTEST_TABLE: usize = 4;

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

#[derive(Clone, Debug)]
struct Node {
    base: Base,
    offset: u32,
    length: u32,
    mask: u32,
    value: u32,
    yes: Target,
    no: Target,
    short: Target,
    /// Values and targets, sorted; empty for a plain comparison.
    table: Vec<(u32, Target)>,
}

/// A program ready to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matcher {
    nodes: Vec<Node>,
    everything: Option<Jump>,
    /// Data that long is enough for every test on it.
    safe_length: usize,
    /// All tests are on the data, none on headers.
    plain: bool,
}

fn target(jump: Jump) -> Target {
    match jump {
        Jump::Step(step) => step as u32,
        Jump::Output(output) => OUTPUTS + output as u32,
        Jump::Drop => DROP,
    }
}

fn base(offset: u32, headers: bool) -> (Base, u32) {
    match offset {
        _ if !headers => (Base::Data, offset),
        TRANSPORT.. => (Base::Transport, offset - TRANSPORT),
        NETWORK.. => (Base::Network, offset - NETWORK),
        _ => (Base::Data, offset),
    }
}

/// The steps that follow `first` by `no` and compare the same bits.
fn run(steps: &[Step], first: usize) -> Vec<usize> {
    let mut list = alloc::vec![first];
    let mut at = first;
    while let Jump::Step(next) = steps[at].no {
        let (a, b) = (&steps[first], &steps[next]);
        if a.test.offset != b.test.offset || a.test.mask != b.test.mask || a.short || b.short {
            break;
        }
        list.push(next);
        at = next;
    }
    list
}

impl Matcher {
    /// Prepares a program. With `headers`, offsets from [`NETWORK`] on count from headers.
    pub(crate) fn new(program: &Program, headers: bool) -> Self {
        let steps = &program.steps;
        let mut nodes = Vec::with_capacity(steps.len());
        for (at, step) in steps.iter().enumerate() {
            let (base, offset) = base(step.test.offset, headers);
            let length = step.test.length() - (step.test.offset - offset);
            let run = run(steps, at);
            let mut table: Vec<(u32, Target)> = Vec::new();
            let mut no = step.no;
            if run.len() >= SHORTEST_TABLE {
                for &other in &run {
                    let value = steps[other].test.value;
                    // The first step with a value counts.
                    if !table.iter().any(|(known, _)| *known == value) {
                        table.push((value, target(steps[other].yes)));
                    }
                    no = steps[other].no;
                }
                table.sort_unstable_by_key(|(value, _)| *value);
            }
            let short = if step.short {
                target(step.yes)
            } else if table.is_empty() {
                target(step.no)
            } else {
                target(no)
            };
            nodes.push(Node {
                base,
                offset,
                length,
                mask: step.test.mask,
                value: step.test.value,
                yes: target(step.yes),
                no: target(no),
                short,
                table,
            });
        }
        let plain = nodes.iter().all(|node| node.base == Base::Data);
        Self {
            nodes,
            everything: program.everything,
            safe_length: program.safe_length() as usize + 4,
            plain,
        }
    }

    /// The output for a packet; none drops it.
    #[inline]
    pub(crate) fn classify(&self, packet: &Packet) -> Option<usize> {
        if let Some(everything) = self.everything {
            return match everything {
                Jump::Output(output) => Some(output),
                _ => None,
            };
        }
        let end = if self.plain {
            let data = packet.data();
            if data.len() >= self.safe_length {
                self.walk(|node| word(data, node.offset))
            } else {
                self.walk(|node| word_checked(data, node))
            }
        } else {
            let data = if packet.mac().is_some() { packet.mac_data() } else { packet.data() };
            let network = packet.network_data();
            let transport = packet.transport_data();
            self.walk(|node| match node.base {
                Base::Data => word_checked(data, node),
                Base::Network => word_checked(network, node),
                Base::Transport => word_checked(transport, node),
            })
        };
        (end != DROP).then(|| (end - OUTPUTS) as usize)
    }

    #[inline]
    fn walk(&self, word: impl Fn(&Node) -> Option<u32>) -> Target {
        let mut at = 0;
        while let Some(node) = self.nodes.get(at as usize) {
            at = match word(node) {
                None => node.short,
                Some(word) => {
                    let bits = word & node.mask;
                    if node.table.is_empty() {
                        if bits == node.value { node.yes } else { node.no }
                    } else {
                        let found = node.table.binary_search_by_key(&bits, |(value, _)| *value);
                        found.map_or(node.no, |at| node.table[at].1)
                    }
                }
            };
        }
        at
    }
}

#[inline]
fn word(bytes: &[u8], offset: u32) -> Option<u32> {
    let offset = offset as usize;
    let bytes = bytes.get(offset..offset + 4)?;
    Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// The word that a node looks at; none if the bytes that it needs are not there.
#[inline]
fn word_checked(bytes: &[u8], node: &Node) -> Option<u32> {
    if let Some(word) = word(bytes, node.offset) {
        return Some(word);
    }
    if bytes.len() < node.length as usize {
        return None;
    }
    let mut padded = [0; 4];
    let rest = bytes.get(node.offset as usize..).unwrap_or_default();
    for (slot, byte) in padded.iter_mut().zip(rest) {
        *slot = *byte;
    }
    Some(u32::from_be_bytes(padded))
}

//! Connections through the ports of compound elements and groups.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use crate::compound::{Compound, TUNNEL};
use crate::graph::{Connection, Port};
use crate::report::Report;

/// One side of a tunnel: a port of a pseudoelement, used as input or as output.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    port: Port,
    output: bool,
}

/// Pairs of pseudoelements, and what lies at the far side of each of their ports.
pub(crate) struct Tunnels {
    /// Input side of one pseudoelement to the output side of another, and back.
    pairs: BTreeMap<(usize, bool), usize>,
    /// Ports connected to each end.
    neighbours: BTreeMap<End, Vec<Port>>,
}

impl Tunnels {
    pub(crate) fn new() -> Self {
        Self { pairs: BTreeMap::new(), neighbours: BTreeMap::new() }
    }

    /// What enters inputs of `into` leaves from the outputs of `out_of`. False if one of
    /// the two sides is taken.
    pub(crate) fn pair(&mut self, into: usize, out_of: usize) -> bool {
        if self.pairs.contains_key(&(into, false)) || self.pairs.contains_key(&(out_of, true)) {
            return false;
        }
        self.pairs.insert((into, false), out_of);
        self.pairs.insert((out_of, true), into);
        true
    }

    /// The connections between real elements that `scope` amounts to.
    pub(crate) fn resolve(&mut self, scope: &Compound, report: &mut Report) -> Vec<Connection> {
        let tunnel = |port: Port| scope.items[port.element].class == TUNNEL;
        for connection in &scope.connections {
            if tunnel(connection.from) {
                let end = End { port: connection.from, output: true };
                self.neighbours.entry(end).or_default().push(connection.to);
            }
            if tunnel(connection.to) {
                let end = End { port: connection.to, output: false };
                self.neighbours.entry(end).or_default().push(connection.from);
            }
        }
        let mut result = Vec::new();
        let mut checked = BTreeSet::new();
        for connection in &scope.connections {
            if tunnel(connection.from) {
                let end = End { port: connection.from, output: true };
                self.check(scope, end, &mut checked, report);
            }
            if tunnel(connection.to) {
                let end = End { port: connection.to, output: false };
                self.check(scope, end, &mut checked, report);
            }
            if !tunnel(connection.from) {
                for to in self.destinations(scope, connection.to) {
                    result.push(Connection { from: connection.from, to });
                }
            }
        }
        result.sort_unstable();
        result.dedup();
        result
    }

    fn far_end(&self, end: End) -> Option<End> {
        let &element = self.pairs.get(&(end.port.element, end.output))?;
        Some(End { port: Port { element, port: end.port.port }, output: !end.output })
    }

    /// Complains about an end that is connected on one side only.
    fn check(&self, scope: &Compound, end: End, checked: &mut BTreeSet<End>, report: &mut Report) {
        if !checked.insert(end) {
            return;
        }
        match self.far_end(end) {
            Some(far) if self.neighbours.contains_key(&far) => {}
            Some(far) => complain(scope, end, far.port.element, report),
            None if self.pairs.contains_key(&(end.port.element, !end.output)) => {
                let item = &scope.items[end.port.element];
                let kind = if end.output { "output" } else { "input" };
                report.error_at(&item.landmark, &format!("'{}' used as {kind}", item.name));
            }
            None => {}
        }
    }

    /// The real inputs that an input stands for.
    fn destinations(&self, scope: &Compound, port: Port) -> Vec<Port> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut open = alloc::vec![port];
        while let Some(port) = open.pop() {
            if scope.items[port.element].class != TUNNEL {
                found.push(port);
            } else if seen.insert(port)
                && let Some(far) = self.far_end(End { port, output: false })
                && let Some(neighbours) = self.neighbours.get(&far)
            {
                open.extend(neighbours.iter().copied());
            }
        }
        found
    }
}

/// Says that one side of a tunnel is used and the other is not.
fn complain(scope: &Compound, end: End, other: usize, report: &mut Report) {
    let (into, out_of) =
        if end.output { (other, end.port.element) } else { (end.port.element, other) };
    let (into, out_of) = (&scope.items[into], &scope.items[out_of]);
    let port = end.port.port;
    if format!("{}/input", into.name) == out_of.name {
        let text = if end.output {
            format!("'{}' input {port} unused", into.name)
        } else {
            format!("'{}' has no input {port}", into.name)
        };
        report.error_at(&into.landmark, &text);
    } else if into.name == format!("{}/output", out_of.name) {
        let text = if end.output {
            format!("'{}' has no output {port}", out_of.name)
        } else {
            format!("'{}' output {port} unused", out_of.name)
        };
        report.error_at(&out_of.landmark, &text);
    } else {
        let kind = if end.output { "output" } else { "input" };
        let text = format!("tunnel '{} -> {}' {kind} {port} unused", into.name, out_of.name);
        report.error_at(&scope.items[other].landmark, &text);
    }
}

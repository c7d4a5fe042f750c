//! The flat graph: elements of primitive classes and the connections between them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::quote;
use crate::report::Landmark;

/// A port of an element; whether input or output follows from where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// Index of the element.
    pub element: usize,
    /// Number of the port.
    pub port: usize,
}

/// A connection. The order is by destination, then by source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The output that it starts from.
    pub from: Port,
    /// The input that it leads to.
    pub to: Port,
}

impl Ord for Connection {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.to, self.from).cmp(&(other.to, other.from))
    }
}

impl PartialOrd for Connection {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// An element of the flat graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Full name, with the names of the compounds around it.
    pub name: String,
    /// Name of its class.
    pub class: String,
    /// Configuration string, with all variables substituted.
    pub configuration: String,
    /// Where it was declared.
    pub landmark: Landmark,
}

/// A whole configuration, flat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// Elements in order of declaration.
    pub elements: Vec<Declaration>,
    /// Connections, sorted, each once.
    pub connections: Vec<Connection>,
    /// Requirements: kind (`package`, `compact_config`, ...) and value.
    pub requirements: Vec<(String, String)>,
    /// Whether the configuration asked for compact strings.
    pub compact: bool,
}

impl Graph {
    /// Index of the element called `name`.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.elements.iter().position(|element| element.name == name)
    }

    /// The graph as text in the language: requirements, declarations, connections.
    pub fn unparse(&self) -> String {
        let mut out = String::new();
        if !self.requirements.is_empty() {
            let list: Vec<String> = self
                .requirements
                .iter()
                .map(|(kind, value)| {
                    if value.is_empty() { kind.clone() } else { format!("{kind} {}", quote(value)) }
                })
                .collect();
            out.push_str(&format!("require({});\n\n", list.join(", ")));
        }
        for element in &self.elements {
            out.push_str(&format!("{} :: {}", element.name, element.class));
            if !element.configuration.is_empty() {
                out.push_str(&format!("({})", element.configuration));
            }
            out.push_str(";\n");
        }
        if !self.elements.is_empty() {
            out.push('\n');
        }
        self.unparse_connections(&mut out);
        out
    }

    /// Writes the connections as chains, as long as they go on from input 0.
    fn unparse_connections(&self, out: &mut String) {
        let count = self.connections.len();
        // Connections sorted by source, to find what goes on from a port.
        let mut by_source: Vec<usize> = (0..count).collect();
        by_source.sort_by_key(|&at| (self.connections[at].from, self.connections[at].to));
        let mut next: Vec<Option<usize>> = alloc::vec![None; count];
        let mut starts = alloc::vec![true; count];
        for (at, next) in next.iter_mut().enumerate() {
            let to = self.connections[at].to;
            if to.port != 0 {
                continue;
            }
            let first = by_source.partition_point(|&other| self.connections[other].from < to);
            let mut candidates: Vec<usize> = by_source[first..]
                .iter()
                .copied()
                .take_while(|&other| self.connections[other].from == to)
                .filter(|&other| other != at)
                .collect();
            candidates.sort_unstable();
            // A chain prefers to go on into an input 0.
            let straight = candidates.iter().find(|&&other| self.connections[other].to.port == 0);
            if let Some(&chosen) = straight.or(candidates.last()) {
                *next = Some(chosen);
                starts[chosen] = false;
            }
        }
        let mut used = alloc::vec![false; count];
        let mut left_over = 0;
        loop {
            for first in 0..count {
                if starts[first] && !used[first] {
                    self.unparse_chain(first, &next, &mut used, out);
                }
            }
            // What remains lies on cycles: begin one at its first connection.
            while left_over < count && used[left_over] {
                left_over += 1;
            }
            if left_over == count {
                break;
            }
            starts[left_over] = true;
        }
    }

    fn unparse_chain(
        &self,
        first: usize,
        next: &[Option<usize>],
        used: &mut [bool],
        out: &mut String,
    ) {
        let from = self.connections[first].from;
        out.push_str(&self.elements[from.element].name);
        if from.port != 0 {
            out.push_str(&format!(" [{}]", from.port));
        }
        let mut link = Some(first);
        while let Some(at) = link.filter(|&at| !used[at]) {
            out.push_str(if at == first { " -> " } else { "\n    -> " });
            let to = self.connections[at].to;
            if to.port != 0 {
                out.push_str(&format!("[{}] ", to.port));
            }
            out.push_str(&self.elements[to.element].name);
            used[at] = true;
            link = next[at];
        }
        out.push_str(";\n");
    }
}

//! Walks through the graph along the ways that packets take.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::element::Notify;
use crate::notify::{Signal, Which, id};
use crate::ports::flows;
use crate::router::Router;

impl Router {
    /// Inputs or outputs of `element` that packets at `port` come from or go to.
    fn through(&self, element: usize, port: usize, upstream: bool) -> Vec<usize> {
        let info = &self.info[element];
        let count = if upstream { info.inputs } else { info.outputs };
        let linked = |other: &usize| {
            if upstream { flows(info.class, *other, port) } else { flows(info.class, port, *other) }
        };
        (0..count).filter(linked).collect()
    }

    /// What lies across the connections of an input (`upstream`) or output.
    fn across(&self, element: usize, port: usize, upstream: bool) -> Vec<(usize, usize)> {
        let end = |link: &&click_language::Connection| {
            let here = if upstream { link.to } else { link.from };
            here.element == element && here.port == port
        };
        self.connections
            .iter()
            .filter(end)
            .map(|link| if upstream { link.from } else { link.to })
            .map(|port| (port.element, port.port))
            .collect()
    }

    /// The notifiers that tell whether packets can be pulled at an input, or (not
    /// `upstream`) whether there is room behind an output.
    pub(crate) fn find_signal(&self, element: usize, port: usize, upstream: bool) -> Signal {
        let mut signal = Signal::idle();
        let mut seen = BTreeSet::new();
        let mut open = self.across(element, port, upstream);
        open.reverse();
        let which = if upstream { Which::Empty } else { Which::Full };
        while let Some((element, port)) = open.pop() {
            if !seen.insert((element, port)) {
                continue;
            }
            let found = self.slots[element].as_ref().and_then(|e| e.notifier(!upstream, port));
            if found.is_some() {
                let id = id(element, which);
                if !signal.notifiers.contains(&id) {
                    signal.notifiers.push(id);
                }
            }
            if found == Some(Notify::Stop) {
                continue;
            }
            let passive = if upstream {
                self.output_is_push(element, port)
            } else {
                !self.input_is_push(element, port)
            };
            let ways = self.through(element, port, upstream);
            if found.is_none() && (passive || ways.is_empty()) {
                signal.busy = true;
                continue;
            }
            for way in ways.into_iter().rev() {
                let mut next = self.across(element, way, upstream);
                next.reverse();
                open.extend(next);
            }
        }
        signal
    }

    /// Number of an element's notifier among those of its kind.
    pub(crate) fn notifier_number(&self, element: usize, full: bool) -> usize {
        let has = |slot: &Option<alloc::boxed::Box<dyn crate::Element>>| {
            slot.as_ref().is_some_and(|slot| slot.notifier(full, 0).is_some())
        };
        self.slots[..element].iter().filter(|slot| has(slot)).count()
    }

    /// Elements up to `depth` connections away from a port, nearest first; all ports of
    /// the side if `port` is none.
    pub fn neighbours(
        &self,
        element: usize,
        port: Option<usize>,
        upstream: bool,
        depth: usize,
    ) -> Vec<usize> {
        let count = if upstream { self.info[element].inputs } else { self.info[element].outputs };
        let ports: Vec<usize> = port.map_or_else(|| (0..count).collect(), |port| alloc::vec![port]);
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut layer: Vec<(usize, usize)> =
            ports.iter().flat_map(|&port| self.across(element, port, upstream)).collect();
        for _ in 0..depth {
            let mut next = Vec::new();
            for (other, port) in layer {
                if !seen.insert((other, port)) {
                    continue;
                }
                if !found.contains(&other) {
                    found.push(other);
                }
                for way in self.through(other, port, upstream) {
                    next.extend(self.across(other, way, upstream));
                }
            }
            layer = next;
        }
        found
    }
}

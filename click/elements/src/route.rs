//! Routing tables: the longest prefix that matches decides.
//!
//! Source: the documentation of IPRouteTable.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use click_language::{config, value};
use click_runtime::args::{Ip, PrefixOrAddress, Scope, Value};
use click_runtime::handler::Answer;
use click_runtime::{Args, Batch, Context, Element, Handler};

use crate::common;

/// A route: output, and gateway unless the destination is reached directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Route {
    network: u32,
    length: u32,
    gateway: [u8; 4],
    port: u32,
    /// Order in which routes were added.
    number: u64,
}

impl Route {
    fn unparse(&self, separator: &str) -> String {
        let network = value::unparse_ip(self.network.to_be_bytes());
        let gateway = match self.gateway {
            [0, 0, 0, 0] => String::from("-"),
            gateway => value::unparse_ip(gateway),
        };
        format!("{network}/{}{separator}{gateway}{separator}{}", self.length, self.port)
    }
}

fn mask(length: u32) -> u32 {
    u32::from_be_bytes(value::mask_of(length))
}

/// An entry of a node that leads to another node.
const CHILD: u32 = 1 << 31;

/// Routes in a tree of nodes that each look at eight bits.
///
/// Every entry knows the longest route that covers it, so a look-up reads at most four
/// entries.
#[derive(Default)]
struct Table {
    routes: BTreeMap<(u32, u32), u32>,
    slots: Vec<Option<Route>>,
    free: Vec<u32>,
    nodes: Vec<[u32; 256]>,
    free_nodes: Vec<u32>,
    next_number: u64,
}

impl Table {
    #[inline]
    fn find(&self, address: u32) -> Option<&Route> {
        let mut node = self.nodes.first()?;
        let mut shift = 24;
        loop {
            let entry = node[(address >> shift) as usize & 255];
            if entry & CHILD == 0 {
                return self.slots.get((entry as usize).checked_sub(1)?)?.as_ref();
            }
            node = self.nodes.get((entry & !CHILD) as usize)?;
            shift -= 8;
        }
    }

    fn length_of(&self, entry: u32) -> u32 {
        let route = (entry as usize).checked_sub(1).and_then(|at| self.slots.get(at)?.as_ref());
        route.map_or(0, |route| route.length)
    }

    fn new_node(&mut self, entry: u32) -> u32 {
        match self.free_nodes.pop() {
            Some(node) => {
                self.nodes[node as usize] = [entry; 256];
                node
            }
            None => {
                self.nodes.push([entry; 256]);
                (self.nodes.len() - 1) as u32
            }
        }
    }

    /// Sets the entries under a prefix for which `wanted` holds.
    fn paint(&mut self, network: u32, length: u32, new: u32, wanted: &dyn Fn(&Self, u32) -> bool) {
        if self.nodes.is_empty() {
            self.new_node(0);
        }
        let mut node = 0u32;
        let mut shift = 24;
        while length > 32 - shift {
            let at = (network >> shift) as usize & 255;
            let entry = self.nodes[node as usize][at];
            node = if entry & CHILD != 0 {
                entry & !CHILD
            } else {
                let child = self.new_node(entry);
                self.nodes[node as usize][at] = child | CHILD;
                child
            };
            shift -= 8;
        }
        let first = (network >> shift) as usize & 255;
        let count = 1usize << (32 - shift - length);
        let mut open: Vec<(u32, usize, usize)> = alloc::vec![(node, first, count)];
        while let Some((node, first, count)) = open.pop() {
            for at in first..first + count {
                let entry = self.nodes[node as usize][at];
                if entry & CHILD != 0 {
                    open.push((entry & !CHILD, 0, 256));
                } else if wanted(self, entry) {
                    self.nodes[node as usize][at] = new;
                }
            }
        }
    }

    fn insert(&mut self, mut route: Route) {
        route.number = self.next_number;
        self.next_number += 1;
        let key = (route.length, route.network);
        if let Some(&slot) = self.routes.get(&key) {
            if let Some(Some(old)) = self.slots.get_mut(slot as usize - 1) {
                route.number = old.number;
                *old = route;
            }
            return;
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() as u32
            }
        };
        self.slots[slot as usize - 1] = Some(route);
        self.routes.insert(key, slot);
        let length = route.length;
        self.paint(route.network, length, slot, &|table, entry| table.length_of(entry) <= length);
    }

    fn get(&self, network: u32, length: u32) -> Option<&Route> {
        let slot = self.routes.get(&(length, network))?;
        self.slots.get(*slot as usize - 1)?.as_ref()
    }

    fn remove(&mut self, network: u32, length: u32) -> Option<Route> {
        let slot = self.routes.remove(&(length, network))?;
        let cover = (0..length)
            .rev()
            .find_map(|shorter| self.routes.get(&(shorter, network & mask(shorter))))
            .copied()
            .unwrap_or(0);
        self.paint(network, length, cover, &|_, entry| entry == slot);
        let route = self.slots[slot as usize - 1].take();
        self.free.push(slot);
        route
    }

    fn in_order(&self) -> Vec<Route> {
        let mut list: Vec<Route> = self.slots.iter().flatten().copied().collect();
        list.sort_unstable_by_key(|route| route.number);
        list
    }
}

/// An element that routes by its table.
pub(crate) struct Lookup {
    table: Table,
    /// Whether handlers may change routes.
    dynamic: bool,
    /// Outputs of the packets of a batch, kept to save an allocation.
    ports: Vec<u32>,
}

/// Reads `ADDR/MASK [GATEWAY] PORT`; the port may be left out if `removing`.
fn read_route(text: &str, removing: bool, scope: &Scope<'_>) -> Result<(Route, bool), String> {
    let words = config::split_words(text);
    let usage = || "expected 'ADDR/MASK [GATEWAY] OUTPUT'".to_string();
    let (first, rest) = words.split_first().ok_or_else(usage)?;
    let prefix = PrefixOrAddress::parse(first, scope).map_err(|_| usage())?.0;
    let length = value::mask_length(prefix.mask).ok_or("bad mask")?;
    let (gateway, port) = match rest {
        [] if removing => (None, None),
        [port] => (None, Some(port)),
        [gateway, port] if gateway == "-" => (None, Some(port)),
        [gateway, port] => (Some(gateway), Some(port)),
        _ => return Err(usage()),
    };
    let gateway = match gateway {
        Some(gateway) => Ip::parse(gateway, scope).map_err(|_| usage())?.0,
        None => [0; 4],
    };
    let number = match port {
        None => 0,
        Some(port) => {
            value::unsigned(port).and_then(|port| u32::try_from(port).ok()).ok_or_else(usage)?
        }
    };
    let network = u32::from_be_bytes(prefix.network());
    Ok((Route { network, length, gateway, port: number, number: 0 }, port.is_some()))
}

impl Lookup {
    pub(crate) fn new(dynamic: bool) -> Self {
        Self { table: Table::default(), dynamic, ports: Vec::new() }
    }

    fn add(&mut self, text: &str, replace: bool, outputs: usize, scope: &Scope<'_>) -> Answer {
        let (route, _) = read_route(text, false, scope)?;
        if route.port as usize >= outputs {
            return Err("port number out of range".into());
        }
        if !replace && let Some(old) = self.table.get(route.network, route.length) {
            return Err(format!("conflict with existing route '{}'", old.unparse(" ")));
        }
        self.table.insert(route);
        common::done()
    }

    fn remove(&mut self, text: &str, scope: &Scope<'_>) -> Answer {
        let (route, exact) = read_route(text, true, scope)?;
        let found = self
            .table
            .get(route.network, route.length)
            .filter(|known| !exact || (known.gateway == route.gateway && known.port == route.port));
        if found.is_none() {
            return Err(format!("no route matching '{}'", text.trim()));
        }
        self.table.remove(route.network, route.length);
        common::done()
    }

    fn command(&mut self, line: &str, outputs: usize, scope: &Scope<'_>) -> Answer {
        let mut rest: String = line.into();
        match config::shift_word(&mut rest).as_str() {
            "" => common::done(),
            "add" => self.add(&rest, false, outputs, scope),
            "set" => self.add(&rest, true, outputs, scope),
            "remove" => self.remove(&rest, scope),
            other => Err(format!("bad command '{other}'")),
        }
    }
}

impl Element for Lookup {
    fn configure(&mut self, args: &mut Args<'_>) {
        for (number, text) in args.rest().into_iter().enumerate() {
            if let Err(error) = self.add(&text, true, args.outputs, &args.scope) {
                args.error(&format!("argument {number}: {error}"));
            }
        }
    }

    fn push(&mut self, _port: usize, mut batch: Batch, cx: &mut Context<'_>) {
        let mut current = None;
        let mut uniform = true;
        // Gateways are noted while the outputs are found; usually all are the same.
        let mut ports = core::mem::take(&mut self.ports);
        ports.clear();
        for packet in &mut batch {
            let port = match self.table.find(u32::from_be_bytes(packet.dst_ip())) {
                Some(route) => {
                    if route.gateway != [0; 4] {
                        packet.set_dst_ip(route.gateway);
                    }
                    route.port
                }
                None => u32::MAX,
            };
            uniform &= *current.get_or_insert(port) == port;
            ports.push(port);
        }
        if uniform {
            cx.push(current.unwrap_or(0) as usize, batch);
        } else {
            let mut at = 0;
            crate::flow::distribute(batch, cx, |_| {
                let port = ports.get(at).copied().unwrap_or(u32::MAX);
                at += 1;
                crate::flow::Way::Port(port as usize)
            });
        }
        self.ports = ports;
    }

    fn handlers(&self) -> Vec<Handler> {
        let mut list = alloc::vec![Handler::read("table"), Handler::query("lookup")];
        if self.dynamic {
            list.extend(["add", "set", "remove", "ctrl"].map(Handler::write));
            list.push(Handler::button("flush"));
        }
        list
    }

    fn read(&mut self, handler: &str, parameter: &str, cx: &mut Context<'_>) -> Answer {
        if handler == "table" {
            let routes = self.table.in_order();
            return Ok(routes.iter().map(|route| route.unparse("\t\t") + "\n").collect());
        }
        let address: Ip = common::value(parameter, cx)?;
        Ok(match self.table.find(u32::from_be_bytes(address.0)) {
            None => "-1".into(),
            Some(Route { gateway: [0, 0, 0, 0], port, .. }) => port.to_string(),
            Some(route) => format!("{} {}", route.port, value::unparse_ip(route.gateway)),
        })
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        let (outputs, scope) = (cx.outputs(), cx.scope());
        match handler {
            "add" => self.add(value, false, outputs, &scope),
            "set" => self.add(value, true, outputs, &scope),
            "remove" => self.remove(value, &scope),
            "flush" => {
                self.table = Table::default();
                common::done()
            }
            _ => {
                let mut problems = Vec::new();
                for line in value.lines() {
                    if let Err(error) = self.command(line, outputs, &scope) {
                        problems.push(error);
                    }
                }
                if problems.is_empty() { common::done() } else { Err(problems.join("\n")) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random routes added and removed: the tree agrees with a search of the list.
    #[test]
    fn agrees_with_a_linear_search() {
        let mut table = Table::default();
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 4
        };
        for step in 0..3000 {
            let length = next() % 33;
            // Few distinct addresses, so that prefixes nest.
            let network = (next() & 0x0303_0303) << 4 & mask(length);
            if next() % 3 == 0 {
                table.remove(network, length);
            } else {
                let gateway = [0; 4];
                table.insert(Route { network, length, gateway, port: step, number: 0 });
            }
            for _ in 0..4 {
                let address = (next() & 0x0303_0303) << 4;
                let best = table
                    .slots
                    .iter()
                    .flatten()
                    .filter(|route| address & mask(route.length) == route.network)
                    .max_by_key(|route| route.length);
                assert_eq!(table.find(address), best);
            }
        }
    }
}

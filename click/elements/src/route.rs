//! Routing tables: the longest prefix that matches decides.
//!
//! Source: the documentation of IPRouteTable.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use click_language::{config, value};
use click_runtime::args::{Ip, PrefixOrAddress, Scope, Value};
use click_runtime::handler::Answer;
use click_runtime::{Args, Batch, Context, Element, Handler};

use self::table::{Hop, Route, Table};
use crate::common;

mod table;

fn unparse(route: &Route, separator: &str) -> String {
    let network = value::unparse_ip(route.network.to_be_bytes());
    let gateway = match route.hop.gateway {
        [0, 0, 0, 0] => String::from("-"),
        gateway => value::unparse_ip(gateway),
    };
    format!("{network}/{}{separator}{gateway}{separator}{}", route.length, route.hop.port)
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
    let length = value::mask_length(prefix.mask).and_then(|length| u8::try_from(length).ok());
    let length = length.ok_or("bad mask")?;
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
    Ok((Route { network, length, hop: Hop { gateway, port: number } }, port.is_some()))
}

impl Lookup {
    pub(crate) fn new(dynamic: bool) -> Self {
        Self { table: Table::default(), dynamic, ports: Vec::new() }
    }

    fn add(&mut self, text: &str, replace: bool, outputs: usize, scope: &Scope<'_>) -> Answer {
        let (route, _) = read_route(text, false, scope)?;
        if route.hop.port as usize >= outputs {
            return Err("port number out of range".into());
        }
        if !replace && let Some(old) = self.table.get(route.network, route.length) {
            return Err(format!("conflict with existing route '{}'", unparse(&old, " ")));
        }
        self.table.insert(route);
        common::done()
    }

    fn remove(&mut self, text: &str, scope: &Scope<'_>) -> Answer {
        let (route, exact) = read_route(text, true, scope)?;
        let found = self
            .table
            .get(route.network, route.length)
            .filter(|known| !exact || known.hop == route.hop);
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
        self.table.settle();
        let mut ports = core::mem::take(&mut self.ports);
        ports.resize(batch.len(), 0);
        for (packet, port) in batch.iter_mut().zip(&mut ports) {
            *port = match self.table.find(u32::from_be_bytes(packet.dst_ip())) {
                Some(hop) => {
                    if hop.gateway != [0; 4] {
                        packet.set_dst_ip(hop.gateway);
                    }
                    hop.port
                }
                None => u32::MAX,
            };
        }
        crate::flow::distribute_to(batch, &ports, cx);
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
            return Ok(routes.iter().map(|route| unparse(route, "\t\t") + "\n").collect());
        }
        let address: Ip = common::value(parameter, cx)?;
        self.table.settle();
        Ok(match self.table.find(u32::from_be_bytes(address.0)) {
            None => "-1".into(),
            Some(Hop { gateway: [0, 0, 0, 0], port }) => port.to_string(),
            Some(hop) => format!("{} {}", hop.port, value::unparse_ip(hop.gateway)),
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

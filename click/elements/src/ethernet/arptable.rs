//! ARPTable: a table of Ethernet addresses that several ARPQueriers share.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_language::config;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::Phase;
use click_runtime::args::Ethernet;
use click_runtime::args::Ip;
use click_runtime::element::downcast;

use crate::arp;
use crate::common;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ARPTable",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<ARPTable>::default(),
    documentation: Documentation {
        summary: "A table of Ethernet addresses that several ARPQueriers share.",
        arguments: &[
            ("CAPACITY", "most packets that wait, default 2048"),
            ("ENTRY_CAPACITY", "most entries, default 0 for no limit"),
            ("ENTRY_PACKET_CAPACITY", "most packets that wait for one address"),
            ("TIMEOUT", "time after which an entry is not believed, default 5m"),
        ],
        handlers: &[
            ("table", "the entries"),
            ("insert", "adds an entry: `IP ETH`"),
            ("delete", "removes an entry"),
            ("clear", "removes all entries"),
            ("count", "number of entries"),
            ("length", "packets that wait"),
            ("drops", "packets dropped"),
        ],
    },
};

#[derive(Default)]
pub(crate) struct ARPTable {
    pub(crate) table: arp::Table,
}

impl Element for ARPTable {
    fn phase(&self) -> Phase {
        Phase::Early
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        self.table.configure(args);
        args.finish();
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![
            Handler::read("table"),
            Handler::read("count"),
            Handler::read("length"),
            Handler::read("drops"),
            Handler::write("insert"),
            Handler::write("delete"),
            Handler::button("clear"),
        ]
    }

    fn read(&mut self, handler: &str, _parameter: &str, cx: &mut Context<'_>) -> Answer {
        let now = cx.time();
        Ok(read_table(&self.table, handler, now))
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        write_table(&mut self.table, handler, value, cx)
    }

    fn take_state(&mut self, old: &mut dyn Element, _cx: &mut Context<'_>) {
        if let Some(old) = downcast::<Self>(old) {
            self.table.take(&mut old.table);
        }
    }
}

/// Reads a handler of a table.
pub(crate) fn read_table(table: &arp::Table, handler: &str, now: i64) -> String {
    match handler {
        "count" => table.len().to_string(),
        "length" => table.packets.to_string(),
        "drops" => table.drops.to_string(),
        _ => table.unparse(now),
    }
}

/// Writes a handler of a table. Packets that waited for a new entry are dropped.
pub(crate) fn write_table(
    table: &mut arp::Table,
    handler: &str,
    value: &str,
    cx: &mut Context<'_>,
) -> Answer {
    match handler {
        "insert" => {
            let words = config::split_words(value);
            let [ip, address] = words.as_slice() else { return Err("expected IP ETH".into()) };
            let ip: Ip = common::value(ip, cx)?;
            let address: Ethernet = common::value(address, cx)?;
            let now = cx.time();
            for packet in table.insert(ip.0, address.0, now, cx) {
                cx.kill(packet);
            }
        }
        "delete" => {
            let ip: Ip = common::value(value, cx)?;
            table.remove(ip.0, cx);
        }
        _ => table.clear(cx),
    }
    common::done()
}

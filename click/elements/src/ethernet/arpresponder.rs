//! ARPResponder: answers ARP queries; sends other packets to output 1.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use click_language::config;
use click_language::value as parse;
use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::args::Ethernet;
use click_runtime::args::Ip;
use click_runtime::args::Prefix;
use click_runtime::args::PrefixOrAddress;
use click_runtime::args::Scope;
use click_runtime::args::Value;

use crate::arp;
use crate::common;
use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "ARPResponder",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<ARPResponder>::default(),
    documentation: Documentation {
        summary: "Answers ARP queries; sends other packets to output 1.",
        arguments: &[("IP/MASK... ETH", "addresses and who has them")],
        handlers: &[
            ("table", "the entries"),
            ("lookup", "who has an address"),
            ("add", "adds an entry"),
            ("remove", "removes an entry"),
        ],
    },
};

#[derive(Default)]
struct ARPResponder {
    entries: Vec<(Prefix, [u8; 6])>,
}

/// Reads prefixes and the Ethernet address that they share. A name may stand for both.
fn entry(text: &str, scope: &Scope<'_>) -> Result<(Vec<Prefix>, [u8; 6]), String> {
    let (mut prefixes, mut address) = (Vec::new(), None);
    for word in config::split_words(text) {
        let prefix = PrefixOrAddress::parse(&word, scope);
        let ethernet = Ethernet::parse(&word, scope);
        if prefix.is_err() && ethernet.is_err() {
            return Err(format!("expected IP address or Ethernet address, not '{word}'"));
        }
        prefixes.extend(prefix.ok().map(|prefix| prefix.0));
        if let Ok(ethernet) = ethernet {
            address.get_or_insert(ethernet.0);
        }
    }
    let address = address.ok_or("Ethernet address missing")?;
    if prefixes.is_empty() {
        return Err("IP address missing".into());
    }
    Ok((prefixes, address))
}

fn length(prefix: &Prefix) -> u32 {
    u32::from_be_bytes(prefix.mask).count_ones()
}

impl ARPResponder {
    fn find(&self, ip: [u8; 4]) -> Option<[u8; 6]> {
        self.entries.iter().find(|(prefix, _)| prefix.contains(ip)).map(|(_, address)| *address)
    }

    fn is_same(a: &Prefix, b: &Prefix) -> bool {
        a.network() == b.network() && a.mask == b.mask
    }

    /// Adds entries, longest prefixes first. Gives those that were there already.
    fn add(
        entries: &mut Vec<(Prefix, [u8; 6])>,
        new: (Vec<Prefix>, [u8; 6]),
        replace: bool,
    ) -> Vec<Prefix> {
        let mut known = Vec::new();
        for prefix in new.0 {
            if let Some(old) = entries.iter_mut().find(|(old, _)| Self::is_same(old, &prefix)) {
                known.push(prefix);
                if replace {
                    old.1 = new.1;
                }
                continue;
            }
            let at = entries.partition_point(|(old, _)| length(old) >= length(&prefix));
            entries.insert(at, (prefix, new.1));
        }
        known
    }
}

impl Element for ARPResponder {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut entries = Vec::new();
        for (number, text) in args.rest().into_iter().enumerate() {
            match entry(&text, &args.scope) {
                Ok(new) => {
                    for prefix in Self::add(&mut entries, new, false) {
                        let shown = parse::unparse_prefix(prefix.network(), prefix.mask);
                        args.warning(&format!("multiple entries for {shown}"));
                    }
                }
                Err(error) => args.error(&format!("argument {number}: {error}")),
            }
        }
        if args.is_fine() {
            self.entries = entries;
        }
    }

    fn can_reconfigure(&self) -> bool {
        true
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let mut replies = cx.batch();
        for packet in batch.drain(..) {
            let data = packet.data();
            let asked = wire::ip_at(data, 38);
            let answer = if arp::operation(data) == Some(1) { self.find(asked) } else { None };
            let Some(address) = answer else {
                cx.push_one(1, packet);
                continue;
            };
            let sender: [u8; 6] = data[22..28].try_into().unwrap_or_default();
            let bytes = arp::message(2, sender, (address, asked), (sender, wire::ip_at(data, 28)));
            let mut reply = cx.packet();
            reply.fill(&bytes);
            reply.set_mac(0);
            reply.set_network(14, 28);
            replies.push(reply);
            cx.kill(packet);
        }
        core::mem::swap(batch, &mut replies);
        cx.kill_all(replies);
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![
            Handler::read("table"),
            Handler::query("lookup"),
            Handler::write("add"),
            Handler::write("remove"),
        ]
    }

    fn read(&mut self, handler: &str, parameter: &str, cx: &mut Context<'_>) -> Answer {
        if handler == "lookup" {
            let ip: Ip = common::value(parameter, cx)?;
            return Ok(self.find(ip.0).map(parse::unparse_ethernet).unwrap_or_default());
        }
        let line = |(prefix, address): &(Prefix, [u8; 6])| {
            let shown = parse::unparse_prefix(prefix.network(), prefix.mask);
            format!("{shown} {}\n", parse::unparse_ethernet(*address))
        };
        Ok(self.entries.iter().map(line).collect())
    }

    fn write(&mut self, handler: &str, value: &str, cx: &mut Context<'_>) -> Answer {
        if handler == "add" {
            let new = entry(value, &cx.scope())?;
            Self::add(&mut self.entries, new, true);
        } else {
            let prefix: PrefixOrAddress = common::value(value, cx)?;
            let before = self.entries.len();
            self.entries.retain(|(old, _)| !Self::is_same(old, &prefix.0));
            if self.entries.len() == before {
                return Err("no such entry".into());
            }
        }
        common::done()
    }
}

//! CheckIPHeader: checks IP headers and marks them; sends bad packets to output 1.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
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
use click_runtime::args::Ip;
use click_runtime::args::Prefix;
use click_runtime::args::Raw;
use click_runtime::args::Value;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "CheckIPHeader",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<CheckIPHeader>::default(),
    documentation: Documentation {
        summary: "Checks IP headers and marks them; sends bad packets to output 1.",
        arguments: &[
            ("INTERFACES", "prefixes of interfaces; their broadcast addresses are bad sources"),
            ("BADSRC", "bad source addresses"),
            ("GOODDST", "broadcast sources are fine for these destinations"),
            ("OFFSET", "where the header begins, default 0"),
            ("CHECKSUM", "whether to check the checksum"),
            ("VERBOSE", "whether to print every bad packet"),
            ("DETAILS", "whether to count by reason"),
        ],
        handlers: &[("drops", "bad packets")],
    },
};

struct CheckIPHeader {
    offset: usize,
    checksum: bool,
    verbose: bool,
    bad: Vec<u32>,
    good: Vec<u32>,
    drops: u64,
}

impl Default for CheckIPHeader {
    fn default() -> Self {
        Self {
            offset: 0,
            checksum: true,
            verbose: false,
            bad: Vec::new(),
            good: Vec::new(),
            drops: 0,
        }
    }
}

/// What is wrong with the IP packet that begins the data.
#[inline]
fn problem(ip: &[u8], checksum: bool, bad: &[u32], good: &[u32]) -> Option<&'static str> {
    let Some(header) = ip.get(..20) else { return Some("bad IP header length") };
    if header[0] >> 4 != 4 {
        return Some("bad IP version");
    }
    let length = wire::header_length(header);
    if length < 20 || length > ip.len() {
        return Some("bad IP header length");
    }
    let total = usize::from(wire::u16_at(header, 2));
    if total > ip.len() || total < length {
        return Some("bad IP length");
    }
    if checksum && wire::checksum(&ip[..length]) != 0 {
        return Some("bad IP checksum");
    }
    if !bad.is_empty()
        && bad.contains(&wire::u32_at(header, 12))
        && !good.contains(&wire::u32_at(header, 16))
    {
        return Some("bad source address");
    }
    None
}

impl CheckIPHeader {
    fn interfaces(&mut self, text: &str, args: &mut Args<'_>) {
        for word in config::split_words(text) {
            match Prefix::read(&word, false, &args.scope) {
                Some(prefix) => {
                    let mask = u32::from_be_bytes(prefix.mask);
                    let network = u32::from_be_bytes(prefix.network());
                    self.bad.extend([network, network | !mask]);
                    self.good.push(u32::from_be_bytes(prefix.address));
                }
                None => {
                    args.error(&format!("INTERFACES: expected IP address prefix, not '{word}'"))
                }
            }
        }
    }

    fn addresses(text: &str, args: &mut Args<'_>) -> Vec<u32> {
        let mut list = Vec::new();
        for word in config::split_words(&config::unquote(text)) {
            match Ip::parse(&word, &args.scope) {
                Ok(address) => list.push(u32::from_be_bytes(address.0)),
                Err(error) => args.error(&error),
            }
        }
        list
    }
}

impl Element for CheckIPHeader {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut first = Raw::default();
        let (mut interfaces, mut bad, mut good) = (Raw::default(), Raw::default(), Raw::default());
        let mut details = false;
        // The first argument may be an offset or, as before, a list of bad addresses.
        if args.positional("OFFSET", &mut first) {
            match parse::unsigned(&first.0) {
                Some(offset @ 0..=65535) => self.offset = offset as usize,
                _ => {
                    bad = first;
                    let mut second = None::<usize>;
                    args.positional("OFFSET", &mut second);
                    self.offset = second.unwrap_or(0);
                }
            }
        }
        args.keyword("INTERFACES", &mut interfaces);
        args.keyword("BADSRC", &mut bad);
        args.keyword("BADSRC*", &mut bad);
        args.keyword("GOODDST", &mut good);
        args.keyword("CHECKSUM", &mut self.checksum);
        args.keyword("VERBOSE", &mut self.verbose);
        args.keyword("DETAILS", &mut details);
        args.finish();
        self.bad = Self::addresses(&bad.0, args);
        self.good = Self::addresses(&good.0, args);
        self.interfaces(&interfaces.0, args);
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let mut found: Option<&'static str> = None;
        let dropped = {
            let (offset, checksum) = (self.offset, self.checksum);
            let (bad, good) = (&self.bad, &self.good);
            cx.split(batch, 1, |packet| {
                let ip = packet.data().get(offset..).unwrap_or_default();
                let length = ip.len();
                let Some(header) = ip.first_chunk::<20>() else {
                    found = Some("bad IP header length");
                    return false;
                };
                let total = usize::from(wire::u16_at(header, 2));
                // The usual header is looked at whole.
                let usual = header[0] == 0x45 && total >= 20 && total <= length;
                let source = wire::u32_at(header, 12);
                let fine = usual
                    && (!checksum || wire::is_sum_right(header))
                    && !bad.contains(&source);
                if !fine
                    && let Some(reason) = problem(ip, checksum, bad, good)
                {
                    found = Some(reason);
                    return false;
                }
                let header_length = wire::header_length(header);
                let destination = wire::ip_at(header, 16);
                packet.set_network(offset, header_length);
                packet.set_dst_ip(destination);
                // What follows the IP packet is padding of the link.
                if length > total {
                    packet.truncate(length - total);
                }
                true
            })
        };
        if let Some(reason) = found
            && (self.verbose || self.drops == 0)
        {
            let line = format!("{}: IP header check failed: {reason}", cx.described(cx.id()));
            cx.message(&line);
        }
        self.drops += dropped as u64;
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("drops")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.drops.to_string())
    }
}

//! AddressInfo: gives names to addresses.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use click_language::config;
use click_language::value as parse;
use click_runtime::Args;
use click_runtime::Class;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Phase;
use click_runtime::names::Kind;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "AddressInfo",
    ports: "0/0",
    processing: "a",
    flow: "",
    make: || Box::<AddressInfo>::default(),
    documentation: Documentation {
        summary: "Gives names to addresses.",
        arguments: &[(
            "NAME ADDRESS...",
            "name, then IP, IPv6 and Ethernet addresses and prefixes",
        )],
        handlers: &[],
    },
};

#[derive(Default)]
struct AddressInfo {
    names: Vec<(Kind, String, Vec<u8>)>,
}

impl AddressInfo {
    fn define(&mut self, name: &str, address: &str) -> bool {
        let mut add = |kind, value: &[u8]| self.names.push((kind, name.into(), value.to_vec()));
        if let Some((ip, mask)) = parse::ip_prefix(address) {
            let mut prefix = ip.to_vec();
            prefix.extend_from_slice(&mask);
            add(Kind::IpPrefix, &prefix);
            // An address inside a prefix names the host as well.
            let network = u32::from_be_bytes(ip) & u32::from_be_bytes(mask);
            if network != u32::from_be_bytes(ip) || mask == [255; 4] {
                add(Kind::Ip, &ip);
            }
        } else if let Some(ip) = parse::ip_address(address) {
            add(Kind::Ip, &ip);
        } else if let Some(ethernet) = parse::ethernet_address(address) {
            add(Kind::Ethernet, &ethernet);
        } else if let Some((ip6, length)) = parse::ip6_prefix(address) {
            let mut prefix = ip6.to_vec();
            prefix.push(length as u8);
            add(Kind::Ip6Prefix, &prefix);
            add(Kind::Ip6, &ip6);
        } else if let Some(ip6) = parse::ip6_address(address) {
            add(Kind::Ip6, &ip6);
        } else {
            return false;
        }
        true
    }
}

impl Element for AddressInfo {
    fn phase(&self) -> Phase {
        Phase::Info
    }

    fn configure(&mut self, args: &mut Args<'_>) {
        for (number, argument) in args.rest().into_iter().enumerate() {
            let words = config::split_words(&argument);
            let Some((name, addresses)) = words.split_first() else { continue };
            if addresses.is_empty() {
                args.error(&format!("argument {}: expected 'NAME [ADDRS]'", number + 1));
            }
            for address in addresses {
                if !self.define(name, address) {
                    args.error(&format!("\"{name}\" has bad address \"{address}\""));
                }
            }
        }
    }

    fn definitions(&mut self) -> Vec<(Kind, String, Vec<u8>)> {
        core::mem::take(&mut self.names)
    }
}

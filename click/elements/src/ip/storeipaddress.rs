//! StoreIPAddress: writes an address into the packet.

use alloc::boxed::Box;

use click_language::value as parse;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::args::Ip;
use click_runtime::args::Value;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "StoreIPAddress",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<StoreIPAddress>::default(),
    documentation: Documentation {
        summary: "Writes an address into the packet.",
        arguments: &[
            ("IPADDR", "the address; without it the destination annotation"),
            ("OFFSET", "where: a number, `src` or `dst`"),
        ],
        handlers: &[],
    },
};

#[derive(Default)]
struct StoreIPAddress {
    address: Option<[u8; 4]>,
    place: Place,
}

impl Element for StoreIPAddress {
    fn configure(&mut self, args: &mut Args<'_>) {
        let rest = args.rest();
        let (address, place) = match rest.as_slice() {
            [place] => (None, place),
            [address, place] => (Some(address), place),
            _ => {
                args.error("expected '[IPADDR,] OFFSET'");
                return;
            }
        };
        if let Some(text) = address {
            match Ip::parse(text, &args.scope) {
                Ok(address) => self.address = Some(address.0),
                Err(error) => args.error(&error),
            }
        }
        self.place = match place.as_str() {
            "src" => Place::Source,
            "dst" => Place::Destination,
            number => match parse::unsigned(number) {
                Some(offset @ 0..=65535) => Place::Offset(offset as usize),
                _ => {
                    args.error("OFFSET: expected 'src', 'dst' or a number");
                    Place::Source
                }
            },
        };
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let address = self.address.unwrap_or_else(|| packet.dst_ip());
            let at = match self.place {
                Place::Offset(offset) => {
                    wire::put(packet.data_mut(), offset, &address);
                    continue;
                }
                Place::Source => 12,
                Place::Destination => 16,
            };
            let ip = packet.network_data_mut();
            let old = wire::u32_at(ip, at);
            let new = u32::from_be_bytes(address);
            let checksum = wire::update32(wire::u16_at(ip, 10), old, new);
            wire::put(ip, 10, &checksum.to_be_bytes());
            wire::put(ip, at, &address);
        }
    }
}

/// Where the address goes.
#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Source,
    Destination,
    Offset(usize),
}

//! SetRandIPAddress: sets the destination address annotation to random addresses.

use alloc::boxed::Box;
use alloc::vec::Vec;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::args::PrefixOrAddress;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "SetRandIPAddress",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<SetRandIPAddress>::default(),
    documentation: Documentation {
        summary: "Sets the destination address annotation to random addresses.",
        arguments: &[
            ("PREFIX", "prefix of the addresses"),
            ("LIMIT", "number of different addresses, default no limit"),
        ],
        handlers: &[],
    },
};

/// Most addresses that are kept.
const MOST: u32 = 1 << 24;

#[derive(Default)]
struct SetRandIPAddress {
    network: u32,
    mask: u32,
    limit: Option<u32>,
    addresses: Vec<u32>,
}

impl SetRandIPAddress {
    fn pick(&self, cx: &mut Context<'_>) -> u32 {
        self.network | cx.random() & !self.mask
    }
}

impl Element for SetRandIPAddress {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut prefix = PrefixOrAddress::default();
        let mut limit = -1;
        args.required("PREFIX", &mut prefix);
        args.positional("LIMIT", &mut limit);
        args.finish();
        self.network = u32::from_be_bytes(prefix.0.network());
        self.mask = u32::from_be_bytes(prefix.0.mask);
        self.limit = u32::try_from(limit).ok().filter(|limit| *limit > 0);
        if self.limit.is_some_and(|limit| limit > MOST) {
            args.error("LIMIT: too large");
        }
    }

    fn initialize(&mut self, cx: &mut Context<'_>) {
        self.addresses = (0..self.limit.unwrap_or(0)).map(|_| self.pick(cx)).collect();
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        for packet in batch {
            let address = match self.addresses.len() as u32 {
                0 => self.pick(cx),
                count => self.addresses[cx.random_range(0, count - 1) as usize],
            };
            packet.set_dst_ip(address.to_be_bytes());
        }
    }
}

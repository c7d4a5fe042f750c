//! DecIPTTL: decrements the time to live; sends packets whose time is over to output 1.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "DecIPTTL",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<DecIPTTL>::default(),
    documentation: Documentation {
        summary: "Decrements the time to live; sends packets whose time is over to output 1.",
        arguments: &[
            ("ACTIVE", "whether to act, default true"),
            ("MULTICAST", "whether to act on multicast, too, default true"),
        ],
        handlers: &[("drops", "packets whose time was over")],
    },
};

struct DecIPTTL {
    active: bool,
    multicast: bool,
    drops: u64,
}

impl Default for DecIPTTL {
    fn default() -> Self {
        Self { active: true, multicast: true, drops: 0 }
    }
}

impl Element for DecIPTTL {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.keyword("ACTIVE", &mut self.active);
        args.keyword("MULTICAST", &mut self.multicast);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        if !self.active {
            return;
        }
        let multicast = self.multicast;
        let dropped = cx.split(batch, 1, |packet| {
            let ip = packet.network_data_mut();
            let [Some(&ttl), Some(&first)] = [ip.get(8), ip.get(16)] else { return false };
            if !multicast && first & 0xf0 == 0xe0 {
                return true;
            }
            if ttl <= 1 {
                return false;
            }
            let old = wire::u16_at(ip, 8);
            ip[8] = ttl - 1;
            let checksum = wire::update(wire::u16_at(ip, 10), old, old - 0x100);
            wire::put(ip, 10, &checksum.to_be_bytes());
            true
        });
        self.drops += dropped as u64;
    }

    fn handlers(&self) -> Vec<Handler> {
        vec![Handler::read("drops")]
    }

    fn read(&mut self, _handler: &str, _parameter: &str, _cx: &mut Context<'_>) -> Answer {
        Ok(self.drops.to_string())
    }
}

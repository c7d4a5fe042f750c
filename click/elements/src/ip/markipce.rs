//! MarkIPCE: marks packets as having met congestion; drops those that cannot be marked.

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
    name: "MarkIPCE",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<MarkIPCE>::default(),
    documentation: Documentation {
        summary: "Marks packets as having met congestion; drops those that cannot be marked.",
        arguments: &[("FORCE", "whether to mark packets that are not ECN-capable, too")],
        handlers: &[("drops", "packets dropped")],
    },
};

#[derive(Default)]
struct MarkIPCE {
    force: bool,
    drops: u64,
}

impl Element for MarkIPCE {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("FORCE", &mut self.force);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let force = self.force;
        let dropped = cx.split(batch, usize::MAX, |packet| {
            let ip = packet.network_data_mut();
            let old = wire::u16_at(ip, 0);
            if old & 3 == 0 && !force {
                return false;
            }
            let new = old | 3;
            let checksum = wire::update(wire::u16_at(ip, 10), old, new);
            wire::put(ip, 10, &checksum.to_be_bytes());
            wire::put(ip, 0, &new.to_be_bytes());
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

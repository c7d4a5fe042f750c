//! DropBroadcasts: drops packets that came by link-level broadcast or multicast.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use click_runtime::Answer;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::Handler;
use click_runtime::packet::Kind as PacketKind;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "DropBroadcasts",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<DropBroadcasts>::default(),
    documentation: Documentation {
        summary: "Drops packets that came by link-level broadcast or multicast.",
        arguments: &[],
        handlers: &[("drops", "packets dropped")],
    },
};

#[derive(Default)]
struct DropBroadcasts {
    drops: u64,
}

impl Element for DropBroadcasts {
    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let dropped = cx.split(batch, usize::MAX, |packet| {
            !matches!(packet.kind(), PacketKind::Broadcast | PacketKind::Multicast)
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

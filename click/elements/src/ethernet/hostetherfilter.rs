//! HostEtherFilter: passes Ethernet packets for this host; sends others to output 1.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::args::Ethernet;
use click_runtime::packet::Kind as PacketKind;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "HostEtherFilter",
    ports: "1/1-2",
    processing: "a/ah",
    flow: "",
    make: || Box::<HostEtherFilter>::default(),
    documentation: Documentation {
        summary: "Passes Ethernet packets for this host; sends others to output 1.",
        arguments: &[
            ("ETHER", "address of the host"),
            ("DROP_OWN", "whether to drop packets from the host"),
            ("DROP_OTHER", "whether to drop packets for others, default true"),
            ("OFFSET", "where the header begins"),
        ],
        handlers: &[],
    },
};

struct HostEtherFilter {
    address: [u8; 6],
    drop_own: bool,
    drop_other: bool,
    offset: usize,
}

impl Default for HostEtherFilter {
    fn default() -> Self {
        Self { address: [0; 6], drop_own: false, drop_other: true, offset: 0 }
    }
}

impl Element for HostEtherFilter {
    fn configure(&mut self, args: &mut Args<'_>) {
        let mut address = Ethernet::default();
        args.required("ETHER", &mut address);
        args.positional("DROP_OWN", &mut self.drop_own);
        args.positional("DROP_OTHER", &mut self.drop_other);
        args.keyword("OFFSET", &mut self.offset);
        args.finish();
        self.address = address.0;
    }

    fn process(&mut self, batch: &mut Batch, cx: &mut Context<'_>) {
        let Self { address, drop_own, drop_other, offset } = *self;
        cx.split(batch, 1, |packet| {
            let Some(header) = packet.data().get(offset..offset + 14) else { return false };
            if drop_own && header[6..12] == address {
                return false;
            }
            let kind = if header[..6] == address {
                PacketKind::Host
            } else if header[..6] == [255; 6] {
                PacketKind::Broadcast
            } else if header[0] & 1 == 1 {
                PacketKind::Multicast
            } else {
                PacketKind::OtherHost
            };
            packet.set_kind(kind);
            kind != PacketKind::OtherHost || !drop_other
        });
    }
}

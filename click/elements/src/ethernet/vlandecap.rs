//! VLANDecap: takes the VLAN tag out of the Ethernet header and notes it.

use alloc::boxed::Box;

use click_runtime::Args;
use click_runtime::Batch;
use click_runtime::Class;
use click_runtime::Context;
use click_runtime::Documentation;
use click_runtime::Element;
use click_runtime::anno;

use crate::wire;

/// The class.
pub(crate) const CLASS: Class = Class {
    name: "VLANDecap",
    ports: "1/1",
    processing: "a/a",
    flow: "",
    make: || Box::<VLANDecap>::default(),
    documentation: Documentation {
        summary: "Takes the VLAN tag out of the Ethernet header and notes it.",
        arguments: &[
            ("ANNO", "whether to set the annotation, default true"),
            ("ETHERTYPE", "type of the tag, default 0x8100"),
        ],
        handlers: &[],
    },
};

struct VLANDecap {
    note: bool,
    kind: u16,
}

impl Default for VLANDecap {
    fn default() -> Self {
        Self { note: true, kind: 0x8100 }
    }
}

impl Element for VLANDecap {
    fn configure(&mut self, args: &mut Args<'_>) {
        args.positional("ANNO", &mut self.note);
        args.keyword("ETHERTYPE", &mut self.kind);
        args.finish();
    }

    fn process(&mut self, batch: &mut Batch, _cx: &mut Context<'_>) {
        for packet in batch {
            let data = packet.data_mut();
            if data.len() < 18 || wire::u16_at(data, 12) != self.kind {
                if self.note {
                    packet.set_anno(anno::VLAN_TCI, [0, 0]);
                }
                continue;
            }
            let tag = [data[14], data[15]];
            data.copy_within(0..12, 4);
            packet.strip(4);
            packet.set_mac(0);
            if self.note {
                packet.set_anno(anno::VLAN_TCI, tag);
            }
        }
    }
}
